"""`ovdet detect` and `ovdet video`: inputs and words in, a run folder out."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ovdet_cli.cli import console
from ovdet_cli.cli import options as o
from ovdet_cli.errors import MissingAssetError, UsageError

if TYPE_CHECKING:
    from ovdet_cli.detector.detector import Detector
    from ovdet_cli.detector.words import Words
    from ovdet_cli.media.sampling import Sampling
    from ovdet_cli.media.sources import InputList
    from ovdet_cli.pipeline.folder import RunFolder
    from ovdet_cli.pipeline.run import RunSummary
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

T = TypeVar("T")

_MOST_UNFAMILIAR = 8
_MOST_NOTES = 8  # printed at the end; run.json holds all


def _command(kinds: frozenset[str], description: str) -> Callable[..., None]:
    """The command restricted to some kinds of input; `detect` and `video` differ in nothing else."""

    def command(
        paths: o.Paths,
        vocab: o.Vocab = None,
        classes: o.Classes = None,
        embeddings: o.Embeddings = None,
        novel: o.Novel = None,
        background: o.Background = None,
        text_rows: o.TextRows = None,
        model: o.Model = None,
        weights: o.Weights = None,
        output: o.Output = None,
        overwrite: o.Overwrite = False,
        formats: o.Formats = "jsonl,csv",
        render: o.RenderMode = "all",
        no_masks: o.NoMasks = False,
        no_labels: o.NoLabels = False,
        json: o.JsonSummary = False,
        threshold: o.Threshold = None,
        record_threshold: o.RecordThreshold = None,
        nms: o.NmsIou = None,
        max_det: o.MaxDet = None,
        one_class: o.OneClass = None,
        post: o.Post = "official",
        imgsz: o.ShortSide = None,
        max_size: o.MaxSize = None,
        every: o.Every = 1,
        fps: o.Fps = None,
        start: o.Start = None,
        end: o.EndTime = None,
        device: o.Device = "auto",
        precision: o.Precision = "auto",
        batch: o.Batch = None,
        workers: o.Workers = 2,
        max_failures: o.MaxFailures = None,
        dry_run: o.DryRun = False,
        quiet: o.Quiet = False,
        verbose: o.Verbose = False,
    ) -> None:
        _set_log_level(is_quiet=quiet, is_verbose=verbose)
        _check_output(output, is_json=json, is_overwrite=overwrite, formats=formats)
        names = [name.strip() for name in formats.split(",") if name.strip()]
        sampling = _sampling(every, fps, start, end)
        folder = None if output == "-" or output is None else Path(output)
        inputs = _collect(paths, kinds, folder)
        if output is None:
            folder = Path(f"{inputs.name}-ovdet")
        vocabulary = _vocabulary(vocab, classes)
        novel_names = None if novel is None else _names_in(novel)
        _check_choices(names, threshold, record_threshold)
        if not quiet:
            _say_inputs(inputs, folder)
        if dry_run:
            _say_plan(inputs, vocabulary, model, weights, folder, json=json, is_quiet=quiet)
            return

        from ovdet_cli.detector.detector import Detector
        from ovdet_cli.pipeline.folder import RunFolder
        from ovdet_cli.pipeline.job import DetectJob
        from ovdet_cli.pipeline.run import run
        from ovdet_cli.render.draw import DrawStyle

        with ExitStack() as stack:
            run_folder = stack.enter_context(RunFolder(folder, overwrite=overwrite)) if folder else None

            def load() -> Detector:
                return Detector(
                    model,
                    weights=weights,
                    device=device,
                    precision=precision,
                    threshold=threshold if record_threshold is None else record_threshold,
                    nms_iou=nms,
                    max_detections=max_det,
                    one_class=one_class,
                    short_side=imgsz,
                    max_size=max_size,
                    masks=not no_masks,
                    batch=batch,
                    post=post,
                )

            if run_folder:
                run_folder.check_inputs(inputs.sources)
            detector = _offering_pull(load)
            if not quiet:
                _say_device(device, detector)
            words = _offering_pull(
                lambda: detector.prepare_words(
                    _resolve(vocabulary, vocab, detector), embeddings, novel_names, background, text_rows
                )
            )
            _say_duplicates(words.vocabulary)
            _say_unfamiliar(words)
            job = DetectJob(
                inputs,
                detector,
                words,
                run_folder,
                threshold=detector.spec.rules.threshold if threshold is None else threshold,
                formats=names,
                render=render,
                style=DrawStyle(masks=not no_masks, labels=not no_labels),
                sampling=sampling,
                workers=workers,
                max_failures=max_failures,
                command=["ovdet", *sys.argv[1:]],
                stream=None if folder else console.stdout_bytes(),
                embeddings=embeddings,
            )
            with _progress(inputs, sampling, is_quiet=quiet) as progress:
                summary = run(job, progress.update)
        if not quiet:
            _say_summary(summary, words, run_folder)
        if json and run_folder:
            console.print_json(run_folder.read_info())
        if summary.failed or summary.undrawn:
            raise typer.Exit(3)

    command.__doc__ = description
    return command


detect = _command(
    frozenset({"image", "video"}),
    """Find things in folders of pictures and videos: records, tables, annotated pictures and video.

    Without --model the built-in model looks: it knows drawn things. For photographs: ovdet models pull detic-swin-b.

    Example: ovdet detect photos --classes "cat,hot dog"
    """,
)
video = _command(
    frozenset({"video"}),
    """Find things in video: decode, detect, render back into video, a record for every analysed frame.

    Example: ovdet video clip.mp4 --vocab words.txt --every 5
    """,
)


def _set_log_level(*, is_quiet: bool, is_verbose: bool) -> None:
    """The library's own log lines on stderr: warnings, or more with -v."""
    log = logging.getLogger("ovdet_cli")
    log.handlers = [console.LogHandler()]
    log.propagate = False  # some libraries put a handler of their own on the root logger
    log.setLevel(logging.INFO if is_verbose else logging.ERROR if is_quiet else logging.WARNING)


