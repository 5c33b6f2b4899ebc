"""Options that the commands of `ovdet vocab` share."""

from typing import TYPE_CHECKING, Annotated

import typer

from ovdet_cli.cli import choices
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

Named = Annotated[
    str | None,
    typer.Argument(metavar="[FILE|NAME]", help="A vocabulary file, or a built-in list.", show_default=False),
]
Classes = Annotated[str | None, typer.Option("--classes", metavar="A,B", help='Words between commas: "cat,hot dog".')]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="The model meant. Default: the one of `ovdet models use`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write an existing file anew.")]


def named_vocabulary(vocab: str | None, classes: str | None) -> "Vocabulary":
    """What a person named; UsageError where that is nothing."""
    found = choices.vocabulary(vocab, classes)
    if found is None:
        from ovdet_cli.vocabulary.vocabulary import BUILT_IN

        raise UsageError(f"name a vocabulary: a file, one of {', '.join(BUILT_IN)}, or --classes 'cat,hot dog'")
    return found
