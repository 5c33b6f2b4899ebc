"""Key map of ViLD: every tensor of the four published layouts has its place, and every place its tensor."""

import json
import os
from pathlib import Path

import pytest
import torch

from ovdet_cli.errors import ModelError
from ovdet_cli.models.architectures import architecture_of, recognise
from ovdet_cli.models.checkpoint import load_weights, translate
from ovdet_cli.models.zoo import MODELS

REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[4] / "shared" / "reference")) / "vild"
LAYOUTS = {
    "r50_vild": "vild-r50",
    "r50_vild_ensemble": "vild-ensemble-r50",
    "r152_vild": "vild-r152",
    "r152_vild_ensemble": "vild-ensemble-r152",
}
DROPPED = {"global_step", "frcnn_layer_0/fast_rcnn_head/class-predict/kernel"}

pytestmark = [pytest.mark.reference, pytest.mark.parametrize("layout", LAYOUTS)]


def manifest(layout: str) -> dict[str, tuple[int, ...]]:
    entries = json.loads((REFERENCE / f"{layout}.manifest.json").read_text(encoding="utf-8"))["tensors"]
    return {entry["name"]: tuple(entry["shape"]) for entry in entries}


def test_every_name_has_its_place(layout: str) -> None:
    spec = MODELS[LAYOUTS[layout]]
    file = manifest(layout)
    ours, unknown = translate(list(file), architecture_of(spec).key_map(spec.config))
    assert unknown == []
    assert set(file) - set(ours.values()) == DROPPED
    with torch.device("meta"):
        state = architecture_of(spec).build(spec.config).state_dict()
    assert set(ours) == {name for name in state if not name.endswith("num_batches_tracked")}
    numbers = sum(torch.Size(shape).numel() for shape in file.values())
    assert spec.weights.size == pytest.approx(4 * numbers, rel=0.01)


def test_a_layout_is_recognised(layout: str) -> None:
    assert recognise(set(manifest(layout))) == LAYOUTS[layout]


def test_a_momentum_slot_is_passed_over_and_a_wrong_shape_told(layout: str) -> None:
    spec = MODELS[LAYOUTS[layout]]
    architecture = architecture_of(spec)
    with torch.device("meta"):
        model = architecture.build(spec.config)
        tensors = {name: torch.empty(shape) for name, shape in manifest(layout).items()}
        tensors |= {f"{name}/Momentum": tensor for name, tensor in tensors.items()}
        tensors["fpn/p6/kernel"] = torch.empty(3, 3, 256)
        tensors["frcnn_layer_0/fast_rcnn_head/fc6/kernel"] = torch.empty(12544, 1000)
    with pytest.raises(ModelError) as caught:
        load_weights(model, tensors, architecture.key_map(spec.config), "w")
    assert str(caught.value) == (
        "w does not fit this model. 2 misshapen: fpn/p6/kernel [3, 3, 256] instead of [256, 256, 3, 3], "
        "frcnn_layer_0/fast_rcnn_head/fc6/kernel [12544, 1000] instead of [1024, 12544]"
    )