def _check_output(output: str | None, *, is_json: bool, is_overwrite: bool, formats: str) -> None:
    if output == "":
        raise UsageError("-o names no folder; leave it out for ./<input name>-ovdet")
    if output == "-" and is_json:
        raise UsageError("-o - and --json both want standard output; choose one")
    if output == "-" and (is_overwrite or "jsonl" not in formats.split(",")):
        raise UsageError("-o - writes JSON lines to standard output and no folder: no --overwrite, no other --format")


def _sampling(every: int, fps: str | None, start: str | None, end: str | None) -> "Sampling":
    from ovdet_cli.media.sampling import Sampling, parse_time

    try:
        rate = None if fps is None else Fraction(fps)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--fps {fps}: write a number (2.5) or a fraction (30000/1001)") from error
    return Sampling(
        every,
        rate,
        start_s=None if start is None else parse_time(start),
        end_s=None if end is None else parse_time(end),
    )


def _collect(paths: list[str], kinds: frozenset[str], folder: Path | None) -> "InputList":
    from ovdet_cli.media.sources import collect_inputs

    if folder is not None:
        for path in paths:
            if Path(path).is_dir() and folder.exists() and Path(path).samefile(folder):
                raise UsageError(f"-o {folder} is the input folder itself; name another run folder")
    return collect_inputs(paths, stdin=sys.stdin, kinds=kinds, exclude=[] if folder is None else [folder])


def _vocabulary(vocab: str | None, classes: str | None) -> "Vocabulary | None":
    """What the person named; None: nothing. The checkpoint's own classes are added once it is open."""
    from ovdet_cli.vocabulary.vocabulary import MODEL, Vocabulary

    named = None if vocab in (None, MODEL) else Vocabulary.load(str(vocab))
    typed = None if classes is None else Vocabulary.from_classes(classes)
    return named + typed if named and typed else named or typed


def _names_in(path: Path) -> Sequence[str]:
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

    return Vocabulary.from_file(path).names


def _resolve(vocabulary: "Vocabulary | None", vocab: str | None, detector: Any) -> "Vocabulary":
    """The vocabulary of the run: what was named, with the checkpoint's own classes; else the model's default list."""
    from ovdet_cli.vocabulary.vocabulary import MODEL, Vocabulary

    if vocab == MODEL:
        own = detector.own_vocabulary()
        return own + vocabulary if vocabulary else own
    if vocabulary is None and detector.spec.words == "closed":
        return detector.own_vocabulary()
    return vocabulary or Vocabulary.built_in(detector.spec.vocabulary)


def _check_choices(names: list[str], threshold: float | None, record_threshold: float | None) -> None:
    from ovdet_cli.results.sinks import check_formats

    check_formats(names)
    if threshold is not None and record_threshold is not None and record_threshold > threshold:
        raise UsageError(
            f"--record-threshold {record_threshold:g} is above --threshold {threshold:g}; "
            "records hold at least what is drawn"
        )


def _offering_pull(load: Callable[[], T]) -> T:
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


def _progress(inputs: "InputList", sampling: "Sampling", *, is_quiet: bool) -> Any:
    from ovdet_cli.cli.progress import RunProgress
    from ovdet_cli.pipeline.stream import expected_frames

    has_video = any(info.kind == "video" for info in inputs.sources)
    total = None if is_quiet else expected_frames(inputs, sampling)
    return RunProgress(total, len(inputs.sources), has_video=has_video, is_quiet=is_quiet)


