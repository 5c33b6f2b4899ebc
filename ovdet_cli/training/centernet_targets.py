"""What CenterNet's proposal head should say of a picture: heat, and the box at the cells around each centre.

CenterNet2 (arXiv:2103.07461) after xingyizhou/CenterNet2 8745e012 (Apache-2.0). The official code compares every cell
with every object; here boxes are looked up only in the nine cells around a centre, with the same result.
"""

# N objects of all pictures, L levels, M cells of all levels, P centre cells, Q cells with a box

from dataclasses import dataclass

import torch
from torch import Tensor

from ovdet_cli.models.detic.centernet import STRIDES

# Heat below this is none at all, as in the official code.
_LEAST_HEAT = 1e-4


@dataclass(frozen=True)
class CenterNetRules:
    """Which objects belong to which level, and how far an object's heat reaches."""

    level_sizes: tuple[tuple[float, float], ...] = ((0, 80), (64, 160), (128, 320), (256, 640), (512, 1e7))
    """Least and greatest half diagonal of a level's objects in pixels, both included; they overlap."""
    strides: tuple[int, ...] = STRIDES
    min_overlap: float = 0.8
    """The heat's radius is the shift that leaves about this overlap with the object."""
    min_radius: float = 4.0
    """Pixels."""

    def __post_init__(self) -> None:
        if len(self.level_sizes) != len(self.strides):
            raise ValueError(f"{len(self.strides)} strides, but sizes of {len(self.level_sizes)} levels")


@dataclass(frozen=True)
class CenterNetTargets:
    """Targets of one batch. Cells are counted by level, then picture, then row, then column.

    heat_M: float32 in [0, 1], exactly 1 at every object's centre cell, on every level.
    centre_cells_P: int64, the positives: one for each object and level it belongs to, repeats kept.
    box_cells_Q: int64, rising: the cells that a box is learned at.
    ltrb_Q4: float32, distances from there to the box's left, top, right and bottom edge, in strides.
    """

    heat_M: Tensor
    centre_cells_P: Tensor
    box_cells_Q: Tensor
    ltrb_Q4: Tensor


@dataclass(frozen=True)
class _Objects:
    """The objects of all pictures, one picture after another.

    size_r2_N: squared radius of the heat. levels_NL: bool, the levels an object belongs to.
    """

    boxes_N4: Tensor
    centres_N2: Tensor
    pictures_N: Tensor
    size_r2_N: Tensor
    levels_NL: Tensor


def assign_levels(boxes_N4: Tensor, rules: CenterNetRules) -> Tensor:
    """Levels that each box belongs to, by half its diagonal: bool (N, L), up to two of them true."""
    half_N1 = (((boxes_N4[:, 2:] - boxes_N4[:, :2]) ** 2).sum(dim=1) ** 0.5 / 2)[:, None]
    sizes_L2 = boxes_N4.new_tensor(rules.level_sizes)
    return (half_N1 >= sizes_L2[:, 0]) & (half_N1 <= sizes_L2[:, 1])


def centernet_targets(
    boxes: list[Tensor], shapes_hw: list[tuple[int, int]], rules: CenterNetRules | None = None
) -> CenterNetTargets:
    """The targets of a batch.

    boxes: float (n, 4) in network pixels for each picture, n may be 0. shapes_hw: height and width in cells of each
    level's maps, finest first; as many levels as the rules have.
    """
    rules = rules or CenterNetRules()
    if len(shapes_hw) != len(rules.strides):
        raise ValueError(f"maps of {len(shapes_hw)} levels, but rules for {len(rules.strides)}")
    objects = _gather(boxes, rules)
    heats, centres, cells, distances = [], [], [], []
    base = 0
    for level, (size_hw, stride) in enumerate(zip(shapes_hw, rules.strides, strict=True)):
        cells_N2 = _centre_cells(objects.centres_N2, size_hw, stride)
        flat_N = _flat(cells_N2, objects.pictures_N, size_hw)
        heats.append(_draw_heat(objects, flat_N, len(boxes), size_hw, stride))
        member_N = objects.levels_NL[:, level]
        centres.append(base + flat_N[member_N])
        cells_Q, ltrb_Q4 = _box_targets(objects, cells_N2, member_N, size_hw, stride)
        cells.append(base + cells_Q)
        distances.append(ltrb_Q4)
        base += len(boxes) * size_hw[0] * size_hw[1]
    return CenterNetTargets(torch.cat(heats), torch.cat(centres), torch.cat(cells), torch.cat(distances))


