"""The wheel's package data: everything beside the code that the package reads has a pattern in pyproject.toml."""

import fnmatch
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ovdet_cli"


def test_every_data_file_is_in_the_wheel() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = config["tool"]["setuptools"]["package-data"]["ovdet_cli"]
    # A folder of caches is no part of the package.
    files = [p.relative_to(PACKAGE) for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    files = [file for file in files if not any(part.startswith((".", "__")) for part in file.parts)]
    names = {file.as_posix() for file in files}
    assert {"models/builtin/weights.safetensors", "models/builtin/text.safetensors", "models/builtin/CARD.md"} <= names
    for name in names:
        # setuptools' ** stands for any number of folders, none too.
        assert any(fnmatch.fnmatch(f"/{name}", f"/{p}".replace("/**/", "/*")) for p in patterns), f"{name} is left out"
