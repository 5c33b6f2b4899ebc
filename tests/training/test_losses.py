"""Losses of box-labelled pictures and their gradients, against the official code's."""

# The limits are those of the reference's README: 1e-5 of a loss or of the largest gradient; the smallest of the
# mistakes it lists changes a loss by 7e-4.

import pytest
import torch
from torch import Tensor

from ovdet_cli.training.centernet_targets import centernet_targets
from ovdet_cli.training.losses import (
    box_loss,
    centernet_losses,
    class_loss,
    class_loss_softmax,
    giou_loss,
    mask_loss,
)
from tests.training.reference import official, official_arrays, official_list, relative_gap, unpacked

LIMIT = 1e-5
CLASSES = 20
WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))
NAMES = {
    "loss_pos": "loss_centernet_agn_pos",
    "loss_neg": "loss_centernet_agn_neg",
    "loss_loc": "loss_centernet_loc",
}


def assert_loss_equals(found: Tensor, name: str) -> None:
    assert relative_gap(found, official(name)) < LIMIT


def norm(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients]).norm()


def centernet_case(case: str) -> tuple[list[Tensor], list[Tensor], dict[str, Tensor]]:
    heats = [x.requires_grad_() for x in official_list(f"centernet/{case}/agn_hm", 5)]
    distances = [x.requires_grad_() for x in official_list(f"centernet/{case}/ltrb", 5)]
    shapes = [(x.shape[2], x.shape[3]) for x in heats]
    targets = centernet_targets(official_list(f"centernet/{case}/gt_boxes", 2), shapes)
    return heats, distances, centernet_losses(heats, distances, targets)


@pytest.mark.parametrize("case", ["a", "b", "c"])
@pytest.mark.parametrize("loss", NAMES)
def test_centernet_losses_and_gradients_equal_the_official(case: str, loss: str) -> None:
    heats, distances, losses = centernet_case(case)
    name = f"centernet/{case}/{loss}"
    assert_loss_equals(losses[NAMES[loss]], name)
    maps = distances if loss == "loss_loc" else heats
    gradients = list(torch.autograd.grad(losses[NAMES[loss]], maps))
    assert relative_gap(norm(gradients), official(f"{name}.grad_norm")) < LIMIT
    for level, gradient in enumerate(gradients):
        if f"{name}.grad.{level}" in official_arrays():
            assert relative_gap(gradient, official(f"{name}.grad.{level}")) < LIMIT
        elif f"{name}.grad.{level}.idx" in official_arrays():
            expected = torch.zeros(gradient.numel())
            expected[official(f"{name}.grad.{level}.idx").long()] = official(f"{name}.grad.{level}.val")
            assert relative_gap(gradient.flatten(), expected) < LIMIT


def test_given_normalisers_replace_the_counts_but_not_below_one() -> None:
    heats, distances, own = centernet_case("a")
    shapes = [(x.shape[2], x.shape[3]) for x in heats]
    targets = centernet_targets(official_list("centernet/a/gt_boxes", 2), shapes)
    given = centernet_losses(heats, distances, targets, (28, 0.5))
    torch.testing.assert_close(given["loss_centernet_agn_neg"], own["loss_centernet_agn_neg"] / 2)
    torch.testing.assert_close(given["loss_centernet_loc"], own["loss_centernet_loc"] * len(targets.box_cells_Q))


def test_targets_of_other_maps_are_refused() -> None:
    heats, distances, _ = centernet_case("c")
    targets = centernet_targets([torch.zeros(0, 4)], [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)])
    with pytest.raises(ValueError, match="cells of heat"):
        centernet_losses(heats, distances, targets)


def test_an_equal_box_has_no_loss_and_a_box_of_no_size_a_finite_one() -> None:
    target = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert float(giou_loss(target, target)) == pytest.approx(0, abs=1e-6)
    nothing = torch.zeros(1, 4, requires_grad=True)
    loss = giou_loss(nothing, target)
    loss.backward()
    # No overlap, a union of 24 and a hull as large: 1 - 1/25.
    assert float(loss.detach()) == pytest.approx(0.96)
    assert torch.isfinite(nothing.grad).all()


