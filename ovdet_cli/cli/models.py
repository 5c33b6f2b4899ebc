"""`ovdet models`: the detectors of the zoo, and bringing them to this machine."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from ovdet_cli.cli import console

if TYPE_CHECKING:
    from ovdet_cli.models.pull import Progress
    from ovdet_cli.models.spec import Asset, ModelSpec

_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    no_args_is_help=True,
    context_settings=_HELP,
    help="List detectors, bring them to this machine, choose the default.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Short name of a model, or its official file name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", context_settings=_HELP)
def list_models(json: Json = False) -> None:
    """List the detectors, their published figures, and which are on this machine."""
    from ovdet_cli.models import store, zoo

    default = store.default_model() or zoo.DEFAULT
    singles = (*zoo.TEXT_ENCODERS.values(), *zoo.EMBEDDINGS.values(), *zoo.IMAGE_ENCODERS.values())
    others = [asset for asset in singles if not asset.bundled]
    if json:
        models = [_model_facts(spec, default) for spec in zoo.MODELS.values()]
        value = {"home": str(store.home()), "default": default, "models": models}
        console.print_json({**value, "assets": [_asset_facts(asset) for asset in others]})
        return
    width = max(len(spec.name) for spec in zoo.MODELS.values()) + 2
    for spec in zoo.MODELS.values():
        mark = " *" if spec.name == default else ""
        console.out.print(
            Text.assemble(
                (f"{spec.name + mark:<{width}}", "bold"), f"  {_on_disk(spec.weights)}  {spec.config.backbone_name}"
            ),
            Text(f"    {'. '.join(filter(None, (spec.trained_on, _figures(spec))))}", style="dim"),
            sep="\n",
            soft_wrap=True,
        )
    console.out.print("\nfiles that are pulled with them:")
    for asset in others:
        console.out.print(Text(f"{asset.name:<{width}}  {_on_disk(asset)}  {asset.kind}"), soft_wrap=True)
    mark = f"* {default} is the default model; recommended for photographs: {zoo.RECOMMENDED}"
    licences = sorted({spec.weights.licence for spec in zoo.MODELS.values()})
    console.out.print()
    closed = [spec.name for spec in zoo.MODELS.values() if not spec.free_words]
    words = f"free words: yes; no: {', '.join(closed)} (`ovdet models info NAME` says which words then)"
    for line in (mark, words, f"licence: {'; '.join(licences)}"):
        console.out.print(Text(line), soft_wrap=True)


@app.command(context_settings=_HELP)
def info(name: Name, json: Json = False) -> None:
    """Show everything that is known of one model."""
    from ovdet_cli.models import store
    from ovdet_cli.models.zoo import DEFAULT, find_model

    spec = find_model(name)
    facts = _model_facts(spec, store.default_model() or DEFAULT)
    if json:
        console.print_json(facts)
        return
    for label, text in _info_lines(facts):
        console.out.print(Text.assemble((f"{label:<20}", "bold"), text), soft_wrap=True)


@app.command(context_settings=_HELP)
def pull(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Models; or single files: clip-vit-b-32, lvis, coco ...")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again what is here, and accept a file that its publisher changed.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Connect to nothing: use files put there by hand.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report.")] = False,
) -> None:
    """Bring models to this machine, each with its text tower and the published vocabularies' embeddings.

    A download that broke goes on where it stopped.
    """
    from ovdet_cli.models.pull import pull as pull_models
    from ovdet_cli.models.store import assets_of, short_name, size_text

    if quiet:
        pull_models(names, force=force, offline=offline)
        return
    with _progress() as (progress, tell):
        report = pull_models(names, force=force, offline=offline, progress=progress, tell=tell)
    for item in report.items:
        if item.asset.bundled:
            continue
        size = size_text(item.path.stat().st_size)
        console.say(f"{short_name(item.asset)}: {'already here' if item.was_present else 'done'}, {item.path} ({size})")
    for name in names:
        if all(asset.bundled for asset in assets_of(name)):
            console.say(f"{name} comes with ovdet: there is nothing to pull")
    if report.new_default is not None:
        console.say(f"{report.new_default} is now the default model (`ovdet models use NAME` chooses another)")


@app.command(context_settings=_HELP)
def path(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A model or a single file.")] = None,
) -> None:
    """Print where a model's weights are, or the folder of all models. Exit code 1 if they are not on this machine."""
    from ovdet_cli.models import store

    found = store.home() if name is None else store.require(store.find_asset(name))
    typer.echo(found)


