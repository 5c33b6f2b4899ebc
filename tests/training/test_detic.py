"""The training step on a tiny model: every kind of batch gives every loss, and losses that fall find the boxes."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from ovdet_cli.models.detic.model import Detic, build_detic
from ovdet_cli.training.batches import make_batch
from ovdet_cli.training.detic import DeticRecipe, DeticStep
from ovdet_cli.training.image_losses import KINDS, image_label_loss
from ovdet_cli.training.loop import autocast
from ovdet_cli.training.measuring import average_precision, detect_samples
from ovdet_cli.training.run import initialise
from ovdet_cli.training.trained import DeticLosses, TrainedDetic
from tests.training.tiny import CONFIG, PREPROCESS, RECIPE, labelled, sample

BOXES = [sample([(0, (4, 6, 36, 40)), (1, (30, 44, 62, 60))]), sample([(2, (20, 10, 60, 50))], seed=1)]
NAMES = {
    *("loss_centernet_agn_pos", "loss_centernet_agn_neg", "loss_centernet_loc", "loss_mask"),
    *(f"{name}_stage{k}" for name in ("loss_cls", "loss_box_reg", "image_loss") for k in range(2)),
}
IMAGE_NAMES = {"image_loss_stage0", "image_loss_stage1"}


def model(seed: int = 0) -> Detic:
    torch.manual_seed(seed)
    detector = build_detic(CONFIG)
    initialise(detector)
    return detector.train()


def texts(count: int = 3) -> Tensor:
    vectors = torch.randn(count, CONFIG.embedding, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(vectors, dim=1)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def losses_of(samples, recipe: DeticRecipe = RECIPE, **settings) -> dict[str, Tensor]:
    return DeticStep(model(), recipe, **settings).losses(make_batch(samples, PREPROCESS), texts(), generator())


def non_zero(losses: dict[str, Tensor]) -> set[str]:
    assert losses.keys() == NAMES
    assert all(torch.isfinite(loss) for loss in losses.values())
    return {name for name, loss in losses.items() if loss != 0}


def test_boxes_teach_all_but_the_image_losses() -> None:
    detector = model()
    losses = DeticStep(detector, RECIPE).losses(make_batch(BOXES, PREPROCESS), texts(), generator())
    assert non_zero(losses) == NAMES - IMAGE_NAMES
    torch.stack(list(losses.values())).sum().backward()
    assert [name for name, p in detector.named_parameters() if p.grad is None] == []


def test_a_batch_of_one_picture() -> None:
    assert non_zero(losses_of(BOXES[:1])) == NAMES - IMAGE_NAMES


def test_pictures_without_objects_teach_background_alone() -> None:
    found = non_zero(losses_of([sample([]), sample([], seed=1)]))
    assert found == {"loss_centernet_agn_neg", "loss_cls_stage0", "loss_cls_stage1"}


def test_an_empty_picture_beside_a_full_one() -> None:
    assert "loss_mask" in non_zero(losses_of([BOXES[0], sample([], seed=1)]))


def test_boxes_without_masks_teach_no_masks() -> None:
    assert "loss_mask" not in non_zero(losses_of([replace(BOXES[0], masks=None)]))
    assert "loss_mask" not in non_zero(losses_of([replace(BOXES[0], masks=None), BOXES[1]]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image_box", [0.0, 1.0])
def test_labels_teach_the_image_losses_alone(kind: str, image_box: float) -> None:
    if kind == "image" and not image_box:
        pytest.skip("needs the image box")
    recipe = replace(RECIPE, image_loss=kind, image_box=image_box)
    torch.manual_seed(0)
    trained = TrainedDetic(model(), texts(), False, recipe)
    losses = dict(DeticLosses(trained, recipe)(make_batch([labelled(0), labelled(2)], PREPROCESS), generator()))
    assert non_zero(losses) == IMAGE_NAMES
    torch.stack(list(losses.values())).sum().backward()
    gradients = {name for name, p in trained.named_parameters() if p.grad is not None and p.grad.any()}
    assert "detector.stages.0.project.weight" in gradients
    assert ("proposal_scores.stages.1.2.weight" in gradients) == (kind == "wsddn")
    # Nothing is learnt of where things are.
    assert not any("proposal_head" in name or "deltas" in name or "mask_head" in name for name in gradients)


def test_labels_are_weighed() -> None:
    one, two = (losses_of([labelled(0)], replace(RECIPE, image_weight=w))["image_loss_stage0"] for w in (0.1, 0.2))
    torch.testing.assert_close(two, 2 * one)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_have_the_cross_entropy_too_where_one_proposal_learns_them(kind: str) -> None:
    step = DeticStep(model(), replace(RECIPE, image_loss=kind, image_box=1.0, image_weight=0.1, softmax_weight=2.0))
    rng = torch.Generator().manual_seed(0)
    logits, boxes = torch.randn(5, 4, generator=rng), [torch.tensor([[0.0, 0, 9, 9]]).repeat(5, 1)]
    seconds = torch.randn(5, 4, generator=rng) if kind == "wsddn" else None
    labels = [torch.tensor([1])]
    found = step._label_loss(logits, boxes, labels, seconds)
    wanted, rows = image_label_loss(kind, logits, boxes, labels, prop_scores=seconds, weight=0.1)
    if kind != "wsddn":
        row = logits.log_softmax(dim=1)[:, 1].argmax() if kind == "min_loss" else rows[0]
        wanted = wanted - 0.1 * 2.0 * logits[row].log_softmax(dim=0)[1]
    torch.testing.assert_close(found, wanted)


def test_a_picture_without_proposals_teaches_nothing_and_breaks_nothing() -> None:
    detector = model()
    with torch.no_grad():
        detector.proposal_head.heat.bias.fill_(-30)
    step = DeticStep(detector, RECIPE)
    assert non_zero(step.losses(make_batch([labelled(0)], PREPROCESS), texts(), generator())) == set()
    losses = step.losses(make_batch([sample([])], PREPROCESS), texts(), generator())
    assert non_zero(losses) <= {"loss_centernet_agn_neg"}


@pytest.mark.parametrize("batch", [BOXES, [labelled(39), labelled(7)]])
def test_a_dynamic_classifier_learns_from_the_classes_that_are_there(batch) -> None:
    recipe = replace(RECIPE, dynamic=5)
    step = DeticStep(model(), recipe, class_weights_C=torch.ones(40))
    columns = step._choose(make_batch(batch, PREPROCESS), texts(40), generator())
    assert len(columns) == 5
    present = {0, 1, 2} if batch is BOXES else {7, 39}
    assert columns.labels(torch.tensor(sorted(present))).tolist() == list(range(len(present)))
    torch.testing.assert_close(columns.texts_CD[: len(present)], texts(40)[sorted(present)])
    non_zero(step.losses(make_batch(batch, PREPROCESS), texts(40), generator()))


def test_a_federated_loss_looks_at_some_classes_alone() -> None:
    everything = losses_of(BOXES)["loss_cls_stage0"]
    some = losses_of(BOXES, replace(RECIPE, federated=4), class_weights_C=torch.zeros(3))["loss_cls_stage0"]
    torch.testing.assert_close(everything, some)  # all three are there
    fewer = losses_of(BOXES[1:], replace(RECIPE, federated=2), class_weights_C=torch.zeros(3))["loss_cls_stage0"]
    assert fewer < losses_of(BOXES[1:])["loss_cls_stage0"]


@pytest.mark.parametrize("half_heads", [False, True])
def test_half_precision_is_near_and_gradients_are_finite(half_heads: bool) -> None:
    detector = model()
    half = partial(autocast, torch.device("cpu"), "bfloat16")
    step = DeticStep(detector, RECIPE, half=half, half_heads=half_heads)
    losses = step.losses(make_batch(BOXES, PREPROCESS), texts(), generator())
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    whole = losses_of(BOXES)
    for name in ("loss_centernet_agn_neg", "loss_centernet_loc", "loss_mask"):
        assert float(losses[name].detach()) == pytest.approx(float(whole[name].detach()), rel=0.1, abs=0.02), name
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters())


def test_masks_may_be_limited() -> None:
    assert "loss_mask" in non_zero(losses_of(BOXES, replace(RECIPE, mask_regions=1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_loss": "largest"},
        {"image_loss": "wsddn", "dynamic": 50},
        {"image_loss": "image"},
        {"regions": 0},
        {"image_box": 1.5},
    ],
)
def test_recipes_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"image|wsddn|regions"):
        replace(RECIPE, **wrong)


def test_one_overlap_for_each_stage() -> None:
    with pytest.raises(ValueError, match="cascade"):
        DeticStep(model(), replace(RECIPE, match_ious=(0.5,)))


def test_a_few_scenes_are_learnt_by_heart() -> None:
    detector = model()
    step = DeticStep(detector, RECIPE)
    batch, columns, draws = make_batch(BOXES, PREPROCESS), texts(), generator()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3, betas=(0.9, 0.98))
    history: list[dict[str, float]] = []
    for _ in range(110):
        losses = step.losses(batch, columns, draws)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    # The boxes' own losses rise first, with the number of proposals that show an object.
    for name, share in (
        ("loss_centernet_agn_pos", 0.05),
        ("loss_centernet_loc", 0.5),
        ("loss_cls_stage0", 0.4),
        ("loss_mask", 0.3),
    ):
        assert np.mean([losses[name] for losses in history[-5:]]) < share * history[0][name], name
    numbers = average_precision(detect_samples(detector, columns, BOXES, PREPROCESS), BOXES, ["a", "b", "c"])
    assert numbers["ap50"] > 0.9
    untrained = detect_samples(model(), columns, BOXES, PREPROCESS)
    assert average_precision(untrained, BOXES, ["a", "b", "c"])["ap50"] < 0.1
