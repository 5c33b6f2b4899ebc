"""The built-in model from nothing to the files that ship: train, fit the words, calibrate, measure, pack.

python -m ovdet_cli.training.shipped FOLDER [ARTWORK]

ARTWORK is built by `ovdet_cli.training.artwork_build`. Every step leaves its result in FOLDER, and a step whose result
is there is not done again: what was stopped goes on.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ovdet_cli.errors import OvdetError
from ovdet_cli.evaluation.coco_ap import evaluate
from ovdet_cli.evaluation.matching import Matches, calibration_error, match_boxes, operating_point, reliability
from ovdet_cli.models import store
from ovdet_cli.models.architectures import architecture_of
from ovdet_cli.models.checkpoint import load_weights, read_checkpoint, write_safetensors
from ovdet_cli.models.compact import pack
from ovdet_cli.models.interface import OpenVocabularyDetector
from ovdet_cli.models.spec import Rules
from ovdet_cli.models.zoo import BUILTIN
from ovdet_cli.training.artwork import Artwork
from ovdet_cli.training.calibration import fit_calibration
from ovdet_cli.training.categories import load_categories
from ovdet_cli.training.config import read_config
from ovdet_cli.training.data import preprocess_of
from ovdet_cli.training.loop import Progress
from ovdet_cli.training.measuring import AP_RULES, Found, detect_samples, results_of, truth_of
from ovdet_cli.training.package import TEXT, package_builtin
from ovdet_cli.training.run import WEIGHTS, TrainingRun
from ovdet_cli.training.samples import Sample
from ovdet_cli.training.scenes import SceneConfig, SceneGenerator
from ovdet_cli.training.sources import EVALUATION_SEEDS
from ovdet_cli.training.wordnet import WordNet, fetch_wordnet
from ovdet_cli.training.words import fit_words

CONFIG = Path(__file__).parent / "configs" / "builtin.toml"
# Scenes of the measures lie apart from those of evaluations during training (the first million seeds).
_CALIBRATION_SEEDS = EVALUATION_SEEDS + 500_000_000
_MEASURE_SEEDS = EVALUATION_SEEDS + 600_000_000
_UNCALIBRATED = [1.0, 0.0]
UNSEEN = ("fxemoji", "openmoji", "emojione-v1")
Say = Callable[[str], None]


def retrain(folder: Path, artwork: Path, target: Path, say: Say) -> None:
    """All steps; the shipped files go to `target`."""
    config = read_config(CONFIG, [f'data.0.path="{artwork}"'])
    run = TrainingRun(config, folder)
    if run.resume() < config.schedule.iterations or not (folder / WEIGHTS).is_file():
        run.run(lambda progress: say(_line(progress)))
    finish(folder, artwork, target, say)


def finish(folder: Path, artwork: Path, target: Path, say: Say) -> None:
    """What follows the training in `folder`: words, calibration, measures, packing."""
    drawings = Artwork.open(artwork)
    if not (folder / TEXT).is_file():
        fit_tower(folder, say)
    texts_CD = load_file(folder / "classes.safetensors")["embeddings"].float()
    weights = load_file(folder / WEIGHTS)
    if weights["calibration"].tolist() == _UNCALIBRATED:
        slope, offset = calibrate(_model(folder), texts_CD, drawings)
        say(f"calibration: {slope:.3f} x logit {offset:+.3f}")
        write_safetensors(weights | {"calibration": torch.tensor([slope, offset])}, folder / WEIGHTS)
    measured = measure_all(_model(folder), texts_CD, drawings, say)
    (folder / "measured.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(as_figures(measured), indent=1) + "\n", encoding="utf-8")
    size = package_builtin(folder, folder, target)
    say(f"{target}: {store.size_text(size)}")


def fit_tower(folder: Path, say: Say) -> None:
    """Fits the text tower to the class vectors of a finished run; writes it, and its rates beside it."""
    words = WordNet.open(fetch_wordnet(folder / "wordnet"))
    vectors_CD = load_file(folder / "classes.safetensors")["embeddings"].float().numpy()

    def tell(step: int, steps: int, loss: float) -> None:
        if step % 100 == 0:
            say(f"words {step}/{steps}: loss {loss:.3f}")

    encoder, report = fit_words(vectors_CD, load_categories(), words, progress=tell)
    (folder / "words.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    encoder.save(folder / TEXT)


def calibrate(
    model: OpenVocabularyDetector, texts_CD: Tensor, drawings: Artwork, scenes: int = 250
) -> tuple[float, float]:
    """Slope and offset for the scores of detections as users get them (one class a region), on fresh scenes."""
    config = SceneConfig(styles=drawings.training_styles)
    found, samples = _detect(model, texts_CD, drawings, config, _CALIBRATION_SEEDS, scenes, _user_rules(0.02))
    matches = match_boxes(truth_of(samples, drawings.categories), results_of(found))
    return fit_calibration(matches.scores, matches.is_correct)


def measure_all(
    model: OpenVocabularyDetector, texts_CD: Tensor, drawings: Artwork, say: Say, scenes: int = 300
) -> dict[str, dict[str, float]]:
    """AP over the full list of names on fresh scenes, by style, and what users get at the default threshold."""
    train = drawings.training_styles
    kinds = {
        "training styles": SceneConfig(styles=train),
        "held-out drawings": SceneConfig(styles=train, held_out="only"),
        **{style: SceneConfig(styles=(style,), clutter_styles=train) for style in UNSEEN if style in drawings.styles},
    }
    measured = {}
    for kind, config in kinds.items():
        started = time.perf_counter()
        found, samples = _detect(model, texts_CD, drawings, config, _MEASURE_SEEDS, scenes, AP_RULES)
        truth, results = truth_of(samples, drawings.categories), results_of(found)
        named = evaluate(truth, results, max_detections=AP_RULES.max_detections).overall
        boxes = evaluate(truth, results, max_detections=AP_RULES.max_detections, is_class_agnostic=True).overall
        numbers = {"ap": named.ap, "ap50": named.at_50, "small": named.small, "medium": named.medium}
        numbers |= {"large": named.large, "boxes_ap50": boxes.at_50, "objects": named.num_objects}
        users, _ = _detect(model, texts_CD, drawings, config, _MEASURE_SEEDS, scenes, _user_rules(0.02))
        numbers |= _at_threshold(match_boxes(truth, results_of(users)))
        measured[kind] = {name: round(float(value), 4) for name, value in numbers.items() if value is not None}
        say(f"{kind}: {measured[kind]} ({time.perf_counter() - started:.0f} s)")
    return measured


def as_figures(measured: dict[str, dict[str, float]]) -> dict[str, str]:
    """The measures as a person reads them: what was measured -> figures."""
    return {
        kind: f"AP50 {100 * m['ap50']:.1f}, AP {100 * m['ap']:.1f}; at the default threshold precision "
        f"{m.get('precision', 0):.2f}, recall {m.get('recall', 0):.2f}"
        for kind, m in measured.items()
    }


def _at_threshold(matches: Matches) -> dict[str, float | None]:
    point = operating_point(matches, BUILTIN.rules.threshold)
    error = calibration_error(reliability(matches.scores, matches.is_correct))
    return {"precision": point.precision, "recall": point.recall, "calibration_error": error}


def _user_rules(threshold: float) -> Rules:
    """The model's own rules, with another threshold."""
    return dataclasses.replace(BUILTIN.rules, threshold=threshold)


