"""`ovdet detect` and `ovdet video`: inputs and words in, a run folder out."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from ovdet_cli.cli import choices, console, telling
from ovdet_cli.cli import options as o
from ovdet_cli.errors import UsageError

if TYPE_CHECKING:
    from ovdet_cli.detector.detector import Detector
    from ovdet_cli.detector.words import Words
    from ovdet_cli.media.sampling import Sampling
    from ovdet_cli.media.sources import InputList
    from ovdet_cli.pipeline.job import IndexSettings
    from ovdet_cli.pipeline.looking import Looking
    from ovdet_cli.pipeline.similar import SkipSimilar
    from ovdet_cli.vocabulary.vocabulary import Vocabulary


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
        save_crops: o.SaveCrops = False,
        all_crops: o.AllCrops = False,
        crop_margin: o.CropMargin = 0.1,
        stills: o.Stills = False,
        clips: o.Clips = False,
        clip_padding: o.ClipPadding = 1.0,
        blur: o.BlurLabels = None,
        blur_only: o.BlurOnly = False,
        trails: o.TrailSeconds = 2.0,
        ruler: o.TimeRuler = False,
        index: o.MakeIndex = False,
        index_regions: o.IndexRegions = "auto",
        index_precision: o.IndexPrecision = "int8",
        index_masks: o.IndexMasks = False,
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
        keyframes: o.Keyframes = False,
        scenes: o.Scenes = False,
        skip_similar: o.SkipSimilar = False,
        similar: o.SimilarLevel = None,
        refresh: o.Refresh = None,
        input_fps: o.InputFps = "25",
        track: o.Track = False,
        track_lost: o.TrackLost = None,
        codec: o.VideoCodec = "h264",
        crf: o.Crf = None,
        encoder_preset: o.EncoderPreset = None,
        hwaccel: o.Hwaccel = "auto",
        device: o.Device = "auto",
        precision: o.Precision = "auto",
        batch: o.Batch = None,
        workers: o.Workers = 2,
        max_download: o.MaxDownload = 8.0,
        max_failures: o.MaxFailures = None,
        dry_run: o.DryRun = False,
        quiet: o.Quiet = False,
        verbose: o.Verbose = False,
    ) -> None:
        from ovdet_cli.media.encoders import Encoding

        choices.set_log_level(is_quiet=quiet, is_verbose=verbose)
        choices.check_output(output, is_json=json, is_overwrite=overwrite, formats=formats)
        if index and output == "-":
            raise UsageError("--index needs a run folder: leave out -o -")
        if track_lost is not None and not track:
            raise UsageError("--track-lost says how objects are followed: add --track")
        looking = _looking(save_crops, all_crops, crop_margin, stills, clips, clip_padding, blur, blur_only, render)
        if looking.needs_folder and output == "-":
            raise UsageError("crops, stills, clips and blurring need a run folder: leave out -o -")
        most = _index_regions(index_regions)
        names = [name.strip() for name in formats.split(",") if name.strip()]
        encoding = Encoding(codec, crf, encoder_preset, hwaccel)
        sampling = _sampling(every, fps, start, end, keyframes, scenes)
        if scenes and skip_similar:
            raise UsageError("--scenes and --skip-similar exclude each other: a frame per shot is never like the last")
        if not skip_similar and (similar or refresh is not None):
            raise UsageError("--similar and --refresh say how frames are skipped: add --skip-similar")
        folder = None if output == "-" or output is None else Path(output)
        inputs = _collect(paths, kinds, folder, _rate("--input-fps", input_fps), round(max_download * 1e9))
        if output is None:
            folder = Path(f"{inputs.name}-ovdet")
        vocabulary = choices.vocabulary(vocab, classes)
        novel_names = None if novel is None else choices.names_in(novel)
        choices.check_choices(names, threshold, record_threshold)
        if not quiet:
            _say_inputs(inputs, folder)
        if dry_run:
            _say_plan(inputs, vocabulary, model, weights, folder, json=json, is_quiet=quiet)
            return

        from ovdet_cli.detector.detector import Detector
        from ovdet_cli.media.remote import without_secrets
        from ovdet_cli.pipeline.folder import RunFolder
        from ovdet_cli.pipeline.job import DetectJob
        from ovdet_cli.pipeline.run import run
        from ovdet_cli.pipeline.track_stage import plan_tracking
        from ovdet_cli.render.draw import DrawStyle
        from ovdet_cli.tracking.settings import TrackSettings

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
            detector = choices.offering_pull(load)
            if not quiet:
                telling.say_device(device, detector)
            words = choices.offering_pull(
                lambda: detector.prepare_words(
                    choices.resolve(vocabulary, vocab, detector), embeddings, novel_names, background, text_rows
                )
            )
            telling.say_duplicates(words.vocabulary)
            telling.say_unfamiliar(words)
            cut = detector.spec.rules.threshold if threshold is None else threshold
            if record_threshold is not None:
                words = words.recorded_above(record_threshold)
            kept = _index_settings(detector, words, most, index_precision, index_masks) if index else None
            tracking = None
            if track:  # after the index, which keeps what it would without
                lost_s = TrackSettings.lost_s if track_lost is None else track_lost
                tracking, words = plan_tracking(detector, words, cut, lost_s)
            job = DetectJob(
                inputs,
                detector,
                words,
                run_folder,
                threshold=cut,
                formats=names,
                render=render,
                style=DrawStyle(
                    masks=not (no_masks or blur_only),
                    boxes=not blur_only,
                    labels=not (no_labels or blur_only),
                    colours=words.vocabulary.colours,
                    trails_s=trails if track and not blur_only else 0.0,
                    has_ruler=ruler,
                ),
                looking=looking,
                sampling=sampling,
                encoding=encoding,
                workers=workers,
                max_failures=max_failures,
                command=["ovdet", *map(without_secrets, sys.argv[1:])],
                stream=None if folder else console.stdout_bytes(),
                embeddings=embeddings,
                index=kept,
                tracking=tracking,
                skip_similar=_skip_similar(similar, refresh) if skip_similar else None,
            )
            with _progress(inputs, sampling, is_quiet=quiet) as progress:
                summary = run(job, progress.update)
        if not quiet:
            telling.say_summary(summary, words, run_folder)
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


def _looking(
    save_crops: bool,
    all_crops: bool,
    crop_margin: float,
    stills: bool,
    clips: bool,
    clip_padding: float,
    blur: str | None,
    blur_only: bool,
    render: str,
) -> "Looking":
    """What is shown besides annotated pictures; refuses contradictions."""
    from ovdet_cli.pipeline.looking import Looking

    labels = tuple(label.strip() for label in (blur or "").split(",") if label.strip())
    if blur is not None and not labels:
        raise UsageError("--blur names no label; write for example --blur 'face,number plate'")
    if blur_only and not labels:
        raise UsageError("--blur-only needs --blur LABEL")
    if labels and render == "none" and not (save_crops or all_crops or stills):
        raise UsageError("--blur has nothing to hide: --render none draws nothing, and there are no crops or stills")
    return Looking(
        save_crops, all_crops, crop_margin, stills, clips, Fraction(clip_padding).limit_denominator(1000), labels
    )


def _index_regions(text: str) -> int | Literal["all", "auto"]:
    if text == "all":
        return "all"
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--index-regions {text}: write a number of regions, all, or auto")


def _index_settings(
    detector: "Detector", words: "Words", most: int | Literal["all", "auto"], precision: Any, with_masks: bool
) -> "IndexSettings":
    """auto: with half the lowest threshold in use a query finds all that this run could have found, and more."""
    from ovdet_cli.detector.choosing import RegionPolicy
    from ovdet_cli.pipeline.job import IndexSettings

    if most == "auto":
        lowest = words.classes.lowest(detector.rules.threshold) if words.classes else detector.rules.threshold
        return IndexSettings(RegionPolicy(None, lowest / 2, with_masks), precision)
    # A region whose best score is 0 is kept too: its threshold lies below.
    return IndexSettings(RegionPolicy(None if most == "all" else most, -1.0, with_masks), precision)


def _sampling(
    every: int, fps: str | None, start: str | None, end: str | None, keyframes: bool, scenes: bool
) -> "Sampling":
    from ovdet_cli.media.sampling import Sampling, parse_time

    return Sampling(
        every,
        None if fps is None else _rate("--fps", fps),
        start_s=None if start is None else parse_time(start),
        end_s=None if end is None else parse_time(end),
        keyframes=keyframes,
        scenes=scenes,
    )


def _rate(option: str, text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{option} {text}: write a number (2.5) or a fraction (30000/1001)") from error


def _skip_similar(level: Any, refresh: float | None) -> "SkipSimilar":
    from ovdet_cli.pipeline.similar import SkipSimilar

    return SkipSimilar(level or SkipSimilar.level, SkipSimilar.refresh_s if refresh is None else Fraction(refresh))


def _collect(
    paths: list[str], kinds: frozenset[str], folder: Path | None, input_fps: Fraction, most_bytes: int
) -> "InputList":
    from ovdet_cli.media.sources import collect_inputs

    if folder is not None:
        for path in paths:
            if Path(path).is_dir() and folder.exists() and Path(path).samefile(folder):
                raise UsageError(f"-o {folder} is the input folder itself; name another run folder")
    return collect_inputs(
        paths,
        stdin=sys.stdin,
        kinds=kinds,
        exclude=[] if folder is None else [folder],
        input_fps=input_fps,
        most_bytes=most_bytes,
    )


def _progress(inputs: "InputList", sampling: "Sampling", *, is_quiet: bool) -> Any:
    from ovdet_cli.cli.progress import RunProgress
    from ovdet_cli.pipeline.stream import expected_frames

    has_video = any(info.kind == "video" for info in inputs.sources)
    total = None if is_quiet else expected_frames(inputs, sampling)
    return RunProgress(total, len(inputs.sources), has_video=has_video, is_quiet=is_quiet)


def _say_inputs(inputs: "InputList", folder: Path | None) -> None:
    pictures = sum(info.kind == "image" for info in inputs.sources)
    videos = len(inputs.sources) - pictures
    parts = [telling.count(pictures, "picture")] * bool(pictures) + [telling.count(videos, "video")] * bool(videos)
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
    words = telling.count(len(vocabulary), "class", "classes") if vocabulary else "the default vocabulary"
    console.say(f"dry run: model {plan['model'] or weights}, {words}; nothing was done")
