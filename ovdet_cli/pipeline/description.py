"""run.json: what made a run, with what settings, and what came of it."""

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovdet_cli.detector.words import Words
from ovdet_cli.frame import SourceInfo
from ovdet_cli.media.remote import RemoteInfo
from ovdet_cli.pipeline.job import DetectJob
from ovdet_cli.pipeline.summary import RunSummary
from ovdet_cli.results.record import SCHEMA, readable
from ovdet_cli.vocabulary.entry_writer import plain_entry

if TYPE_CHECKING:
    from ovdet_cli.pipeline.query import QueryJob

_PACKAGES = ("torch", "torchvision", "timm", "open_clip_torch", "av", "opencv-python-headless", "pillow", "numpy")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _novel_names(words: Words) -> list[str]:
    """The classes that were scored as novel."""
    if words.is_novel_C is None:
        return []
    return [name for name, is_novel in zip(words.names, words.is_novel_C.tolist(), strict=True) if is_novel]


def describe_head(command: Sequence[str], summary: RunSummary, started: datetime) -> dict[str, Any]:
    """How the run began and ended."""
    return {
        "schema": SCHEMA,
        "status": summary.status,
        "command": list(command),
        "started": started.isoformat(timespec="seconds"),
        "finished": None if summary.status == "running" else datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "ovdet": _version("ovdet"),
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
    }


def describe_words(words: Words, embeddings: Path | None) -> dict[str, Any]:
    """The vocabulary, with what its file says of each class."""
    vocabulary = words.vocabulary
    has_entries = any(part.entries is not None for part in vocabulary.parts)
    return {
        "origins": [part.origin or "words" for part in vocabulary.parts],
        "sha256": vocabulary.sha256,
        "embeddings": list(words.origins),
        "embeddings_file": str(embeddings) if embeddings else None,
        "embeddings_sha256": words.sha256,
        "novel": _novel_names(words),
        "text_rows": words.rows.height if words.rows else None,
        "background_sha256": words.rows.sha256 if words.rows else None,
        "unfamiliar": [{"name": word.name, "nearest": word.nearest} for word in words.unfamiliar],
        "names": list(vocabulary.names),
        "classes": [plain_entry(entry, Path.cwd()) for entry in vocabulary.entries] if has_entries else None,
    }


def describe_timings(summary: RunSummary) -> dict[str, Any]:
    """Seconds."""
    return {
        "total_s": round(summary.total_s, 3),
        "decode_s": round(summary.decode_s, 3),
        "waited_for_detector_s": round(summary.detect_s, 3),
        "write_s": round(summary.write_s, 3),
        "frames_per_second": round(summary.frames / summary.total_s, 3) if summary.total_s else None,
    }


def describe_places(sources: Sequence[SourceInfo]) -> dict[str, Any]:
    """Where the files lie: the folder that names are relative to, and the files of which that is not true.

    A report shows their pictures. Files that came from an address, and are gone, have no place.
    """
    roots: Counter[str] = Counter()
    loose: dict[str, tuple[str, str]] = {}
    for info in sources:
        if isinstance(info, RemoteInfo):
            continue
        path = info.path.absolute().as_posix()
        root = path.removesuffix(f"/{info.name}")
        roots[root] += root != path
        loose[info.name] = (root, path)
    common = roots.most_common(1)[0][0] if roots.total() else None
    elsewhere = {name: path for name, (own, path) in loose.items() if own != common}
    return {
        "root": None if common is None else readable(common),
        "elsewhere": {readable(name): readable(path) for name, path in elsewhere.items()},
    }


def describe_run(job: DetectJob, summary: RunSummary, started: datetime) -> dict[str, Any]:
    """The content of run.json."""
    detector = job.detector
    rules, preprocess = detector.rules, detector.preprocess
    return {
        **describe_head(job.command, summary, started),
        "model": {
            "name": detector.spec.name,
            "stem": detector.spec.stem,
            "weights": str(detector.weights),
            "weights_sha256": detector.weights_sha256,
            "text_encoder": detector.spec.text_encoder,
            "prompt": detector.spec.prompt,
        },
        "vocabulary": describe_words(job.words, job.embeddings),
        "settings": {
            "threshold": job.threshold,
            "record_threshold": job.record_threshold,
            "nms_iou": rules.nms_iou,
            "max_detections": rules.max_detections,
            "one_class": rules.one_class,
            "post": detector.post,
            "tracking": None if job.tracking is None else asdict(job.tracking.settings),
            "short_side": preprocess.short_side,
            "max_size": preprocess.max_size,
            "masks": detector.with_masks,
            "device": str(detector.device),
            "precision": str(detector.dtype).removeprefix("torch."),
            "batch": detector.batch,
            "formats": list(job.formats),
            "render": job.render,
            "codec": job.encoding.codec,
            "crf": job.encoding.quality,
            "encoder_preset": job.encoding.preset,
            "hwaccel": job.encoding.hwaccel,
            **job.looking.described(),
            "trails_s": job.style.trails_s,
            "ruler": job.style.has_ruler,
            "every": job.sampling.every,
            "fps": None if job.sampling.fps is None else float(job.sampling.fps),
            "start_s": None if job.sampling.start_s is None else float(job.sampling.start_s),
            "end_s": None if job.sampling.end_s is None else float(job.sampling.end_s),
            "keyframes": job.sampling.keyframes,
            "scenes": job.sampling.scenes,
            "skip_similar": None if job.skip_similar is None else job.skip_similar.level,
            "refresh_s": None if job.skip_similar is None else float(job.skip_similar.refresh_s),
        },
        "inputs": {
            "name": job.inputs.name,
            "skipped": job.inputs.skipped,
            **describe_places(job.inputs.sources),
        },
        "counts": summary.counts(),
        "timings": describe_timings(summary),
        "notes": summary.notes,
    }


def describe_query(
    job: "QueryJob", summary: RunSummary, started: datetime, sources: Sequence[SourceInfo]
) -> dict[str, Any]:
    """The same of a query, which is of these sources."""
    rules, facts, where = job.asker.rules, job.index.facts, job.where
    return {
        **describe_head(job.command, summary, started),
        "model": {
            "name": job.asker.spec.name,
            "stem": job.asker.spec.stem,
            "weights": None,
            "weights_sha256": facts["model"]["weights_sha256"],
            "text_encoder": job.asker.spec.text_encoder,
            "prompt": job.asker.spec.prompt,
        },
        "index": {
            "run": str(job.run),
            "is_whole": job.index.is_whole,
            "precision": job.index.precision,
            "regions": facts.get("regions"),
        },
        "vocabulary": describe_words(job.words, job.embeddings),
        "settings": {
            "threshold": job.threshold,
            "record_threshold": rules.threshold,
            "nms_iou": rules.nms_iou,
            "max_detections": rules.max_detections,
            "one_class": rules.one_class,
            "post": job.asker.post,
            "masks": job.with_masks and job.index.mask_cells is not None,
            "formats": list(job.formats),
            "render": job.render,
            "top": job.top,
            "where": {
                "sources": list(where.sources),
                "start_s": None if where.start_s is None else float(where.start_s),
                "end_s": None if where.end_s is None else float(where.end_s),
            },
        },
        "inputs": describe_places(sources),
        "counts": summary.counts(),
        "timings": describe_timings(summary),
        "notes": summary.notes,
    }
