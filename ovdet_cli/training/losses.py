"""The losses of box-labelled pictures: CenterNet's heat and boxes, then class, box and mask of each region.

They follow facebookresearch/Detic 436cda2a, CenterNet2 8745e012 and detectron2 02b5c4e2 (all Apache-2.0), in float32
whatever the network ran in. Each is zero, with gradients that are zero, where there is nothing to learn from.
"""

# B pictures, M cells of all levels, P centre cells, Q cells with a box, R regions, C classes, N foreground regions

import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.training.centernet_targets import CenterNetTargets
from ovdet_cli.training.region_targets import encode_deltas

# The recipe's numbers: shares of positives and negatives, the weight of both, the clamp of the probability, and the
# heat from which a cell that no object claims is not blamed: it may lie on an unlabelled object.
_ALPHA = 0.25
_HEAT_WEIGHT = 0.5
_CLAMP = 1e-4
_NO_BLAME = 0.85


def centernet_losses(
    heats: list[Tensor],
    distances: list[Tensor],
    targets: CenterNetTargets,
    normalisers: tuple[float, float] | None = None,
) -> dict[str, Tensor]:
    """The three losses of the proposal head, under the official names.

    heats: logits (B, 1, h, w), a tensor a level. distances: (B, 4, h, w) in strides, after the ReLU.
    normalisers: numbers of centre cells and of cells with a box to divide by, where several processes share a batch
    (their means); else this batch's own. Both count as at least 1.
    """
    logits_M = torch.cat([heat.float().flatten() for heat in heats])
    if len(logits_M) != len(targets.heat_M):
        raise ValueError(f"{len(logits_M)} cells of heat, but targets of {len(targets.heat_M)}")
    ltrb_M4 = torch.cat([distance.float().permute(0, 2, 3, 1).reshape(-1, 4) for distance in distances])
    positives, boxes = normalisers or (len(targets.centre_cells_P), len(targets.box_cells_Q))
    positive, negative = _heat_losses(logits_M, targets)
    loc = giou_loss(ltrb_M4[targets.box_cells_Q], targets.ltrb_Q4)
    return {
        "loss_centernet_agn_pos": positive * (_HEAT_WEIGHT / max(positives, 1)),
        "loss_centernet_agn_neg": negative * (_HEAT_WEIGHT / max(positives, 1)),
        "loss_centernet_loc": loc / max(boxes, 1),
    }


def _heat_losses(logits_M: Tensor, targets: CenterNetTargets) -> tuple[Tensor, Tensor]:
    """Sums over centre cells and over all cells.

    CornerNet (arXiv:1808.01244), eq. 1, with alpha and beta of that paper as 2 and 4; a centre cell's (1 - t)^4 is 0.
    """
    p_M = logits_M.sigmoid().clamp(_CLAMP, 1 - _CLAMP)
    p_P = p_M[targets.centre_cells_P]
    positive = -((1 - p_P) ** 2 * p_P.log()).sum()
    weight_M = (1 - targets.heat_M) ** 4 * (p_M < _NO_BLAME)
    negative = -(p_M**2 * weight_M * (1 - p_M).log()).sum()
    return _ALPHA * positive, (1 - _ALPHA) * negative


def giou_loss(ltrb_Q4: Tensor, target_Q4: Tensor) -> Tensor:
    """Sum of 1 - GIoU of boxes around one point, given by their distances to it.

    GIoU (arXiv:1902.09630), alg. 1. The official code adds 1 to both areas of the IoU, but not to the enclosing box's.
    """
    left, top, right, bottom = ltrb_Q4.unbind(-1)
    t_left, t_top, t_right, t_bottom = target_Q4.unbind(-1)
    overlap = (torch.min(left, t_left) + torch.min(right, t_right)) * (
        torch.min(bottom, t_bottom) + torch.min(top, t_top)
    )
    hull = (torch.max(left, t_left) + torch.max(right, t_right)) * (torch.max(bottom, t_bottom) + torch.max(top, t_top))
    union = (t_left + t_right) * (t_top + t_bottom) + (left + right) * (top + bottom) - overlap
    giou = (overlap + 1) / (union + 1) - (hull - union) / hull
    return (1 - giou).sum()


def class_loss(
    scores_RC1: Tensor, labels_R: Tensor, classes: Tensor | None = None, ignored_C: Tensor | None = None
) -> Tensor:
    """Sigmoid cross-entropy summed over classes, divided by the number of regions, background ones included.

    scores_RC1: logits (R, C + 1); the last column, the background's, has no part. labels_R: int64, C is background.
    classes: the federated set, int64; others contribute nothing, and so does the background in it; None: all.
    ignored_C: bool (C,), classes that never contribute (those without a picture in OV-COCO).
    """
    num_classes = scores_RC1.shape[1] - 1
    columns = torch.arange(num_classes, device=labels_R.device) if classes is None else classes[classes < num_classes]
    if ignored_C is not None:
        columns = columns[~ignored_C[columns]]
    # Choosing columns first, not weighting them, matters with 1203 or 22047 classes.
    is_all = classes is None and ignored_C is None
    scores = (scores_RC1[:, :-1] if is_all else scores_RC1.index_select(1, columns)).float()
    truth = (labels_R[:, None] == columns).to(scores.dtype)
    return F.binary_cross_entropy_with_logits(scores, truth, reduction="sum") / max(len(labels_R), 1)


def class_loss_softmax(scores_RC1: Tensor, labels_R: Tensor) -> Tensor:
    """Softmax cross-entropy over classes and background, mean over regions: for models trained without sigmoids."""
    return F.cross_entropy(scores_RC1.float(), labels_R, reduction="sum") / max(len(labels_R), 1)


def box_loss(
    deltas_R4: Tensor,
    boxes_R4: Tensor,
    gt_boxes_R4: Tensor,
    foreground_R: Tensor,
    weights: tuple[float, float, float, float],
) -> Tensor:
    """Absolute error of the weighted deltas, summed over foreground regions, divided by the number of all regions.

    deltas_R4: the head's output. boxes_R4: the boxes that entered this stage. gt_boxes_R4: the object that each was
    matched with, whatever it is for background. foreground_R: bool.
    """
    wanted_N4 = encode_deltas(boxes_R4[foreground_R], gt_boxes_R4[foreground_R], weights)
    return (deltas_R4[foreground_R].float() - wanted_N4).abs().sum() / max(len(deltas_R4), 1)


def mask_loss(logits: Tensor, targets_NSS: Tensor) -> Tensor:
    """Binary cross-entropy, mean over all cells of all masks.

    logits: (N, S, S) or (N, 1, S, S), one mask for all classes. targets_NSS: bool or 0 and 1.
    """
    logits_NSS = logits.float().reshape(targets_NSS.shape)
    total = F.binary_cross_entropy_with_logits(logits_NSS, targets_NSS.to(logits_NSS.dtype), reduction="sum")
    return total / max(targets_NSS.numel(), 1)
