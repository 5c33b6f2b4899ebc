"""`ovdet selftest`: for the person who has the real files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ovdet_cli.cli import console


def selftest(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A model of `ovdet models list`.", show_default=True)
    ] = "builtin",
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="A local checkpoint instead.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the annotated picture goes.")
    ] = Path("ovdet-selftest.png"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a model's real files: hash, strict load, text tower, one picture detected and drawn."""
    from ovdet_cli.pipeline.selftest import check_model

    checks = check_model(model, weights, device, output)
    if json:
        console.print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            console.out.print(f"{check.status:<8} {check.name}: {check.detail}", markup=False, soft_wrap=True)
            if check.remedy:
                console.out.print(f"{'':<8} -> {check.remedy}", markup=False, soft_wrap=True)
    if any(check.status == "error" for check in checks):
        raise typer.Exit(1)
