import json
import os
import re
from functools import cache
from pathlib import Path

import pytest
import torch

from ovdet_cli.errors import ModelError
from ovdet_cli.models.architectures import architecture_of, recognise
from ovdet_cli.models.checkpoint import load_weights, translate
from ovdet_cli.models.detic.keys import KEY_MAP
from ovdet_cli.models.zoo import MODELS

PACKAGED = Path(__file__).parents[2] / "data" / "reference" / "detic"
REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[4] / "shared" / "reference")) / "detic"
COLUMNS = {f"roi_heads.box_predictor.{stage}.cls_score.zs_weight" for stage in range(3)}
LAYOUTS = {
    # name: the model that it is recognised as, and names of the file that are known and dropped
    "r18": ("detic-r18", COLUMNS),
    "r50": ("detic-r50", {*COLUMNS, *(f"backbone.bottom_up.base.fc.{k}" for k in ("weight", "bias"))}),
    "swin_b": ("detic-swin-b", COLUMNS),
    "convnext_t": ("detic-convnext-t", COLUMNS),
    "ovcoco_r50_c4": (
        "detic-ovcoco-r50",
        {f"roi_heads.box_predictor.{name}" for name in ("cls_score.zs_weight", "freq_weight")},
    ),
    "deform_detr_r50": (
        "detic-deformdetr-r50",
        {"criterion.fed_loss_weight", *(f"detr.class_embed.{k}.{n}" for k in range(6) for n in ("weight", "bias"))},
    ),
}
TOTALS = {"r18": 186, "r50": 353, "swin_b": 441, "convnext_t": 264, "ovcoco_r50_c4": 279, "deform_detr_r50": 575}
every_layout = pytest.mark.parametrize(
    "layout", ["r18", *(pytest.param(name, marks=pytest.mark.reference) for name in LAYOUTS if name != "r18")]
)


@cache
def manifest(layout) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published file."""
    folder = PACKAGED if layout == "r18" else REFERENCE
    entries = json.loads((folder / f"{layout}.manifest.json").read_text(encoding="utf-8"))["tensors"]
    return {entry["name"]: tuple(entry["shape"]) for entry in entries}


def built(spec):
    """Our model, whose numbers nobody needs."""
    return architecture_of(spec).build(spec.config)


@every_layout
def test_every_name_of_the_file_is_one_of_ours(layout):
    file = manifest(layout)
    name, dropped = LAYOUTS[layout]
    spec = MODELS[name]
    assert len(file) == TOTALS[layout]
    ours, unknown = translate(list(file), architecture_of(spec).key_map(spec.config))
    assert unknown == []
    left_out = set(file) - set(ours.values())
    assert {name for name in left_out if not name.endswith("relative_position_index")} == dropped
    assert len(left_out - dropped) == (24 if layout == "swin_b" else 0)
    shapes = {name: tuple(t.shape) for name, t in built(spec).state_dict().items() if "num_batches" not in name}
    assert {name: file[foreign] for name, foreign in ours.items()} == shapes


@every_layout
def test_a_missing_name_is_told_as_the_file_would_have_it(layout):
    """One file without each of its tensors: the error lists just the names that were taken away."""
    spec = MODELS[LAYOUTS[layout][0]]
    model, key_map = built(spec), architecture_of(spec).key_map(spec.config)
    file = {name: torch.empty(shape, device="meta") for name, shape in manifest(layout).items()}
    ours, _ = translate(list(file), key_map)
    wanted = list(ours.values())
    for start in range(0, len(wanted), 12):
        gone = wanted[start : start + 12]
        with pytest.raises(ModelError) as caught:
            load_weights(model, {name: tensor for name, tensor in file.items() if name not in gone}, key_map, "w")
        assert str(caught.value) == f"w does not fit this model. {len(gone)} missing: {', '.join(sorted(gone))}"


@every_layout
def test_a_layout_is_recognised(layout):
    assert recognise(set(manifest(layout))) == LAYOUTS[layout][0]
    spec = MODELS[LAYOUTS[layout][0]]
    assert spec.weights.size == pytest.approx(
        4 * sum(torch.Size(shape).numel() for shape in manifest(layout).values()), rel=0.01
    )


@pytest.mark.parametrize(
    "names",
    [set(), {"a"}, {"backbone.stem.conv1.weight"}, {"detr.class_embed.0.bias"}],
)
def test_another_layout_is_not_recognised(names):
    assert recognise(names) is None


def test_every_row_of_the_map_can_be_reached():
    """No row stands behind one that takes all its names."""
    sample = {pattern: re.sub(r"\(\.\*\)|\.\*", "weight", pattern) for pattern, _ in KEY_MAP}
    for pattern, text in sample.items():
        name = (
            re.sub(r"\(\\d\+?\)|\\d\+?", "0", text)
            .replace("(p[67])", "p6")
            .replace("(fc[12])", "fc1")
            .replace("(mean|std)", "mean")
        )
        name = re.sub(r"\((\w+)\|\w+\)|\([\w.\\]+\)\?", r"\1", name).replace("\\", "")
        assert re.fullmatch(pattern, name), name
        assert next(p for p, _ in KEY_MAP if re.fullmatch(p, name)) == pattern
