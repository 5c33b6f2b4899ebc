"""`ovdet doctor`: what works on this machine, what does not, and what to do about it."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ovdet_cli.cli import console

if TYPE_CHECKING:
    from ovdet_cli.pipeline.diagnosis import Check

_LITTLE_SPACE = 5_000_000_000
"""Bytes: the largest model with its text tower, before and after conversion, is about 2.5 GB."""

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this installation: torch and GPU, video codecs, picture formats, fonts, models on disk.

    Exit code 1 if something is broken that every run needs.
    """
    from ovdet_cli.pipeline.diagnosis import diagnose

    checks = diagnose([("home folder", check_home), ("models", check_models)])
    if json:
        console.print_json([asdict(check) for check in checks])
    else:
        _show(checks)
    if any(check.status == "error" for check in checks):
        raise typer.Exit(1)


def _show(checks: "list[Check]") -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        status = (f"{check.status:<7}", _STYLES[check.status])
        line = Text.assemble(status, "  ", (f"{check.name:<{width}}", "bold"), f"  {check.detail}")
        console.out.print(line, soft_wrap=True)
    remedies: dict[str, list[str]] = {}
    for check in checks:
        if check.remedy is not None:
            remedies.setdefault(check.remedy, []).append(check.name)
    if remedies:
        console.out.print("\nWhat to do:")
    for remedy, names in remedies.items():
        console.out.print(Text.assemble((", ".join(names), "bold"), f": {remedy}"), soft_wrap=True)


def check_home() -> "Iterable[Check]":
    """The folder of the models: its size, whether it can be written, and the room beside it."""
    from ovdet_cli.models import store
    from ovdet_cli.pipeline.diagnosis import Check

    home = store.home()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) if home.is_dir() else 0
    detail = f"{home}: {store.size_text(size)} used, {store.size_text(free)} free"
    elsewhere = "let the environment variable OVDET_HOME name another folder"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check("home folder", "warning", f"{detail}, {there} is not writable", elsewhere)
    elif free < _LITTLE_SPACE:
        yield Check("home folder", "warning", f"{detail}, little for a model", f"make room, or {elsewhere}")
    else:
        yield Check("home folder", "ok", detail)


def check_models() -> "Iterable[Check]":
    """Weights, text towers, embeddings and the default model."""
    from ovdet_cli.models import store
    from ovdet_cli.models.zoo import DEFAULT, EMBEDDINGS, MODELS, RECOMMENDED, TEXT_ENCODERS, find_model
    from ovdet_cli.pipeline.diagnosis import Check

    yield from _check_own_files()
    published = [spec for spec in MODELS.values() if not spec.weights.bundled]
    here = [spec for spec in published if store.is_present(spec.weights)]
    for spec in here:
        yield _check_file(f"model {spec.name}", store.weights_path(spec), store.facts(spec.weights))
    if not here:
        detail = f"none of the {len(published)} for photographs is on this machine; builtin knows drawn things"
        yield Check("models", "ok", detail, f"`ovdet models pull {RECOMMENDED}`")
    # What the models that are here need; the rest only where it is here.
    needed = {asset.name for spec in here for asset in store.assets_of(spec.name)}
    for name, asset in TEXT_ENCODERS.items():
        if asset.bundled:
            continue
        if store.is_present(asset):
            yield _check_file(f"text tower {name}", store.path(asset), store.facts(asset))
        elif name in needed:
            detail = "not on this machine: only words with ready embeddings can be found"
            yield Check(f"text tower {name}", "warning", detail, f"`ovdet models pull {name}`")
    present = [name for name, asset in EMBEDDINGS.items() if store.is_present(asset)]
    missing = [name for name in EMBEDDINGS if name in needed and name not in present]
    detail = f"here: {', '.join(present) or 'none'}" + (f"; missing: {', '.join(missing)}" if missing else "")
    if here or present:
        remedy = f"`ovdet models pull {' '.join(missing)}`" if missing else None
        yield Check("embeddings", "warning" if missing else "ok", detail, remedy)
    default = store.default_model()
    if default is None:
        yield Check("default model", "ok", f"none was chosen: {DEFAULT} is used")
    elif not store.is_present(find_model(default).weights):
        remedy = f"`ovdet models pull {default}`, or `ovdet models use` another"
        yield Check("default model", "warning", f"{default}, which is not on this machine", remedy)
    else:
        yield Check("default model", "ok", default)


def _check_own_files() -> "Iterable[Check]":
    """The files of the built-in model, which are part of ovdet."""
    from ovdet_cli.models import store
    from ovdet_cli.models.zoo import BUILTIN
    from ovdet_cli.pipeline.diagnosis import Check

    assets = store.assets_of(BUILTIN.name)
    name = f"model {BUILTIN.name}"
    if missing := [asset.bundled for asset in assets if not store.is_present(asset)]:
        yield Check(name, "error", f"{', '.join(missing)} missing in {store.BUNDLED}", "install ovdet again")
    elif changed := [a.bundled for a in assets if (store.facts(a) or {}).get("size") != store.size_of(a)]:
        yield Check(name, "warning", f"not as it was made: {', '.join(changed)}", "install ovdet again")
    else:
        size = store.size_text(sum(map(store.size_of, assets)))
        yield Check(name, "ok", f"comes with ovdet: {store.BUNDLED}, {size}")


def _check_file(name: str, file: Path, facts: dict[str, object] | None) -> "Check":
    """A file of the store, compared with the size that was noted when it was pulled."""
    from ovdet_cli.models.store import size_text
    from ovdet_cli.pipeline.diagnosis import Check

    size = file.stat().st_size
    if facts is not None and file.suffix != ".pth" and facts.get("size") != size:
        detail = f"{file} has {size} bytes, but {facts.get('size')} when it was pulled"
        return Check(name, "warning", detail, f"`ovdet models pull --force {name.split()[-1]}`")
    return Check(name, "ok", f"{file}, {size_text(size)}" + ("" if facts else ", put there by hand"))