def _say_inputs(inputs: "InputList", folder: Path | None) -> None:
    pictures = sum(info.kind == "image" for info in inputs.sources)
    videos = len(inputs.sources) - pictures
    parts = [_count(pictures, "picture")] * bool(pictures) + [_count(videos, "video")] * bool(videos)
    line = " and ".join(parts) or "nothing that can be read"
    if inputs.missing:
        line += f", {len(inputs.missing)} listed but unusable"
    if inputs.skipped:
        line += "; skipped " + ", ".join(f"{n} {suffix}" for suffix, n in sorted(inputs.skipped.items()))
    console.say(f"{line} -> {folder or 'standard output'}")


def _say_plan(
    inputs: "InputList",
    vocabulary: "Vocabulary | None",
    model: str | None,
    weights: Path | None,
    folder: Path | None,
    *,
    json: bool,
    is_quiet: bool,
) -> None:
    """What a run would do, for --dry-run: the inputs' names on stdout, or everything as JSON."""
    from ovdet_cli.models import store
    from ovdet_cli.models.zoo import DEFAULT, find_model

    spec = None if weights and not model else find_model(model or store.default_model() or DEFAULT)
    plan = {
        "inputs": [info.name for info in inputs.sources],
        "skipped": inputs.skipped,
        "model": spec.name if spec else None,
        "weights": str(weights or (store.weights_path(spec) if spec else "")),
        "weights_present": weights.is_file() if weights else bool(spec and store.is_present(spec.weights)),
        "num_classes": len(vocabulary) if vocabulary else None,
        "output": str(folder) if folder else "-",
    }
    if json:
        console.print_json(plan)
        return
    for info in inputs.sources:
        console.out.print(info.name, markup=False, soft_wrap=True)
    if is_quiet:
        return
    console.say(
        f"dry run: model {plan['model'] or weights}, "
        f"{_count(len(vocabulary), 'class', 'classes') if vocabulary else 'the default vocabulary'}; nothing was done"
    )


def _say_device(asked: str, detector: "Detector") -> None:
    if asked == "auto" and detector.device.type == "cpu" and not detector.spec.weights.bundled:
        console.say("no GPU found: running on the CPU, which takes seconds a picture (`ovdet doctor` tells more)")


def _say_duplicates(vocabulary: "Vocabulary") -> None:
    if again := vocabulary.duplicates():
        shown = ", ".join(again[:8]) + (" ..." if len(again) > 8 else "")
        console.warn(f"{_count(len(again), 'name')} more than once in the vocabulary, each row kept: {shown}")


def _say_unfamiliar(words: "Words") -> None:
    """Names that the model has learnt nothing for, each with what was perhaps meant."""
    for word in words.unfamiliar[:_MOST_UNFAMILIAR]:
        console.warn(f"{word.name!r} is unlike anything the model has learnt (nearest: {word.nearest})")
    if (more := len(words.unfamiliar) - _MOST_UNFAMILIAR) > 0:
        console.warn(f"{more} more such names; `ovdet vocab show` lists them")


def _say_summary(summary: "RunSummary", words: "Words", folder: "RunFolder | None") -> None:
    looked = [_count(summary.pictures, "picture")] * bool(summary.pictures)
    looked += [_count(summary.video_frames, "video frame")] * bool(summary.video_frames)
    rate = summary.frames / summary.total_s if summary.total_s else 0.0
    speed = f"{rate:.1f} a second" if rate >= 1 else f"{1 / rate:.1f} s each" if rate else "none analysed"
    console.say(
        f"{' and '.join(looked) or 'nothing'} in {summary.total_s:.1f} s ({speed}): "
        f"{_count(summary.detections, 'detection')} of {_count(len(summary.labels), 'class', 'classes')} "
        f"in {_count(summary.frames_with_detections, 'frame')}"
    )
    if summary.labels:
        console.say("  " + ", ".join(f"{label} {n}" for label, n in summary.labels.most_common(12)))
    if words.unfamiliar:
        shown = ", ".join(word.name for word in words.unfamiliar[:_MOST_UNFAMILIAR])
        more = " ..." if len(words.unfamiliar) > _MOST_UNFAMILIAR else ""
        console.warn(f"{_count(len(words.unfamiliar), 'name')} unlike anything the model has learnt: {shown}{more}")
    for note in summary.notes[:_MOST_NOTES]:
        console.warn(note)
    if len(summary.notes) > _MOST_NOTES:
        console.warn(f"{len(summary.notes) - _MOST_NOTES} more notes in run.json")
    if summary.failed:
        where = f"; see status error in {folder.path / 'frames.csv'}" if folder else ""
        console.warn(f"{_count(summary.failed, 'input or frame', 'inputs or frames')} failed{where}")
    if folder:
        console.say(f"-> {folder.path}")


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
