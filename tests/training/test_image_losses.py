"""Losses of image labels and captions and their gradients, against the official code's."""

# Limits as in test_losses.py.

import pytest
import torch
from torch import Tensor

from ovdet_cli.training.image_losses import KINDS, add_image_box, caption_loss, image_label_loss, top_proposals
from tests.training.reference import official, official_arrays, official_list, relative_gap

LIMIT = 1e-5
LABELS = official_list("image/labels", 2)
CASES = [
    (tag, option)
    for tag in ("noimgbox", "imgbox")
    for option in (*KINDS, "softmax_max_size")
    if f"image/{tag}/{option}/loss" in official_arrays()
]


def loss_of(tag: str, option: str, scores: Tensor, prop_scores: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return image_label_loss(
        option.removeprefix("softmax_"),
        scores,
        official_list(f"image/{tag}/boxes", 2),
        LABELS,
        prop_scores=prop_scores,
        weight=float(official("image/weight")),
        softmax=option.startswith("softmax"),
    )


@pytest.mark.parametrize("picture", range(2))
def test_proposals_are_cut_clipped_and_joined_by_the_picture_as_officially(picture: int) -> None:
    size = tuple(official(f"image/size.{picture}").tolist())
    boxes, objectness = top_proposals(
        official(f"image/proposals.{picture}"), official(f"image/objectness.{picture}"), size, 12
    )
    assert torch.equal(boxes, official(f"image/noimgbox/boxes.{picture}"))
    assert torch.equal(objectness, official(f"image/noimgbox/objectness.{picture}"))
    boxes, objectness = add_image_box(boxes, objectness, size)
    assert torch.equal(boxes, official(f"image/imgbox/boxes.{picture}"))
    assert torch.equal(objectness, official(f"image/imgbox/objectness.{picture}"))


def test_half_a_picture_box_stands_in_the_middle() -> None:
    size = tuple(official("image/size.0").tolist())
    boxes, _ = add_image_box(torch.zeros(0, 4), torch.zeros(0), size, 0.5)
    torch.testing.assert_close(boxes[0], official("image/half_image_box"))


def test_all_options_of_the_reference_are_compared() -> None:
    assert len(CASES) == 13


@pytest.mark.parametrize(("tag", "option"), CASES)
def test_label_loss_equals_the_official(tag: str, option: str) -> None:
    name = f"image/{tag}/{option}"
    scores = official(f"image/{tag}/scores").requires_grad_()
    prop_scores = official(f"image/{tag}/prop_scores").requires_grad_() if option == "wsddn" else None
    loss, selected = loss_of(tag, option, scores, prop_scores)
    loss.backward()
    assert relative_gap(loss, official(f"{name}/loss")) < LIMIT
    assert selected.tolist() == official(f"{name}/selected").tolist()
    assert relative_gap(scores.grad, official(f"{name}/grad")) < LIMIT
    assert relative_gap(scores.grad.norm(), official(f"{name}/grad_norm")) < LIMIT
    if prop_scores is not None:
        assert relative_gap(prop_scores.grad, official(f"{name}/grad_prop")) < LIMIT


@pytest.mark.parametrize(("name", "negative_weight"), [("caption", 1.0), ("caption_sync", 0.125)])
def test_caption_loss_equals_the_official(name: str, negative_weight: float) -> None:
    captions = official("image/caption_scores").requires_grad_()
    weight = float(official("image/weight") * official("image/caption_weight"))
    loss = caption_loss(captions, [13, 13], negative_weight=negative_weight, weight=weight)
    loss.backward()
    assert relative_gap(loss, official(f"image/{name}/loss")) < LIMIT
    assert relative_gap(captions.grad, official(f"image/{name}/grad_caption")) < LIMIT
    assert relative_gap(captions.grad.norm(), official(f"image/{name}/grad_norm")) < LIMIT


@pytest.mark.parametrize(("name", "negative_weight"), [("captiontag", 1.0), ("captiontag_sync", 0.125)])
def test_captions_and_labels_add_up_as_officially(name: str, negative_weight: float) -> None:
    captions = official("image/caption_scores").requires_grad_()
    scores = official("image/imgbox/scores").requires_grad_()
    loss = caption_loss(captions, [13, 13], negative_weight=negative_weight, weight=0.1)
    loss = loss + loss_of("imgbox", "max_size", scores)[0]
    loss.backward()
    assert relative_gap(loss, official(f"image/{name}/loss")) < LIMIT
    assert relative_gap(captions.grad, official(f"image/{name}/grad_caption")) < LIMIT
    both = torch.cat((captions.grad.flatten(), scores.grad.flatten())).norm()
    assert relative_gap(both, official(f"image/{name}/grad_norm")) < LIMIT


def test_captions_of_another_process_come_first() -> None:
    captions = torch.randn(4, 6)
    loss = caption_loss(captions, [2, 2], first=3)
    moved = caption_loss(captions.roll(-3, dims=1), [2, 2])
    torch.testing.assert_close(loss, moved)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_proposal_is_the_one_and_pictures_without_any_add_nothing(kind: str) -> None:
    scores = torch.randn(1, 6, requires_grad=True)
    props = torch.zeros(1, 6) if kind == "wsddn" else None
    boxes = [torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 5.0, 5.0]])]
    loss, selected = image_label_loss(kind, scores, boxes, [[1], [2, 3]], prop_scores=props)
    loss.backward()
    assert selected.tolist() == [0, 0]
    assert float(loss.detach()) > 0 and torch.isfinite(scores.grad).all()


def test_no_proposals_at_all_is_a_zero_that_belongs_to_the_graph() -> None:
    scores = torch.zeros(0, 6, requires_grad=True)
    loss, selected = image_label_loss("max_size", scores, [torch.zeros(0, 4)] * 2, [[1], [2]])
    loss.backward()
    assert (float(loss.detach()), len(selected)) == (0.0, 0)


def test_unknown_rules_and_missing_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="'largest' is none of"):
        image_label_loss("largest", torch.zeros(0, 6), [], [])
    with pytest.raises(ValueError, match="wsddn needs"):
        image_label_loss("wsddn", torch.zeros(0, 6), [], [])