@app.command(context_settings=_HELP)
def use(name: Name) -> None:
    """Make a model the default one."""
    from ovdet_cli.errors import ModelError
    from ovdet_cli.models import store
    from ovdet_cli.models.zoo import find_model

    spec = find_model(name)
    if not spec.weights.is_published:
        raise ModelError(f"no weights of {spec.name} were ever published: use it with --weights FILE")
    store.set_default_model(spec.name)
    console.say(f"{spec.name} is now the default model")
    if not store.is_present(spec.weights):
        console.warn(f"it is not on this machine yet: `ovdet models pull {spec.name}`")


def _on_disk(asset: "Asset") -> str:
    from ovdet_cli.models import store

    if not asset.is_published:
        return f"{'-':>7}  {'here' if store.is_present(asset) else 'no public weights':<4}"
    where = "comes with ovdet" if asset.bundled else "here" if store.is_present(asset) else "-"
    return f"{store.size_text(store.size_of(asset)):>7}  {where:<4}"


def _figures(spec: "ModelSpec") -> str:
    return "; ".join(f"{benchmark}: {figure}" for benchmark, figure in spec.results)


def _model_facts(spec: "ModelSpec", default: str | None) -> dict[str, Any]:
    from ovdet_cli.models.spec import Canvas

    return {
        "name": spec.name,
        "official_name": spec.stem,
        "architecture": spec.architecture,
        "backbone": spec.config.backbone_name,
        "trained_on": spec.trained_on,
        "results": dict(spec.results),
        "free_words": spec.free_words,
        "words": spec.words,
        "num_columns": spec.num_columns,
        "text_encoder": spec.text_encoder,
        "has_text_tower": spec.has_text_tower,
        "prompt": spec.prompt,
        "vocabulary": spec.vocabulary,
        "masks": spec.has_masks,
        "novel": spec.novel,
        "posts": list(spec.posts),
        "paper": spec.paper,
        "unverified": spec.unverified,
        "defaults_from": spec.rules_from,
        "defaults": {
            "threshold": spec.rules.threshold,
            "nms_iou": spec.rules.nms_iou,
            "max_detections": spec.rules.max_detections,
            "one_class_per_box": spec.rules.one_class,
            "canvas": isinstance(spec.preprocess, Canvas),
            "short_side": spec.preprocess.short_side,
            "max_size": spec.preprocess.max_size,
        },
        "is_default": spec.name == default,
        "weights": _asset_facts(spec.weights),
    }


def _asset_facts(asset: "Asset") -> dict[str, Any]:
    from ovdet_cli.models import store

    noted = store.facts(asset) or {}
    file = store.path(asset)
    # What was noted outlives its file, and says nothing of one that was put there by hand.
    of_file = noted if file.is_file() and file == store.converted_path(asset) else {}
    return {
        "name": asset.name,
        "kind": asset.kind,
        "url": asset.url,
        "size": store.size_of(asset),
        "licence": asset.licence,
        "is_bundled": bool(asset.bundled),
        "is_present": file.is_file(),
        "path": str(file),
        "by_hand": str(store.handed_path(asset)),
        "published_sha256": asset.sha256 or noted.get("published_sha256"),
        "sha256": of_file.get("sha256"),
        "date": of_file.get("date"),
    }