def _detect(
    model: OpenVocabularyDetector,
    texts_CD: Tensor,
    drawings: Artwork,
    config: SceneConfig,
    first: int,
    scenes: int,
    rules: Rules,
) -> tuple[list[Found], list[Sample]]:
    generator = SceneGenerator(drawings, config)
    samples: list[Sample] = []

    def drawn() -> Iterator[Sample]:
        for seed in range(first, first + scenes):
            sample = generator.scene(seed)
            samples.append(dataclasses.replace(sample, masks=None))
            yield sample

    return detect_samples(model, texts_CD, drawn(), preprocess_of(BUILTIN), rules), samples


def _model(folder: Path) -> OpenVocabularyDetector:
    """The run's model with the small numbers that ship."""
    packed = folder / "packed.safetensors"
    write_safetensors(pack(load_file(folder / WEIGHTS)), packed)
    architecture = architecture_of(BUILTIN)
    model = architecture.build(BUILTIN.config)
    load_weights(model, read_checkpoint(packed), architecture.key_map(BUILTIN.config), str(packed))
    return model.to(memory_format=torch.channels_last)


def _line(progress: Progress) -> str:
    losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items() if value)
    return f"{progress.iteration}/{progress.iterations} ({progress.seconds_left / 60:.0f} min left) {losses}"


def main() -> None:
    """The command."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python -m ovdet_cli.training.shipped FOLDER [ARTWORK]")
    artwork = Path(sys.argv[2] if len(sys.argv) > 2 else "artwork").absolute()
    try:
        retrain(Path(sys.argv[1]), artwork, store.BUNDLED, lambda text: print(text, flush=True))
    except OvdetError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
