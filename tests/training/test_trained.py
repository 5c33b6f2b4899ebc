"""What trains: the detector, class vectors if they are learned, WSDDN's second head."""

from dataclasses import replace

import torch

from ovdet_cli.models.detic.model import build_detic
from ovdet_cli.training.batches import make_batch
from ovdet_cli.training.trained import DeticLosses, TrainedDetic
from tests.training.tiny import CONFIG, PREPROCESS, RECIPE, sample

BATCH = make_batch([sample([(0, (4, 6, 36, 40))])], PREPROCESS)


def trained(is_learned: bool, **recipe: object) -> TrainedDetic:
    torch.manual_seed(0)
    return TrainedDetic(build_detic(CONFIG), 3 * torch.randn(3, 16), is_learned, replace(RECIPE, **recipe))


def test_columns_have_unit_length() -> None:
    torch.testing.assert_close(trained(False).texts_CD.norm(dim=1), torch.ones(3))


def test_learned_vectors_are_parameters_and_fixed_ones_are_not() -> None:
    for is_learned in (True, False):
        module = trained(is_learned)
        assert ("class_vectors" in dict(module.named_parameters())) == is_learned
        assert "class_vectors" in module.state_dict()
        losses = DeticLosses(module, RECIPE)(BATCH, torch.Generator())
        torch.stack(list(losses.values())).sum().backward()
        assert (module.class_vectors.grad is not None) == is_learned


def test_wsddn_has_a_head_for_each_stage() -> None:
    names = set(trained(False, image_loss="wsddn").state_dict()) - set(trained(False).state_dict())
    assert names == {f"proposal_scores.stages.{k}.{i}.{p}" for k in (0, 1) for i in (0, 2) for p in ("weight", "bias")}
    assert trained(False, image_loss="wsddn").state_dict()["proposal_scores.stages.0.2.bias"].shape == (4,)