def _gather(boxes: list[Tensor], rules: CenterNetRules) -> _Objects:
    """All objects in one table, with what does not depend on the level's map."""
    boxes_N4 = torch.cat(boxes).float()
    counts = torch.tensor([len(b) for b in boxes], device=boxes_N4.device)
    pictures_N = torch.repeat_interleave(torch.arange(len(boxes), device=boxes_N4.device), counts)
    sides_N2 = boxes_N4[:, 2:] - boxes_N4[:, :2]
    delta = (1 - rules.min_overlap) / (1 + rules.min_overlap)
    r2_N = (delta**2 * 2 * sides_N2[:, 0] * sides_N2[:, 1]).clamp(min=rules.min_radius**2)
    centres_N2 = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2
    return _Objects(boxes_N4, centres_N2, pictures_N, r2_N, assign_levels(boxes_N4, rules))


def _centre_cells(centres_N2: Tensor, size_hw: tuple[int, int], stride: int) -> Tensor:
    """Column and row of the cell that holds each centre; the nearest one for a centre beyond the map."""
    last_2 = torch.tensor((size_hw[1] - 1, size_hw[0] - 1), device=centres_N2.device)
    return torch.minimum((centres_N2 / stride).long().clamp(min=0), last_2)


def _flat(cells_N2: Tensor, pictures_N: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Number of a cell (column, row) of a picture within its level."""
    return (pictures_N * size_hw[0] + cells_N2[..., 1]) * size_hw[1] + cells_N2[..., 0]


def _draw_heat(objects: _Objects, flat_N: Tensor, num_pictures: int, size_hw: tuple[int, int], stride: int) -> Tensor:
    """One level's heat, flat: max over all objects of exp(-d^2 / r^2), whatever the object's size."""
    height, width = size_hw
    xs_W = torch.arange(width, device=flat_N.device).float() * stride + stride // 2
    ys_H = torch.arange(height, device=flat_N.device).float() * stride + stride // 2
    heat = torch.zeros(num_pictures, height, width, device=flat_N.device)
    for picture in range(num_pictures):
        rows = objects.pictures_N == picture
        centres_n2, r2_n = objects.centres_N2[rows], objects.size_r2_N[rows]
        if not len(r2_n):
            continue
        dx2_nW = (xs_W - centres_n2[:, :1]) ** 2
        dy2_nH = (ys_H - centres_n2[:, 1:]) ** 2
        ratio_nHW = (dx2_nW[:, None, :] + dy2_nH[:, :, None]).div_(r2_n[:, None, None])
        heat[picture] = torch.exp(-ratio_nHW.amin(dim=0))
    heat_m = torch.where(heat < _LEAST_HEAT, 0.0, heat).flatten()
    heat_m[flat_N] = 1.0
    return heat_m


def _box_targets(
    objects: _Objects, cells_N2: Tensor, member_N: Tensor, size_hw: tuple[int, int], stride: int
) -> tuple[Tensor, Tensor]:
    """One level's cells with a box, rising, and the distances there in strides.

    Candidates are the nine cells around each centre that lie strictly inside the box. Where several objects want
    one cell, the one with the least d^2 / r^2 has it, which is 0 at its own centre cell; then the first one.
    """
    steps = torch.arange(-1, 2, device=cells_N2.device)
    around_92 = torch.cartesian_prod(steps, steps)
    cells_K2 = (cells_N2[member_N][:, None] + around_92).flatten(0, 1)
    owners_K = torch.nonzero(member_N).repeat_interleave(len(around_92))
    is_centre_K = (around_92 == 0).all(dim=1).repeat(int(member_N.sum()))
    points_K2 = cells_K2.float() * stride + stride // 2
    boxes_K4 = objects.boxes_N4[owners_K]
    ltrb_K4 = torch.cat((points_K2 - boxes_K4[:, :2], boxes_K4[:, 2:] - points_K2), dim=1)
    d2_K = ((points_K2 - objects.centres_N2[owners_K]) ** 2).sum(dim=1)
    ratio_K = torch.where(is_centre_K, 0.0, d2_K / objects.size_r2_N[owners_K])

    size_2 = torch.tensor((size_hw[1], size_hw[0]), device=cells_K2.device)
    is_on_map_K = ((cells_K2 >= 0) & (cells_K2 < size_2)).all(dim=1)
    keep_K = torch.nonzero(is_on_map_K & (ltrb_K4.amin(dim=1) > 0)).squeeze(1)
    flat_K = _flat(cells_K2, objects.pictures_N[owners_K], size_hw)
    order_K = keep_K[ratio_K[keep_K].argsort(stable=True)]
    order_K = order_K[flat_K[order_K].argsort(stable=True)]
    ranked_K = flat_K[order_K]
    is_first_K = torch.ones_like(ranked_K, dtype=torch.bool)
    is_first_K[1:] = ranked_K[1:] != ranked_K[:-1]
    return ranked_K[is_first_K], ltrb_K4[order_K[is_first_K]] / stride
