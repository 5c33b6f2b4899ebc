"""What each region should become: its object, the classes that a step learns from, and its mask.

After detectron2 02b5c4e2 (matching, sampling, masks) and facebookresearch/Detic 436cda2a (federated classes), both
Apache-2.0. A `generator` decides all that is drawn; without one torch's own does.
"""

# R regions, G objects, N foreground regions, C classes, S cells along a mask's side

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou, roi_align

from ovdet_cli.training.polygons import rasterise_in_boxes
from ovdet_cli.training.samples import Polygons


def match(boxes_R4: Tensor, gt_boxes_G4: Tensor, iou: float) -> tuple[Tensor, Tensor]:
    """For each region the object of one picture that it overlaps most, and whether that is at least `iou`.

    index_R: int64, 0 where there is no object; foreground_R: bool.
    """
    if not len(gt_boxes_G4) or not len(boxes_R4):
        index_R = torch.zeros(len(boxes_R4), dtype=torch.long, device=boxes_R4.device)
        return index_R, index_R > 0
    overlap_R, index_R = box_iou(gt_boxes_G4, boxes_R4).max(dim=0)
    return index_R, overlap_R >= iou


def sample_rows(
    foreground_R: Tensor, batch: int, positive_fraction: float = 0.25, generator: torch.Generator | None = None
) -> Tensor:
    """Regions of one picture to learn from, foreground first: int64, at most `batch`.

    At most batch * positive_fraction of them are foreground, drawn at random, and the rest background. A kind that
    fits as a whole is kept in its order.
    """
    positive = torch.nonzero(foreground_R).squeeze(1)
    negative = torch.nonzero(~foreground_R).squeeze(1)
    num_positive = min(len(positive), int(batch * positive_fraction))
    num_negative = min(len(negative), batch - num_positive)
    return torch.cat((_draw(positive, num_positive, generator), _draw(negative, num_negative, generator)))


def _draw(rows: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """`count` of the rows, without replacement."""
    if count >= len(rows):
        return rows
    device = generator.device if generator is not None else rows.device
    return rows[torch.randperm(len(rows), generator=generator, device=device)[:count].to(rows.device)]


def federated_classes(
    present: Tensor,
    num_classes: int,
    wanted: int = 50,
    weights_C: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The classes whose scores a step learns from: those present, rising, then others drawn up to `wanted`.

    present: labels of any number, repeats allowed; num_classes itself is background, which counts as one of
    `wanted` though nothing is learned from its column. weights_C: chance of each class (the recipe takes the square
    root of its number of pictures), a class of 0 is never drawn; None: equal. With `wanted` or more present none
    is drawn, and fewer come out where weights are 0.
    """
    present = torch.unique(present)
    device = generator.device if generator is not None else present.device
    if weights_C is None:
        chances = torch.ones(num_classes, device=device)
    else:
        chances = weights_C.to(device=device, dtype=torch.float32, copy=True)
    chances[present[present < len(chances)].to(device)] = 0
    missing = min(wanted - len(present), int((chances > 0).sum()))
    if missing <= 0:
        return present
    drawn = torch.multinomial(chances, missing, replacement=False, generator=generator)
    return torch.cat((present, drawn.to(present)))


def dynamic_classes(
    present: Tensor,
    num_classes: int,
    wanted: int = 50,
    weights: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The columns of a classifier that is drawn anew each step, for vocabularies too large to score whole.

    present: classes of the batch's objects or labels, without background. weights: as `federated_classes`; may
    cover only the first classes, and then only those are drawn.
    Returns the chosen classes (K,) and a map (num_classes + 1,) from a class to its column; background and classes
    that were not chosen go to K.
    """
    chosen_K = federated_classes(present, num_classes, wanted, weights, generator)
    columns = torch.full((num_classes + 1,), len(chosen_K), dtype=torch.long, device=chosen_K.device)
    columns[chosen_K] = torch.arange(len(chosen_K), device=chosen_K.device)
    return chosen_K, columns


def encode_deltas(boxes_N4: Tensor, gt_boxes_N4: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """The deltas with which `decode_deltas` takes boxes to objects: Faster R-CNN (arXiv:1506.01497), eq. 2."""
    sizes_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    gt_sizes_N2 = gt_boxes_N4[:, 2:] - gt_boxes_N4[:, :2]
    shifts_N2 = (gt_boxes_N4[:, :2] + 0.5 * gt_sizes_N2) - (boxes_N4[:, :2] + 0.5 * sizes_N2)
    deltas_N4 = torch.cat((shifts_N2 / sizes_N2, torch.log(gt_sizes_N2 / sizes_N2)), dim=1)
    return deltas_N4 * deltas_N4.new_tensor(weights)


def mask_targets_from_bitmaps(bitmaps_GHW: Tensor, index_N: Tensor, boxes_N4: Tensor, size: int = 28) -> Tensor:
    """Each region's part of its object's bitmap, resampled to its box: bool (N, S, S).

    bitmaps_GHW: bool or uint8 at the size of the network's picture. index_N: the object of each region.
    """
    if not len(boxes_N4):
        return torch.zeros((0, size, size), dtype=torch.bool, device=boxes_N4.device)
    rois_N5 = torch.cat((index_N[:, None].to(boxes_N4.dtype), boxes_N4), dim=1)
    crops = roi_align(
        bitmaps_GHW[:, None].to(boxes_N4.dtype), rois_N5, size, spatial_scale=1.0, sampling_ratio=0, aligned=True
    )
    return crops.squeeze(1) >= 0.5


def mask_targets_from_polygons(
    polygons: Sequence[Polygons], index_N: Tensor, boxes_N4: Tensor, size: int = 28
) -> Tensor:
    """Each region's part of its object's outlines, drawn on a grid laid over its box: bool (N, S, S).

    polygons: each object's outlines, arrays x y x y .. in network pixels. index_N: the object of each region.
    """
    masks_NSS = rasterise_in_boxes(polygons, index_N.cpu().numpy(), boxes_N4.detach().cpu().double().numpy(), size)
    return torch.from_numpy(masks_NSS).to(boxes_N4.device)
