"""`ovdet vocab`: vocabularies, and what a model knows of their words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovdet_cli.cli import choices, console, vocab_cache, vocab_lint
from ovdet_cli.cli import vocab_options as o
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    pass

_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(no_args_is_help=True, context_settings=_HELP, help="Look into vocabularies.")


@app.callback()
def vocab() -> None:
    """Look into vocabularies."""


app.command("cache", context_settings=_HELP)(vocab_cache.cache)


@app.command(context_settings=_HELP)
def show(
    vocab: o.Named = None,
    classes: o.Classes = None,
    model: o.Model = None,
    json: o.AsJson = False,
) -> None:
    """List the names with how familiar each is to a model, and the class that it comes nearest to.

    Example: ovdet vocab show --classes "puppy,guitr"
    """
    from ovdet_cli.detector.detector import choose_model
    from ovdet_cli.detector.familiarity import acquaint
    from ovdet_cli.detector.text_tower import TextTower
    from ovdet_cli.vocabulary.entry_writer import plain_entry

    spec = choose_model(model, None)
    words = o.named_vocabulary(vocab, classes)
    names = words.names
    said = [plain_entry(entry, Path.cwd()) for entry in words.entries]
    # Only the built-in model's tower was taught the difference; others need not be here for the list.
    known = acquaint(names, spec, TextTower(spec).encoder) if spec.knows else None
    if json:
        rows: list[dict[str, Any]] = [{"class_id": i, **settings} for i, settings in enumerate(said)]
        for row, word in zip(rows, known or (), strict=False):
            row |= {"familiarity": word.familiarity, "is_familiar": word.is_familiar, "nearest": word.nearest}
        console.print_json({"model": spec.name, "names": rows})
        return
    if known is None:
        header, told = _settings_column(said)
        console.print_table(None, ("class_id", "name", *header), [(i, n, *told[i]) for i, n in enumerate(names)])
        console.say(f"{spec.name}'s text tower cannot tell which words it has learnt something for")
        return
    marks = ["yes" if word.is_familiar else "no" for word in known]
    header, told = _settings_column(said)
    table = [
        (i, w.name, mark, w.familiarity, w.nearest, *told[i])
        for i, (w, mark) in enumerate(zip(known, marks, strict=True))
    ]
    console.print_table(None, ("class_id", "name", "familiar", "how much", "nearest class", *header), table)
    if strange := marks.count("no"):
        console.warn(f"{strange} of {len(names)} names unlike anything the {spec.name} model has learnt")


@app.command(context_settings=_HELP)
def embed(
    vocab: o.Named = None,
    classes: o.Classes = None,
    model: o.Model = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to: a .safetensors file.")
    ] = Path("words.safetensors"),
    overwrite: o.Overwrite = False,
) -> None:
    """Embed a vocabulary once into a file that --vocab takes in place of words: no text tower is needed then.

    Example: ovdet vocab embed words.yaml --model detic-swin-b -o words.safetensors
    """
    from ovdet_cli.detector.detector import choose_model
    from ovdet_cli.detector.text_tower import TextTower
    from ovdet_cli.detector.words import embed_vocabulary
    from ovdet_cli.vocabulary.embedded import write_embedded

    if output.suffix.lower() != ".safetensors":
        raise UsageError(f"-o {output}: the file's name must end in .safetensors")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists; name another file, or write it anew with --overwrite")
    words = o.named_vocabulary(vocab, classes)
    spec = choose_model(model, None)
    vectors = choices.offering_pull(lambda: embed_vocabulary(words, TextTower(spec)))
    write_embedded(output, words.entries, vectors)
    phrases, width = vectors.vectors_PD.shape
    console.say(f"{output}: {len(words)} classes, {phrases} phrases, {width} wide, for {spec.text_encoder}")


@app.command(context_settings=_HELP)
def merge(
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE|NAME...", help="Files of names, or built-in lists.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where to: .csv, .tsv, .yaml, .toml, .json or .txt."),
    ],
    overwrite: o.Overwrite = False,
) -> None:
    """Unite vocabularies into one file, in the format of its suffix.

    A name in several is one class with all their aliases, parents, templates and examples; of other settings the later
    one wins, and each that is overridden is told.

    Example: ovdet vocab merge coco words.yaml -o all.yaml
    """
    from ovdet_cli.vocabulary.entry_writer import check_suffix, write_entries
    from ovdet_cli.vocabulary.merge import merge_vocabularies

    check_suffix(output.suffix.lower())
    entries, notes = merge_vocabularies(sources)
    write_entries(entries, output, overwrite=overwrite)
    for note in notes:
        console.say(note)
    console.say(f"{output}: {len(entries)} class{'es' if len(entries) > 1 else ''}")


app.command("lint", context_settings=_HELP)(vocab_lint.lint)


def _settings_column(said: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A column for what the file says of each class, where it says anything."""
    if all(len(settings) == 1 for settings in said):
        return (), [()] * len(said)
    shown = [
        "; ".join(
            f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
            for key, value in settings.items()
            if key != "name"
        )
        for settings in said
    ]
    return ("settings",), [(text,) for text in shown]