def stage_inputs(stage: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes of all pictures, their objects (any box where a picture has none) and labels."""
    boxes = official_list(f"roi/stage{stage}/boxes", 3)
    objects = [*official_list(f"roi/stage{stage}/gt_boxes", 2), torch.zeros_like(boxes[2])]
    return torch.cat(boxes), torch.cat(objects), official(f"roi/stage{stage}/gt_classes")


@pytest.mark.parametrize("stage", range(3))
def test_class_loss_equals_the_official(stage: int) -> None:
    scores = official(f"roi/stage{stage}/scores").requires_grad_()
    loss = class_loss(scores, stage_inputs(stage)[2], official(f"roi/stage{stage}/fed_classes"))
    loss.backward()
    assert_loss_equals(loss, f"roi/stage{stage}/loss_cls")
    assert relative_gap(scores.grad, official(f"roi/stage{stage}/loss_cls.grad")) < LIMIT
    assert relative_gap(scores.grad.norm(), official(f"roi/stage{stage}/loss_cls.grad_norm")) < LIMIT


@pytest.mark.parametrize("stage", range(3))
def test_box_loss_equals_the_official(stage: int) -> None:
    boxes, objects, labels = stage_inputs(stage)
    deltas = official(f"roi/stage{stage}/deltas").requires_grad_()
    loss = box_loss(deltas, boxes, objects, labels < CLASSES, WEIGHTS[stage])
    loss.backward()
    assert_loss_equals(loss, f"roi/stage{stage}/loss_box_reg")
    assert relative_gap(deltas.grad, official(f"roi/stage{stage}/loss_box_reg.grad")) < LIMIT
    assert relative_gap(deltas.grad.norm(), official(f"roi/stage{stage}/loss_box_reg.grad_norm")) < LIMIT


def test_class_loss_over_all_classes_and_without_those_never_seen() -> None:
    scores, labels = official("roi/stage0/scores").requires_grad_(), stage_inputs(0)[2]
    assert_loss_equals(class_loss(scores, labels), "roi/plain/loss_cls")
    loss = class_loss(scores, labels, ignored_C=official("roi/freq") == 0)
    loss.backward()
    assert_loss_equals(loss, "roi/ignore_zero/loss_cls")
    assert relative_gap(scores.grad.norm(), official("roi/ignore_zero/loss_cls.grad_norm")) < LIMIT


def test_dynamic_classifier_losses_equal_the_official() -> None:
    boxes, objects, labels = stage_inputs(0)
    columns = official("roi/dynamic/cls_id_map")[labels]
    scores = official("roi/dynamic/scores").requires_grad_()
    deltas = official("roi/dynamic/deltas").requires_grad_()
    losses = {
        "loss_cls": (class_loss(scores, columns), scores),
        "loss_box_reg": (box_loss(deltas, boxes, objects, labels < CLASSES, WEIGHTS[0]), deltas),
    }
    for name, (loss, inputs) in losses.items():
        loss.backward()
        assert_loss_equals(loss, f"roi/dynamic/{name}")
        assert relative_gap(inputs.grad.norm(), official(f"roi/dynamic/{name}.grad_norm")) < LIMIT


def test_softmax_class_loss_is_the_mean_over_regions() -> None:
    scores, labels = official("roi/stage0/scores"), stage_inputs(0)[2]
    expected = -scores.log_softmax(dim=1)[torch.arange(len(labels)), labels].mean()
    torch.testing.assert_close(class_loss_softmax(scores, labels), expected)


def test_mask_loss_equals_the_official() -> None:
    logits = official("roi/mask/logits").requires_grad_()
    loss = mask_loss(logits, unpacked("roi/mask/targets", 28))
    loss.backward()
    assert_loss_equals(loss, "roi/mask/loss")
    assert relative_gap(logits.grad.norm(), official("roi/mask/loss.grad_norm")) < LIMIT
    assert relative_gap(logits.grad[0, 0], official("roi/mask/loss.grad_row0")) < LIMIT


def test_nothing_to_learn_from_is_zero_and_differentiable() -> None:
    scores = torch.zeros(0, 5, requires_grad=True)
    deltas = torch.zeros(3, 4, requires_grad=True)
    masks = torch.zeros(0, 1, 28, 28, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.long)
    losses = [
        class_loss(scores, labels),
        class_loss(scores, labels, torch.tensor([4])),
        class_loss_softmax(scores, labels),
        box_loss(deltas, torch.rand(3, 4), torch.rand(3, 4), torch.zeros(3, dtype=torch.bool), WEIGHTS[0]),
        mask_loss(masks, torch.zeros(0, 28, 28, dtype=torch.bool)),
    ]
    torch.stack(losses).sum().backward()
    assert [float(loss.detach()) for loss in losses] == [0.0] * 5
    assert not deltas.grad.any()
