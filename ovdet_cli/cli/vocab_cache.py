"""`ovdet vocab cache`: the words' vectors that are kept on this machine."""

from typing import Annotated

import typer

from ovdet_cli.cli import console
from ovdet_cli.errors import UsageError


def cache(
    prune: Annotated[
        float | None,
        typer.Option("--prune", metavar="DAYS", min=0, help="Remove what was not used for so many days."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the vectors of words that text towers have made here, kept so that no word is embedded twice.

    Removing them costs only the time to make them again. A use is noted once a day.

    Example: ovdet vocab cache --prune 90
    """
    from ovdet_cli.models.store import home, size_text
    from ovdet_cli.vocabulary.cache import EmbeddingCache

    if clear and prune is not None:
        raise UsageError("--clear removes all, --prune what is old: give one of them")
    kept = EmbeddingCache(home() / "text-cache")
    removed = kept.prune(None if clear else prune) if clear or prune is not None else None
    facts = kept.facts()
    if json:
        value = {"folder": str(kept.folder), "vectors": facts.num_vectors, "text_towers": facts.num_towers}
        console.print_json(value | {"bytes": facts.num_bytes} | ({} if removed is None else {"removed": removed}))
        return
    if removed is not None:
        console.say(f"removed {removed} vectors")
    typer.echo(
        f"{facts.num_vectors} vectors of {facts.num_towers} text towers, {size_text(facts.num_bytes)}, in {kept.folder}"
    )
