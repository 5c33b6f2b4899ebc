"""One r18 training step, forward and backward, equals the official code's on the same stand-in weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from ovdet_cli.models.checkpoint import load_weights, translate
from ovdet_cli.models.detic.centernet import Proposals
from ovdet_cli.models.detic.config import R18
from ovdet_cli.models.detic.keys import KEY_MAP
from ovdet_cli.models.detic.model import Detic, build_detic
from ovdet_cli.models.spec import Preprocess
from ovdet_cli.training.batches import Batch, make_batch
from ovdet_cli.training.detic import DeticRecipe, DeticStep, _Columns
from ovdet_cli.training.samples import Sample
from tests.parity.reference import load_script
from tests.training.reference import official, official_arrays

# Every proposal is kept, and 50 classes are drawn for all stages, as in the official run.
# Limits, as in its README: of losses and of gradient norms, relative.
RECIPE = DeticRecipe(regions=100_000, positive_share=1.0, dynamic=50)
LIMITS = {"fixed": (1e-4, 1e-3), "own": (1e-3, 5e-3)}
PICTURES = range(2)


class OfficialStep(DeticStep):
    """The step with the official run's draws: its classes, its background column, in `fixed` its proposals."""

    def __init__(self, model: Detic, columns_CD: Tensor, case: str) -> None:
        super().__init__(model, RECIPE)
        classes = official(f"model/{case}/classes")
        column_of = torch.full((len(columns_CD),), len(classes))
        column_of[classes] = torch.arange(len(classes))
        self.columns = _Columns(F.normalize(columns_CD[classes], dim=1), column_of)
        # Stand-in weights have a background column that is not zero.
        self.background_D = F.normalize(columns_CD[-1], dim=0)
        self.has_own_proposals = case.endswith("own")

    def _choose(self, batch: Batch, texts_CD: Tensor, generator: torch.Generator | None) -> _Columns:
        return self.columns

    def _logits(self, stage: int, hidden_RH: Tensor, columns: _Columns) -> Tensor:
        background_R1 = R18.temperature * self._stage(stage).embed(hidden_RH) @ self.background_D[:, None]
        return torch.cat((super()._logits(stage, hidden_RH, columns)[:, :-1], background_R1), dim=1)

    def _propose(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Proposals]]:
        heats, distances, proposals = super()._propose(pyramid)
        if not self.has_own_proposals:
            boxes = [official(f"model/proposals.{i}") for i in PICTURES]
            proposals = [Proposals(b, torch.ones(len(b))) for b in boxes]
        return heats, distances, proposals


def build(weights: Path) -> tuple[Detic, Tensor]:
    """The model in training mode, and its classifier's columns (C + 1, D)."""
    tensors = load_file(weights)
    model = build_detic(R18).train()
    load_weights(model, tensors, KEY_MAP, str(weights))
    return model, tensors["roi_heads.box_predictor.0.cls_score.zs_weight"].T


def batch_of(kind: str) -> Batch:
    draw = load_script("picture").picture
    samples = []
    for i in PICTURES:
        image = draw(*(int(x) for x in official(f"model/picture.{i}")))
        if kind == "image":
            labels = official(f"model/image_labels.{i}").numpy()
            samples.append(Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), labels=labels))
            continue
        boxes, class_ids = (official(f"model/{name}.{i}").numpy() for name in ("gt_boxes", "gt_classes"))
        outlines = [[official(f"model/gt_polygon.{i}.{k}").numpy()] for k in range(len(boxes))]
        samples.append(Sample(image, boxes, class_ids, outlines))
    return make_batch(samples, Preprocess())


def assert_equals_official(case: str, weights: Path) -> None:
    kind, source = case.split("_")
    model, columns_CD = build(weights)
    losses = OfficialStep(model, columns_CD, case).losses(batch_of(kind), columns_CD)
    torch.stack(list(losses.values())).sum().backward()
    loss_limit, norm_limit = LIMITS[source]
    arrays = official_arrays()
    expected = dict(zip(map(str, arrays[f"model/{case}/loss_names"]), arrays[f"model/{case}/losses"], strict=True))
    assert losses.keys() == expected.keys()
    found = {name: float(loss.detach()) for name, loss in losses.items()}
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, rel=loss_limit, abs=1e-7)

    names = [str(name) for name in arrays["model/grad_names"]]
    ours = {foreign: name for name, foreign in translate(names, KEY_MAP)[0].items()}
    gradients = {name: p.grad for name, p in model.named_parameters()}
    for name, norm in zip(names, arrays[f"model/{case}/grad_norms"], strict=True):
        gradient = gradients[ours[name]]
        if norm < 0:
            assert gradient is None, name
        else:
            assert gradient is not None, name
            assert float(gradient.double().norm()) == pytest.approx(float(norm), rel=norm_limit, abs=1e-7), name


@pytest.mark.parametrize("case", ["box_fixed", "image_fixed"])
def test_step_with_given_proposals_equals_official_code(case: str, r18_weights: Path) -> None:
    assert_equals_official(case, r18_weights)


@pytest.mark.reference
@pytest.mark.parametrize("case", ["box_own", "image_own"])
def test_step_with_its_own_proposals_equals_official_code(case: str, r18_weights: Path) -> None:
    assert_equals_official(case, r18_weights)
