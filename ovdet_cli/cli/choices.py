"""What options mean: words, formats and files that several commands take."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ovdet_cli.cli import console
from ovdet_cli.errors import MissingAssetError, UsageError

if TYPE_CHECKING:
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

T = TypeVar("T")


def set_log_level(*, is_quiet: bool, is_verbose: bool) -> None:
    """The library's own log lines on stderr: warnings, or more with -v."""
    log = logging.getLogger("ovdet_cli")
    log.handlers = [console.LogHandler()]
    log.propagate = False  # some libraries put a handler of their own on the root logger
    log.setLevel(logging.INFO if is_verbose else logging.ERROR if is_quiet else logging.WARNING)


def check_output(output: str | None, *, is_json: bool, is_overwrite: bool, formats: str) -> None:
    """Refuses contradictions about where a run goes."""
    if output == "":
        raise UsageError("-o names no folder; leave it out for ./<input name>-ovdet")
    if output == "-" and is_json:
        raise UsageError("-o - and --json both want standard output; choose one")
    if output == "-" and (is_overwrite or "jsonl" not in formats.split(",")):
        raise UsageError("-o - writes JSON lines to standard output and no folder: no --overwrite, no other --format")


def vocabulary(vocab: str | None, classes: str | None) -> "Vocabulary | None":
    """What the person named; None: nothing. The checkpoint's own classes are added once it is open."""
    from ovdet_cli.vocabulary.vocabulary import MODEL, Vocabulary

    named = None if vocab in (None, MODEL) else Vocabulary.load(str(vocab))
    typed = None if classes is None else Vocabulary.from_classes(classes)
    return named + typed if named and typed else named or typed


def names_in(path: Path) -> Sequence[str]:
    """The names in a file."""
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

    return Vocabulary.from_file(path).names


def resolve(vocabulary: "Vocabulary | None", vocab: str | None, detector: Any) -> "Vocabulary":
    """The vocabulary of the run: what was named, with the checkpoint's own classes; else the model's default list."""
    from ovdet_cli.vocabulary.vocabulary import MODEL, Vocabulary

    if vocab == MODEL:
        own = detector.own_vocabulary()
        return own + vocabulary if vocabulary else own
    if vocabulary is None and detector.spec.words == "closed":
        return detector.own_vocabulary()
    return vocabulary or Vocabulary.built_in(detector.spec.vocabulary)


def check_choices(names: list[str], threshold: float | None, record_threshold: float | None) -> None:
    """Refuses unknown formats and a record threshold above the threshold."""
    from ovdet_cli.results.sinks import check_formats

    check_formats(names)
    if threshold is not None and record_threshold is not None and record_threshold > threshold:
        raise UsageError(
            f"--record-threshold {record_threshold:g} is above --threshold {threshold:g}; "
            "records hold at least what is drawn"
        )


def offering_pull(load: Callable[[], T]) -> T:
    """What `load` gives; where a file is missing, a person at a terminal is offered the download first."""
    asked: set[str] = set()
    while True:
        try:
            return load()
        except MissingAssetError as error:
            is_person = sys.stdin.isatty() and console.err.is_terminal
            if not is_person or error.name in asked or not _wants_pull(error):
                raise
            asked.add(error.name)
            from ovdet_cli.cli.models import pull

            pull([error.name])


def _wants_pull(error: MissingAssetError) -> bool:
    return typer.confirm(f"{error.name} is not on this machine. Download {error.size_text} now?", err=True)
