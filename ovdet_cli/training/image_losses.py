"""The losses of pictures that have labels or a caption, but no boxes.

Detic (arXiv:2201.02605), section 4, after facebookresearch/Detic 436cda2a (Apache-2.0). A label is learned by one
proposal of the picture, chosen by a rule that needs no prediction where it can (`max_size`); all C + 1 columns take
part, the background's with the target 0.
"""

# B pictures, R proposals of all pictures, r proposals of one, C classes, L labels of a picture, T captions

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.models.ops.boxes import clip_boxes

KINDS = ("max_size", "max_score", "first", "image", "min_loss", "wsddn")


def top_proposals(
    boxes_R4: Tensor, scores_R: Tensor, size_hw: tuple[int, int], count: int = 128
) -> tuple[Tensor, Tensor]:
    """The first `count` proposals of a picture, which come surest first, cut to it; without gradients."""
    return clip_boxes(boxes_R4[:count].detach(), size_hw), scores_R[:count].detach()


def add_image_box(
    boxes_R4: Tensor, objectness_R: Tensor, size_hw: tuple[int, int], scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The proposals with the whole picture as the last one, objectness 1; `scale` shrinks it around the middle."""
    height, width = size_hw
    margin = (1.0 - scale) / 2
    whole = [width * margin, height * margin, width * (1.0 - margin), height * (1.0 - margin)]
    return (
        torch.cat((boxes_R4, boxes_R4.new_tensor([whole]))),
        torch.cat((objectness_R, objectness_R.new_ones(1))),
    )


def image_label_loss(
    kind: str,
    scores_RC1: Tensor,
    boxes: list[Tensor],
    labels: Sequence[Sequence[int] | Tensor],
    *,
    prop_scores: Tensor | None = None,
    weight: float = 0.1,
    softmax: bool = False,
) -> tuple[Tensor, Tensor]:
    """One stage's loss of image labels, and the proposal that each label was learned by.

    kind: one of `KINDS`. `max_size`: the largest proposal, the last in the list left out, for that is the picture's
    own box where there is one (without one the last proposal is skipped all the same: the official code's way).
    `max_score`: the one with the highest score for the label. `first`: the surest. `image`: the last one.
    `min_loss`: the one with the least loss. `wsddn`: all of them, weighed by a softmax of prop_scores.
    scores_RC1: logits of all pictures' proposals, one picture after another. boxes: this stage's, a tensor a picture.
    labels: classes of each picture, at least one. prop_scores: as scores_RC1, `wsddn` alone. weight: of the mean over
    pictures of the mean over labels. softmax: cross-entropy for models trained without sigmoids.
    Returns the loss and int64 rows within their picture, picture by picture, label by label.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    if (kind == "wsddn") != (prop_scores is not None):
        raise ValueError("wsddn needs prop_scores, and no other kind takes them")
    counts = [len(b) for b in boxes]
    props = prop_scores.float().split(counts) if prop_scores is not None else [None] * len(counts)
    total = scores_RC1.float().sum() * 0.0
    selected = []
    for scores_rC1, prop_rC1, boxes_r4, classes in zip(
        scores_RC1.float().split(counts), props, boxes, labels, strict=True
    ):
        classes_L = torch.as_tensor(classes, dtype=torch.long, device=scores_RC1.device)
        if not len(scores_rC1) or not len(classes_L):
            continue
        if prop_rC1 is not None:
            losses_L, rows_L = _wsddn(scores_rC1, prop_rC1, classes_L)
        else:
            losses_L, rows_L = _of_one_proposal(kind, scores_rC1, boxes_r4, classes_L, softmax)
        total = total + losses_L.mean()
        selected.append(rows_L)
    rows = torch.cat(selected) if selected else torch.zeros(0, dtype=torch.long, device=scores_RC1.device)
    return total * (weight / max(len(boxes), 1)), rows


def _of_one_proposal(
    kind: str, scores_rC1: Tensor, boxes_r4: Tensor, classes_L: Tensor, softmax: bool
) -> tuple[Tensor, Tensor]:
    """Losses and rows of one picture's labels, each learned by one proposal."""
    if kind == "min_loss":
        losses_rL = _all_columns(scores_rC1, softmax)[:, None] - scores_rC1[:, classes_L]
        losses_L, rows_L = losses_rL.min(dim=0)
        return losses_L, rows_L
    rows_L = _choose(kind, scores_rC1.detach(), boxes_r4, classes_L)
    return _all_columns(scores_rC1[rows_L], softmax) - scores_rC1[rows_L, classes_L], rows_L


def _all_columns(scores_rC1: Tensor, softmax: bool) -> Tensor:
    """What a row's cross-entropy with a one-hot target is before its class's own logit is taken off: (r,)."""
    return scores_rC1.logsumexp(dim=1) if softmax else F.softplus(scores_rC1).sum(dim=1)


def _choose(kind: str, scores_rC1: Tensor, boxes_r4: Tensor, classes_L: Tensor) -> Tensor:
    """The proposal of each label."""
    if kind == "max_score":
        return scores_rC1[:, classes_L].argmax(dim=0)
    row = torch.zeros((), dtype=torch.long, device=scores_rC1.device)
    if kind == "image":
        row = row + len(scores_rC1) - 1
    elif kind == "max_size" and len(boxes_r4) > 1:
        sides = boxes_r4[:-1, 2:] - boxes_r4[:-1, :2]
        row = (sides[:, 0] * sides[:, 1]).argmax()
    return row.expand(len(classes_L))


def _wsddn(scores_rC1: Tensor, prop_rC1: Tensor, classes_L: Tensor) -> tuple[Tensor, Tensor]:
    """WSDDN (arXiv:1511.02853): a picture's score is the sum over proposals of class times detection score.

    The loss is the mean over columns, and the rows are those with the highest share of that sum.
    """
    shares_rC1 = scores_rC1.sigmoid() * prop_rC1.softmax(dim=0)
    picture_C1 = shares_rC1.sum(dim=0).clamp(1e-10, 1 - 1e-10)
    truth_LC1 = F.one_hot(classes_L, len(picture_C1)).to(picture_C1.dtype)
    losses_LC1 = F.binary_cross_entropy(picture_C1.expand_as(truth_LC1), truth_LC1, reduction="none")
    return losses_LC1.mean(dim=1), shares_rC1[:, classes_L].argmax(dim=0)


def caption_loss(
    scores_RT: Tensor,
    counts: Sequence[int],
    *,
    first: int = 0,
    negative_weight: float = 1.0,
    weight: float = 1.0,
) -> Tensor:
    """Loss of captions: the whole picture, last of its proposals, must find its own among all of the batch.

    scores_RT: logits of all proposals with each caption as a class. counts: proposals of each picture. first: which
    caption the first picture's is (with several processes, theirs come before). negative_weight: of others' captions,
    1/8 in the recipe where processes share theirs. weight: the mean over pictures is multiplied by it. The official
    image loss multiplies that by its own 0.1 too.
    """
    last_B = torch.as_tensor(counts, device=scores_RT.device).cumsum(0) - 1
    scores_BT = scores_RT[last_B].float()
    own_B = torch.arange(first, first + len(counts), device=scores_RT.device)
    truth_BT = F.one_hot(own_B, scores_BT.shape[1]).to(scores_BT.dtype)
    weights_BT = truth_BT + (1 - truth_BT) * negative_weight
    total = F.binary_cross_entropy_with_logits(scores_BT, truth_BT, weights_BT, reduction="sum")
    return total * (weight / max(len(counts), 1))
