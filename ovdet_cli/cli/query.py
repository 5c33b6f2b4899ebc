"""`ovdet query`: an indexed run asked other words, without its pictures."""

import re
import sys
from contextlib import ExitStack
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovdet_cli.cli import choices, console, telling
from ovdet_cli.cli import options as o
from ovdet_cli.errors import RecordError, UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np

    from ovdet_cli.detector.asking import Asker
    from ovdet_cli.detector.words import Words
    from ovdet_cli.media.sampling import Sampling
    from ovdet_cli.pipeline.query import QueryJob, Where
    from ovdet_cli.results.index import Index

_ASKED = "Query"
_TOP = 20
_TILES = 40

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that was made with --index.")]
Asked = Annotated[
    list[str] | None,
    typer.Argument(metavar="[WORD]...", help='Words for a quick look: "red umbrella" cat.', show_default=False),
]
Like = Annotated[
    str | None,
    typer.Option(
        "--like",
        metavar="PICTURE[:X1,Y1,X2,Y2]",
        rich_help_panel=_ASKED,
        help="Find what looks like this picture, or like the thing in this box of it. Needs the model's weights.",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        min=1,
        rich_help_panel=_ASKED,
        help=f"Only each word's K surest matches of the whole run. Default without -o: {_TOP}.",
    ),
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        rich_help_panel=_ASKED,
        help="Ask a part of the run: source=PATTERN (* and ?; several times: any of them), time=FROM-TO in videos.",
    ),
]
CountWords = Annotated[
    bool,
    typer.Option("--count", rich_help_panel=_ASKED, help="Print how often each word is found, and write no records."),
]
Sheet = Annotated[
    Path | None,
    typer.Option(
        "--sheet",
        metavar="FILE",
        rich_help_panel=_ASKED,
        help="Where a quick look's contact sheet goes. Default: ./ovdet-WORD.jpg",
    ),
]
NoSheet = Annotated[bool, typer.Option("--no-sheet", rich_help_panel=_ASKED, help="Make no contact sheet.")]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        rich_help_panel="Output",
        help="Run folder for the records, never RUN itself; - for standard output. Without it: a quick look.",
    ),
]


