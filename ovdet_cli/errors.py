"""What a user can mend: each error says what happened, where, and what to do."""


class OvdetError(Exception):
    """Base of every error with a message for the user; the CLI turns it into one line and `exit_code`."""

    exit_code = 1


class UsageError(OvdetError):
    """The command line contradicts itself or names something that is not there."""

    exit_code = 2


class InputError(OvdetError):
    """A picture, video or list cannot be read."""


class OutputError(OvdetError):
    """The run folder cannot be written, is in use, or holds another run."""


class UndrawableError(OutputError):
    """One annotated picture or video cannot be made, though the disk would take others."""


class VocabularyError(OvdetError):
    """A vocabulary or its embeddings cannot be used."""


class ModelError(OvdetError):
    """A model is unknown, or its weights do not fit it."""


class MissingAssetError(ModelError):
    """Weights, a text tower or embeddings are not on this machine yet.

    name: what `ovdet models pull` brings it by. size_text: how much that downloads.
    """

    def __init__(self, message: str, name: str, size_text: str) -> None:
        super().__init__(message)
        self.name = name
        self.size_text = size_text


class DownloadError(OvdetError):
    """A download failed or did not have the expected content."""


class TrainingError(OvdetError):
    """A training run that cannot go on."""


class DeviceError(OvdetError):
    """The device or precision asked for is not available, or its memory does not hold one picture."""


class RecordError(OvdetError):
    """A run's records cannot be read."""


class TooManyFailuresError(OvdetError):
    """More inputs failed than --max-failures allows."""
