"""Where the files of a run lie: what run.json says, or where the user says that they have gone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Places:
    """Finds a source's file.

    root: the folder that names are relative to; None where nothing tells. elsewhere: the files that do not lie there.
    """

    root: Path | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_run(cls, info: Mapping[str, Any], moved_to: Path | None = None) -> "Places":
        """What run.json says; moved_to: the folder that holds the run's files now."""
        inputs = info.get("inputs")
        inputs = inputs if isinstance(inputs, dict) else {}
        if moved_to is not None:
            return cls(moved_to)
        root, elsewhere = inputs.get("root"), inputs.get("elsewhere")
        return cls(
            Path(root) if isinstance(root, str) else None,
            {str(name): str(path) for name, path in elsewhere.items()} if isinstance(elsewhere, dict) else {},
        )

    def find(self, source: str) -> Path | None:
        """Where that file should be, there or not; None where nothing tells, or its name leads outside."""
        if source in self.elsewhere:
            return Path(self.elsewhere[source])
        if self.root is None or source.startswith("/") or ".." in source.split("/") or "\0" in source:
            return None
        return self.root / source

    def existing(self, source: str) -> Path | None:
        """That file, if it is there."""
        path = self.find(source)
        try:
            return path if path is not None and path.is_file() else None
        except (OSError, ValueError):  # a name that no file can have
            return None
