"""Whole runs of a tiny model: every kind of data, files that come out, going on, and what is refused."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ovdet_cli.detector.detector import Detector
from ovdet_cli.errors import InputError, ModelError, OutputError, TrainingError, UsageError, VocabularyError
from ovdet_cli.models import zoo
from ovdet_cli.training.config import (
    ClassesConfig,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    PhaseConfig,
    RunConfig,
    TrainConfig,
)
from ovdet_cli.training.run import TrainingRun
from ovdet_cli.training.run_log import last_lines
from ovdet_cli.training.scenes import SceneConfig
from ovdet_cli.training.schedule import OptimizerConfig, ScheduleConfig
from ovdet_cli.vocabulary.vocabulary import Vocabulary
from tests.training.tiny import RECIPE, SPEC, picture, write_artwork, write_coco, write_labelled

SCENES = SceneConfig(size_hw=(64, 64), layouts=(("scatter", 1.0),), objects=(1, 2), size_px=(16, 40), pool_size=0)


@pytest.fixture(autouse=True)
def _tiny_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(zoo.MODELS, "tiny", SPEC)


def config_of(*data: DataConfig, iterations: int = 3, **more: object) -> TrainConfig:
    return TrainConfig(
        data=data,
        schedule=ScheduleConfig(iterations, warmup_iterations=1),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        **{
            "model": ModelConfig("tiny"),
            "classes": ClassesConfig("learned"),
            "recipe": RECIPE,
            "run": RunConfig(seed=1, workers=0, ema=0.9, log_every=1),
            **more,
        },
    )


def boxes(folder: Path, **more: object) -> DataConfig:
    folder = folder / "coco"
    path = folder / "boxes.json"
    if not path.exists():
        write_coco(folder)
    return DataConfig("coco", str(path), str(folder / "pictures"), batch=2, size=64, **more)


def labels(folder: Path, names: Sequence[str] = ("dog", "fox"), **more: object) -> DataConfig:
    folder = folder / "labelled"
    if not folder.exists():
        write_labelled(folder, tuple(names))
    return DataConfig("folders", str(folder), batch=2, size=64, scale=(0.5, 1.5), **more)


def scenes(folder: Path, **more: object) -> DataConfig:
    if not (folder / "art").exists():
        write_artwork(folder / "art")
    return DataConfig("scenes", str(folder / "art"), phases=(PhaseConfig(1.0, 2, SCENES),), **more)


def train(config: TrainConfig, folder: Path, until: int | None = None) -> TrainingRun:
    run = TrainingRun(config, folder, "cpu")
    run.run(lambda progress: None, until)
    return run


def test_boxes_and_labels_together_learn_the_classes_of_both(tmp_path: Path) -> None:
    run = train(config_of(boxes(tmp_path), labels(tmp_path, ratio=4), iterations=8), tmp_path / "run")
    assert run.data.names == ("cat", "dog", "fox")
    assert run.data.class_weights_C is not None
    assert run.data.class_weights_C.tolist() == pytest.approx([2**0.5, 1, 0])  # fox has no boxes
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    kinds = ["boxes" if line["loss_cls_stage0"] else "labels" for line in lines]
    assert set(kinds) == {"boxes", "labels"}
    assert all((line["image_loss_stage0"] > 0) == (kind == "labels") for line, kind in zip(lines, kinds, strict=True))


def test_boxes_alone_and_labels_alone(tmp_path: Path) -> None:
    assert train(config_of(boxes(tmp_path)), tmp_path / "boxes").data.names == ("cat", "dog")
    run = train(config_of(labels(tmp_path)), tmp_path / "labels")
    assert run.data.names == ("dog", "fox")
    assert run.data.class_weights_C is None


def test_names_that_differ_in_case_alone_are_one_class(tmp_path: Path) -> None:
    run = TrainingRun(config_of(boxes(tmp_path), labels(tmp_path, ("DOG", "red_fox"))), tmp_path / "run", "cpu")
    assert run.data.names == ("cat", "dog", "red_fox")


def test_a_batch_of_one_in_half_precision_with_a_dynamic_classifier(tmp_path: Path) -> None:
    data = (replace(boxes(tmp_path), batch=1), replace(labels(tmp_path), batch=1))
    half = RunConfig(workers=0, precision="bfloat16", half_heads=True)
    train(config_of(*data, run=half, recipe=replace(RECIPE, dynamic=2), iterations=6), tmp_path / "run")


def test_wsddn_trains_its_second_head_and_leaves_it_out_of_the_weights(tmp_path: Path) -> None:
    run = train(config_of(labels(tmp_path), recipe=replace(RECIPE, image_loss="wsddn")), tmp_path / "run")
    assert any(name.startswith("proposal_scores") for name in run.trained.state_dict())
    assert not any("proposal_scores" in name for name in load_file(tmp_path / "run" / "weights.safetensors"))


def test_a_broken_picture_is_left_out_and_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = labels(tmp_path)
    (tmp_path / "labelled" / "fox" / "1.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING, "ovdet_cli"):
        train(config_of(data, iterations=8), tmp_path / "run")
    assert "fox/1.png" in caplog.text


@pytest.mark.parametrize("kind", ["scenes", "disk"])
def test_a_run_in_two_parts_equals_one_in_a_piece(tmp_path: Path, kind: str) -> None:
    if kind == "scenes":
        config = config_of(scenes(tmp_path), scenes(tmp_path, labels_only=True), iterations=4)
        config = replace(config, evaluation=EvaluationConfig(scenes=0))
    else:
        config = config_of(boxes(tmp_path), labels(tmp_path), iterations=4, recipe=replace(RECIPE, federated=2))
    train(config, tmp_path / "whole")
    assert train(config, tmp_path / "parts", until=2).loop.iteration == 2
    second = TrainingRun(replace(config, run=replace(config.run, workers=1)), tmp_path / "parts", "cpu")
    assert second.resume() == 2
    second.run(lambda progress: None)
    for name in ("weights.safetensors", "classes.safetensors"):
        one, two = (load_file(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name


def test_what_comes_out_is_loaded_by_the_detector(tmp_path: Path) -> None:
    run = train(config_of(scenes(tmp_path), evaluation=EvaluationConfig(scenes=0)), tmp_path / "run")
    detector = Detector("tiny", weights=tmp_path / "run" / "weights.safetensors", device="cpu", threshold=0.0)
    words = detector.prepare_words(
        Vocabulary.from_file(tmp_path / "run" / "classes.txt"), tmp_path / "run" / "classes.safetensors"
    )
    assert words.vocabulary.names == ("square", "bar")
    (found,) = detector.detect([picture([(0, (10, 10, 40, 40))])], words)
    assert len(found.scores)
    averaged = run.averaged().detector.state_dict()
    loaded = load_file(tmp_path / "run" / "weights.safetensors")
    assert torch.equal(loaded["neck.laterals.0.weight"], averaged["neck.laterals.0.weight"])
    assert not torch.equal(loaded["neck.laterals.0.weight"], run.trained.detector.neck.laterals[0].weight)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["name"] == "tiny"


def test_training_begins_from_weights_and_ready_embeddings(tmp_path: Path) -> None:
    train(config_of(labels(tmp_path)), tmp_path / "first")
    np.save(tmp_path / "words.npy", np.eye(3, 16, dtype=np.float32))
    model = ModelConfig("tiny", str(tmp_path / "first" / "weights.safetensors"))
    config = config_of(
        boxes(tmp_path),
        labels(tmp_path),
        model=model,
        classes=ClassesConfig("text", str(tmp_path / "words.npy"), ("fox", "dog", "cat")),
    )
    run = TrainingRun(config, tmp_path / "second", "cpu")
    first = load_file(tmp_path / "first" / "weights.safetensors")
    assert torch.equal(run.trained.detector.state_dict()["stages.0.fc1.weight"], first["stages.0.fc1.weight"])
    run.run(lambda progress: None)
    assert run.data.names == ("fox", "dog", "cat")
    assert torch.equal(load_file(tmp_path / "second" / "classes.safetensors")["embeddings"], torch.eye(3, 16))


def test_evaluations_on_scenes_and_on_pictures(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    drawn = config_of(scenes(tmp_path), iterations=1, evaluation=EvaluationConfig(scenes=3))
    train(drawn, tmp_path / "drawn")
    assert set(last_lines(tmp_path / "drawn")[1]) == {"iteration", "ap", "ap50", "boxes_ap50"}
    truth = boxes(tmp_path)
    evaluation = EvaluationConfig(path=truth.path, images=truth.images, size=64)
    train(config_of(truth, iterations=1, evaluation=evaluation), tmp_path / "disk")
    assert last_lines(tmp_path / "disk")[1]["iteration"] == 1


def test_evaluation_scenes_differ_by_seed_and_from_training(tmp_path: Path) -> None:
    def pictures(seed: int) -> set[bytes]:
        run = TrainingRun(
            config_of(scenes(tmp_path), evaluation=EvaluationConfig(scenes=3, seed=seed)), tmp_path / "run", "cpu"
        )
        return {s.image.tobytes() for s in run._fresh_scenes()}

    assert len(pictures(0) | pictures(1)) == 6


def test_another_configuration_is_refused_but_not_other_workers(tmp_path: Path) -> None:
    config = config_of(labels(tmp_path))
    train(config, tmp_path / "run", until=1)
    TrainingRun(replace(config, run=replace(config.run, log_every=7, workers=1)), tmp_path / "run", "cpu").resume()
    with pytest.raises(TrainingError, match="another configuration or other data"):
        TrainingRun(replace(config, run=replace(config.run, seed=9)), tmp_path / "run", "cpu").resume()
    write_labelled(tmp_path / "labelled", ("wolf",))
    with pytest.raises(TrainingError, match="another configuration or other data"):
        TrainingRun(config, tmp_path / "run", "cpu").resume()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": ModelConfig("tinny")}, ModelError, "no model"),
        ({"model": ModelConfig("tiny", "gone.safetensors")}, ModelError, "no weight file"),
        ({"model": ModelConfig("tiny", "published")}, ModelError, "models pull"),
        ({"recipe": replace(RECIPE, match_ious=(0.5,))}, UsageError, "must have 2 entries"),
        ({"classes": ClassesConfig("learned", names=("dog",))}, VocabularyError, "fox"),
        ({"data": (DataConfig("folders", "gone"),)}, InputError, "gone is no folder"),
        ({"data": (DataConfig("coco", "gone.json"),)}, InputError, "gone.json"),
        ({"data": (DataConfig("scenes", "gone"),)}, InputError, "no artwork"),
        ({"data": (DataConfig("folders"),)}, UsageError, r"data\[0\] names no path"),
        ({"data": (DataConfig("folders", "a"), DataConfig("scenes", "b"))}, UsageError, "cannot be mixed"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, changes: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TrainingRun(replace(config_of(labels(tmp_path)), **changes), tmp_path / "run", "cpu")


def test_levels_must_fit_the_model(tmp_path: Path) -> None:
    default = replace(RECIPE, centernet=type(RECIPE.centernet)())
    with pytest.raises(UsageError, match="must have 3 entries"):
        TrainingRun(config_of(labels(tmp_path), recipe=default), tmp_path / "run", "cpu")


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        train(config_of(labels(tmp_path)), tmp_path / "file")