def query(
    run: Run,
    asked: Asked = None,
    vocab: o.Vocab = None,
    classes: o.Classes = None,
    embeddings: o.Embeddings = None,
    novel: o.Novel = None,
    background: o.Background = None,
    text_rows: o.TextRows = None,
    like: Like = None,
    top_k: TopK = None,
    where: Filter = None,
    count: CountWords = False,
    sheet: Sheet = None,
    no_sheet: NoSheet = False,
    output: Output = None,
    overwrite: o.Overwrite = False,
    formats: o.Formats = "jsonl,csv",
    render: o.QueryRender = "none",
    no_masks: o.NoMasks = False,
    no_labels: o.NoLabels = False,
    json: o.JsonSummary = False,
    threshold: o.Threshold = None,
    record_threshold: o.RecordThreshold = None,
    nms: o.NmsIou = None,
    max_det: o.MaxDet = None,
    one_class: o.OneClass = None,
    post: o.QueryPost = None,
    weights: o.Weights = None,
    codec: o.VideoCodec = "h264",
    crf: o.Crf = None,
    encoder_preset: o.EncoderPreset = None,
    hwaccel: o.Hwaccel = "auto",
    device: o.Device = "auto",
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Ask an indexed run new words: the records that detect would have written, without pictures or GPU.

    With -o the records go into a new run folder. Without it the surest matches are listed, with a contact sheet.

    Example: ovdet query photos-ovdet --vocab new.txt -o new-words

    Example: ovdet query photos-ovdet "red umbrella"
    """
    from ovdet_cli.media.encoders import Encoding

    choices.set_log_level(is_quiet=quiet, is_verbose=verbose)
    if output is not None:
        choices.check_output(output, is_json=json, is_overwrite=overwrite, formats=formats)
    if like is not None and (asked or vocab or classes or embeddings):
        raise UsageError("--like finds what looks like a picture: leave out the words")
    if count and (output is not None or like is not None):
        raise UsageError("--count prints a table: leave out -o and --like")
    names = [name.strip() for name in formats.split(",") if name.strip()]
    choices.check_choices(names, threshold, record_threshold)
    encoding = Encoding(codec, crf, encoder_preset, hwaccel)

    from ovdet_cli.pipeline.folder import RunFolder
    from ovdet_cli.pipeline.query import QueryJob
    from ovdet_cli.render.draw import DrawStyle
    from ovdet_cli.results.index import Index

    index = Index(run)
    part = _where(where or [])
    is_look = output is None and not count
    target = None if output in (None, "-") else Path(str(output))
    if target is not None and _is_in(target, run):
        raise UsageError(f"a query never writes into the run it asks ({run}): name another folder with -o")
    if sheet is not None and _is_in(sheet, run):
        raise UsageError(f"a query never writes into the run it asks ({run}): name another --sheet")
    rules = {
        "threshold": record_threshold if record_threshold is not None else threshold,
        "nms_iou": nms,
        "max_detections": max_det,
        "one_class": one_class,
    }
    if rules["threshold"] is None and (is_look or like is not None):
        rules["threshold"] = 0.0  # the surest, whatever they score
    asker = _asker(index, rules, post)
    example = None
    if like is not None:
        words, example = _example(like, index, asker, weights, device)
    else:
        vocabulary = choices.vocabulary(vocab, ",".join(filter(None, [*(asked or []), classes])) or None)
        if vocabulary is None and vocab is None and is_look:
            raise UsageError('name words to look for: ovdet query RUN "red umbrella", or --vocab FILE -o DIR')
        novel_names = None if novel is None else choices.names_in(novel)
        words = choices.offering_pull(
            lambda: asker.word_maker.prepare(
                choices.resolve(vocabulary, vocab, asker), embeddings, novel_names, background, text_rows
            )
        )
        if not quiet:
            telling.say_duplicates(words.vocabulary)
            telling.say_unfamiliar(words)
    cut = asker.rules.threshold if threshold is None else threshold
    if threshold is None and not is_look and like is None:
        cut = max(cut, _threshold_of(index))
    if record_threshold is not None or asker.rules.threshold < cut:
        words = words.recorded_above(asker.rules.threshold)
    _say_limits(index, asker, words, is_look=is_look or like is not None)
    with ExitStack() as stack:
        folder = None
        if target is not None:
            folder = stack.enter_context(RunFolder(target, overwrite=overwrite))
            if overwrite:
                folder.check_inputs(index.sources())
        job = QueryJob(
            run,
            index,
            asker,
            words,
            folder,
            threshold=cut,
            formats=names,
            render=render,
            encoding=encoding,
            style=DrawStyle(masks=not no_masks, labels=not no_labels, colours=words.vocabulary.colours),
            where=part,
            sampling=_sampling_of(run),
            top=top_k if not is_look else top_k or _TOP,
            like=example,
            with_masks=not no_masks,
            command=["ovdet", *sys.argv[1:]],
            stream=console.stdout_bytes() if output == "-" else None,
            embeddings=embeddings,
        )
        if count:
            _print_counts(job, as_json=json)
        elif is_look:
            _look(job, None if no_sheet else sheet or _sheet_name(words, run), as_json=json, is_quiet=quiet)
        else:
            _write(job, as_json=json, is_quiet=quiet)


def _asker(index: "Index", rules: dict[str, Any], post: str | None) -> "Asker":
    """The half of the detector that the index needs; RecordError where it was made by something unknown."""
    from ovdet_cli.detector.asking import Asker, classifier_path
    from ovdet_cli.errors import ModelError
    from ovdet_cli.models.checkpoint import read_checkpoint
    from ovdet_cli.models.spec import Rules
    from ovdet_cli.models.zoo import find_model

    facts = index.facts
    try:
        spec = find_model(facts["model"]["name"])
        str(facts["model"]["weights_sha256"])
        float(facts["regions"]["floor"])
        noted = Rules(**facts["rules"])
        tensors = read_checkpoint(classifier_path(index.folder))
        asker = Asker(
            spec,
            {name: tensors[name] for name in tensors},
            Rules(**(vars(noted) | {name: value for name, value in rules.items() if value is not None})),
            facts["post"] if post is None else post,
            _weights_of(facts["model"]),
        )
    except (KeyError, TypeError, ValueError, ModelError) as error:
        raise RecordError(f"the index {index.folder} was made by another version, or is damaged: {error}") from error
    if (index.num_sets, index.width) != (1, 1) and index.width not in (spec.config.embedding, asker.width):
        raise RecordError(
            f"the index holds features {index.width} wide, but those of {spec.name} are {spec.config.embedding}: "
            "it is damaged"
        )
    return asker


def _threshold_of(index: "Index") -> float:
    """Above what the run drew and counted; its records may hold weaker ones."""
    noted = index.facts.get("threshold")
    return float(noted) if isinstance(noted, int | float) else 0.0


def _weights_of(model: dict[str, Any]) -> Path | None:
    """The weights that made the index, where they lie as they did."""
    from ovdet_cli.models import store

    path = Path(str(model.get("weights")))
    return path if path.is_file() and store.sha256_of(path) == model["weights_sha256"] else None


def _where(conditions: list[str]) -> "Where":
    """--where's conditions."""
    from ovdet_cli.media.sampling import parse_time
    from ovdet_cli.pipeline.query import Where

    sources: list[str] = []
    times: list[Fraction | None] = [None, None]
    for condition in conditions:
        key, sign, value = condition.partition("=")
        if key.strip() == "source" and sign and value:
            sources.append(value)
        elif key.strip() == "time" and sign and (span := re.fullmatch(r"([^-]*)-([^-]*)", value)) and value != "-":
            times = [parse_time(side) if side.strip() else None for side in span.groups()]
        else:
            raise UsageError(f"--where {condition}: write source=PATTERN or time=FROM-TO (0:10-1:30, 5-, -20)")
    if times[0] is not None and times[1] is not None and times[1] <= times[0]:
        raise UsageError("--where time: the end must be after the start")
    return Where(tuple(sources), times[0], times[1])


def _sampling_of(run: Path) -> "Sampling":
    """Which frames the run analysed, for drawing them again."""
    from fractions import Fraction

    from ovdet_cli.media.sampling import Sampling
    from ovdet_cli.pipeline.folder import RUN_FILE

    def exact(value: float | None) -> "Fraction | None":
        # run.json rounds 30000/1001 and 0.1 to the next float; what was typed is the plainest number there.
        return None if value is None else Fraction(value).limit_denominator(10**6)

    try:
        settings = loads((run / RUN_FILE).read_text(encoding="utf-8"))["settings"]
        fps, start_s, end_s = (exact(settings[name]) for name in ("fps", "start_s", "end_s"))
        is_thin, is_shots = bool(settings.get("keyframes")), bool(settings.get("scenes"))
        return Sampling(settings["every"] or 1, fps, start_s, end_s, keyframes=is_thin, scenes=is_shots)
    except (OSError, ValueError, KeyError, TypeError, UsageError):  # it may be gone; the index stands for itself
        return Sampling()


def _example(
    like: str, index: "Index", asker: "Asker", weights: Path | None, device: str
) -> "tuple[Words, np.ndarray]":
    """The features of the example, and its name as the one word."""
    from ovdet_cli.detector.detector import Detector
    from ovdet_cli.detector.words import name_alone
    from ovdet_cli.media.images import read_image
    from ovdet_cli.models.spec import Canvas
    from ovdet_cli.vocabulary.entry_values import split_box

    path, box = split_box(like)
    corners = None
    if box is not None:
        try:
            x1, y1, x2, y2 = (float(side) for side in box.split(","))
        except ValueError as error:
            raise UsageError(f"--like {like}: a box is x1,y1,x2,y2 in pixels") from error
        if x2 <= x1 or y2 <= y1:
            raise UsageError(f"--like {like}: a box has x2 above x1 and y2 above y1")
        corners = (x1, y1, x2, y2)
    image = read_image(Path(path))
    size = index.facts.get("size", {})

    def load() -> Detector:
        is_canvas = isinstance(asker.spec.preprocess, Canvas)  # a square, whose one side is set
        return Detector(
            asker.spec.name,
            weights=weights,
            device=device,
            short_side=size.get("short_side"),
            max_size=None if is_canvas else size.get("max_size"),
            masks=False,
        )

    detector = choices.offering_pull(load)
    if detector.weights_sha256 != index.facts["model"]["weights_sha256"]:
        raise RecordError(
            f"the index was made with other weights of {asker.spec.name} than {detector.weights}: name those with "
            "--weights FILE"
        )
    features, overlap = detector.describe(image, corners)
    if overlap < 0.5:
        console.warn(f"the region that fits the example best covers it with IoU {overlap:.2f}: a box may help")
    return name_alone(f"like {Path(path).name}"), features


def _say_limits(index: "Index", asker: "Asker", words: "Words", *, is_look: bool) -> None:
    """What the index cannot answer wholly."""
    if not index.is_whole:
        console.warn("the run that made the index did not end, or still goes on: its whole frames are asked")
    floor = float(index.facts["regions"]["floor"])
    lowest = asker.rules.threshold if words.classes is None else words.classes.lowest(asker.rules.threshold)
    if lowest < floor and not is_look:
        console.warn(
            f"the index keeps regions that can score above {floor:g}: below, matches are missing "
            "(`ovdet detect ... --index --index-regions all` keeps all)"
        )


def _write(job: "QueryJob", *, as_json: bool, is_quiet: bool) -> None:
    from ovdet_cli.cli.progress import RunProgress
    from ovdet_cli.pipeline.query import query as carry_out

    frames = job.index.num_frames
    with RunProgress(frames, frames or 1, has_video=False, is_quiet=is_quiet) as progress:
        summary = carry_out(job, progress.update)
    if not is_quiet:
        telling.say_summary(summary, job.words, job.folder)
    if as_json and job.folder:
        console.print_json(job.folder.read_info())
    if summary.failed or summary.undrawn:
        raise typer.Exit(3)


def _print_counts(job: "QueryJob", *, as_json: bool) -> None:
    from ovdet_cli.pipeline.query import count_words

    detections, frames = count_words(job)
    negative = {entry.name for entry in job.words.vocabulary.entries if entry.is_negative}
    order = sorted(
        (name for name in dict.fromkeys(job.words.names) if name not in negative), key=lambda name: -detections[name]
    )
    if as_json:
        console.print_json([{"label": name, "detections": detections[name], "frames": frames[name]} for name in order])
        return
    console.print_table(
        None, ("label", "detections", "frames"), [(name, detections[name], frames[name]) for name in order]
    )


def _look(job: "QueryJob", sheet: Path | None, *, as_json: bool, is_quiet: bool) -> None:
    """The surest matches, listed and shown."""
    from ovdet_cli.pipeline.query import surest

    matches = surest(job)
    if as_json:
        console.print_json([match.plain() for match in matches])
    elif matches:
        rows = [
            (m.label, m.score, m.frame.source.name, m.place, ", ".join(f"{v:.0f}" for v in m.box_xyxy)) for m in matches
        ]
        console.print_table(None, ("label", "score", "source", "time", "box"), rows)
    elif not is_quiet:
        console.say("nothing was found")
    if sheet is None or not matches:
        return
    from ovdet_cli.media.images import write_image
    from ovdet_cli.pipeline.crops import contact_sheet

    picture, missing = contact_sheet(matches[:_TILES])
    if missing == len(matches[:_TILES]):
        console.warn("no contact sheet: the pictures are no longer where they were")
        return
    write_image(sheet, picture)
    if not is_quiet:
        more = f", the first {_TILES} of {len(matches)}" if len(matches) > _TILES else ""
        console.say(f"-> {sheet}{more}")
        if missing:
            console.warn(f"{telling.count(missing, 'picture')} of the sheet could not be read again")


def _sheet_name(words: "Words", run: Path) -> Path | None:
    """A name in this folder that is plainly ours; None where this folder is the run's."""
    slug = re.sub(r"[^\w]+", "-", words.names[0]).strip("-")[:40] or "matches"
    name = Path(f"ovdet-{slug}.jpg")
    if not _is_in(name, run):
        return name
    console.warn("no contact sheet: a query never writes into the run it asks; name --sheet FILE elsewhere")
    return None


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
