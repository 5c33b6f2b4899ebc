"""Key maps of DITO and F-VLM: every tensor of a published layout has its place, and every place its tensor."""

import json
import os
from pathlib import Path

import pytest
import torch

from ovdet_cli.models.architectures import architecture_of, recognise
from ovdet_cli.models.checkpoint import translate
from ovdet_cli.models.zoo import MODELS

REFERENCE = Path(os.environ.get("OVDET_REFERENCE", Path(__file__).parents[3] / "shared" / "reference")) / "dito"

pytestmark = pytest.mark.reference


@pytest.mark.parametrize(
    ("layout", "name"), [("vit_s16", "dito-vit-s"), ("vit_l16", "dito-vit-l"), ("fvlm_r50", "fvlm-r50")]
)
def test_every_name_has_its_place(layout: str, name: str) -> None:
    entries = json.loads((REFERENCE / f"{layout}.manifest.json").read_text(encoding="utf-8"))["tensors"]
    file = {entry["name"]: tuple(entry["shape"]) for entry in entries}
    spec = MODELS[name]
    ours, unknown = translate(list(file), architecture_of(spec).key_map(spec.config))
    assert unknown == []
    with torch.device("meta"):
        state = architecture_of(spec).build(spec.config).state_dict()
    assert set(ours) == {n for n in state if not n.endswith("num_batches_tracked")}
    assert len(ours) == len(file)
    assert recognise(set(file)) == name
    numbers = sum(torch.Size(shape).numel() for shape in file.values())
    assert spec.weights.size == pytest.approx(4 * numbers, rel=0.02)