def _info_lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Label and text of each line of `models info`."""
    from ovdet_cli.models.store import size_text

    weights, rules = facts["weights"], facts["defaults"]
    yield "name", facts["name"] + (" (the default model)" if facts["is_default"] else "")
    yield "official name", facts["official_name"]
    yield "paper", facts["paper"]
    yield "architecture", f"{facts['architecture']}, backbone {facts['backbone']}"
    yield "trained on", facts["trained_on"]
    for benchmark, figure in facts["results"].items():
        yield "published", f"{benchmark}: {figure}"
    if facts["free_words"]:
        place = " in its own weights" if facts["has_text_tower"] else ""
        yield "free words", f'yes, as "{facts["prompt"]}" through {facts["text_encoder"]}{place}'
        yield "without words", f"the built-in vocabulary {facts['vocabulary']}"
    elif facts["words"] == "embedded":
        yield "free words", "no: its text tower was never published; words with embeddings (--vocab lvis, --embeddings)"
    else:
        yield "free words", f"no: its own {facts['num_columns']} classes, those of {facts['vocabulary']}"
    if facts["novel"]:
        yield "novel classes", f"scored otherwise: --novel FILE names them (default: {facts['novel']})"
    yield "masks", "yes" if facts["masks"] else "no"
    yield "defaults", f"{facts['defaults_from']}:"
    yield "  threshold", f"{rules['threshold']} (a score is above it)"
    yield "  NMS", f"IoU {rules['nms_iou']} within a class" if rules["nms_iou"] < 1 else "none"
    yield "  detections", f"at most {rules['max_detections']} a picture"
    if facts["posts"]:
        yield "  other rules", f"--post {', '.join(facts['posts'])}"
    yield "  classes", "one per box (its best)" if rules["one_class_per_box"] else "several per box"
    if rules["canvas"]:
        side = rules["short_side"]
        yield "  picture size", f"fitted into {side} x {side} (--imgsz sets it), small ones enlarged"
    else:
        yield "  picture size", f"shorter side {rules['short_side']}, longer side at most {rules['max_size']}"
    if facts["unverified"]:
        yield "not verified", facts["unverified"]
    yield "licence", weights["licence"]
    if weights["is_bundled"]:
        yield "on disk", f"comes with ovdet: {weights['path']} ({size_text(weights['size'])})"
        yield "sha256", f"{weights['sha256']}, made {weights['date']}"
        return
    if not weights["url"]:
        yield "download", "no weights were published: --weights FILE brings your own"
        return
    yield "url", weights["url"]
    yield "download", f"about {size_text(weights['size'])}"
    if weights["is_present"]:
        yield "on disk", weights["path"]
    else:
        yield "on disk", f"no: `ovdet models pull {facts['name']}`, or put the published file at {weights['by_hand']}"
    yield "published sha256", weights["published_sha256"] or "none is published; the first one seen will be noted"
    if weights["sha256"]:
        yield "sha256 on disk", f"{weights['sha256']}, pulled {weights['date']}"


@contextmanager
def _progress() -> "Iterator[tuple[Progress, Callable[[str], None]]]":
    """Shows a transfer: a bar on a terminal, else a line now and then."""
    if not console.err.is_terminal:
        yield _LineProgress().update, console.say
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from ovdet_cli.models.store import short_name

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}", markup=False), *columns, console=console.err) as bars:
        tasks: dict[str, Any] = {}

        def update(asset: "Asset", done: int, total: int | None) -> None:
            if asset.name not in tasks:
                tasks[asset.name] = bars.add_task(short_name(asset), completed=done)
            bars.update(tasks[asset.name], completed=done, total=total)

        yield update, lambda message: bars.console.print(message, markup=False)


class _LineProgress:
    """One line when a transfer starts and one every few seconds."""

    def __init__(self, every_s: float = 15.0) -> None:
        self._every_s = every_s
        self._name: str | None = None
        self._last_s = 0.0

    def update(self, asset: "Asset", done: int, total: int | None) -> None:
        from ovdet_cli.models.store import short_name, size_text

        now_s = time.monotonic()
        if asset.name == self._name and now_s - self._last_s < self._every_s:
            return
        self._name, self._last_s = asset.name, now_s
        whole = f" of {size_text(total)} ({done / total:.0%})" if total else ""
        console.say(f"fetching {short_name(asset)}: {size_text(done)}{whole}")
