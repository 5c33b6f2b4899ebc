"""What commands tell a person of a run: on stderr, in words."""

from typing import TYPE_CHECKING

from ovdet_cli.cli import console

if TYPE_CHECKING:
    from ovdet_cli.detector.detector import Detector
    from ovdet_cli.detector.words import Words
    from ovdet_cli.pipeline.folder import RunFolder
    from ovdet_cli.pipeline.summary import RunSummary
    from ovdet_cli.vocabulary.vocabulary import Vocabulary

_MOST_UNFAMILIAR = 8
_MOST_NOTES = 8  # printed at the end; run.json holds all


def say_device(asked: str, detector: "Detector") -> None:
    """Says when there is no GPU for a model that wants one."""
    if asked == "auto" and detector.device.type == "cpu" and not detector.spec.weights.bundled:
        console.say("no GPU found: running on the CPU, which takes seconds a picture (`ovdet doctor` tells more)")


def say_duplicates(vocabulary: "Vocabulary") -> None:
    """Names that stand more than once."""
    if again := vocabulary.duplicates():
        shown = ", ".join(again[:8]) + (" ..." if len(again) > 8 else "")
        console.warn(f"{count(len(again), 'name')} more than once in the vocabulary, each row kept: {shown}")


def say_unfamiliar(words: "Words") -> None:
    """Names that the model has learnt nothing for, each with what was perhaps meant."""
    for word in words.unfamiliar[:_MOST_UNFAMILIAR]:
        console.warn(f"{word.name!r} is unlike anything the model has learnt (nearest: {word.nearest})")
    if (more := len(words.unfamiliar) - _MOST_UNFAMILIAR) > 0:
        console.warn(f"{more} more such names; `ovdet vocab show` lists them")


def say_summary(summary: "RunSummary", words: "Words", folder: "RunFolder | None") -> None:
    """What a run found, and what went wrong."""
    looked = [count(summary.pictures, "picture")] * bool(summary.pictures)
    looked += [count(summary.video_frames, "video frame")] * bool(summary.video_frames)
    if summary.reused:
        looked[-1] += f" ({summary.reused} of them unchanged and not analysed)"
    rate = summary.frames / summary.total_s if summary.total_s else 0.0
    speed = f"{rate:.1f} a second" if rate >= 1 else f"{1 / rate:.1f} s each" if rate else "none analysed"
    console.say(
        f"{' and '.join(looked) or 'nothing'} in {summary.total_s:.1f} s ({speed}): "
        f"{count(summary.detections, 'detection')} of {count(len(summary.labels), 'class', 'classes')} "
        f"in {count(summary.frames_with_detections, 'frame')}"
    )
    if summary.labels:
        console.say("  " + ", ".join(f"{label} {n}" for label, n in summary.labels.most_common(12)))
    if words.unfamiliar:
        shown = ", ".join(word.name for word in words.unfamiliar[:_MOST_UNFAMILIAR])
        more = " ..." if len(words.unfamiliar) > _MOST_UNFAMILIAR else ""
        console.warn(f"{count(len(words.unfamiliar), 'name')} unlike anything the model has learnt: {shown}{more}")
    for note in summary.notes[:_MOST_NOTES]:
        console.warn(note)
    if len(summary.notes) > _MOST_NOTES:
        console.warn(f"{len(summary.notes) - _MOST_NOTES} more notes in run.json")
    if summary.failed:
        where = f"; see status error in {folder.path / 'frames.csv'}" if folder else ""
        console.warn(f"{count(summary.failed, 'input or frame', 'inputs or frames')} failed{where}")
    if folder:
        console.say(f"-> {folder.path}")


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"
