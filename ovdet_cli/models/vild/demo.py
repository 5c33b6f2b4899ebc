"""The rules of ViLD's demo notebook: few sure boxes, each named by its nearest text.

After public copies of the notebook (the original is missing from every mirror): not verified against the official one.
Its sliders' defaults stand here as constants.
"""

# R regions, C texts, N detections

import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.models.interface import Regions
from ovdet_cli.models.ops.kernels import nms

LEAST_OBJECTNESS = 0.9
NMS_IOU = 0.6
LEAST_AREA_PX = 220.0
"""Of a box in the picture, in square pixels; the box must be larger."""
MOST_BOXES = 25
BACKGROUND = "background"
"""The word that stands before a person's list; a box that is nearest to it is dropped."""


def keep_regions(
    regions: Regions,
    boxes_in_picture_R4: Tensor,
    least_objectness: float = LEAST_OBJECTNESS,
    nms_iou: float = NMS_IOU,
    least_area: float = LEAST_AREA_PX,
) -> Tensor:
    """Rows of the sure regions that are left after class-agnostic suppression by objectness, in their order."""
    rows = nms(regions.boxes_R4.float(), regions.objectness_R.float(), nms_iou).sort().values
    x1, y1, x2, y2 = boxes_in_picture_R4[rows].unbind(-1)
    is_large = (x2 - x1) * (y2 - y1) > least_area
    return rows[is_large & (regions.objectness_R[rows] >= least_objectness)]


def select_as_demo(
    regions: Regions, boxes_in_picture_R4: Tensor, texts: Tensor, background_D: Tensor | None, max_detections: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(region rows, class ids, scores) of the detections, surest first; a score is the raw cosine.

    texts: (C, D), or (S, C, D) of which the first set counts. background_D: embedding of `BACKGROUND`.
    """
    rows = keep_regions(regions, boxes_in_picture_R4)[: min(max_detections, MOST_BOXES)]
    texts = F.normalize(texts if texts.dim() == 2 else texts[0], dim=1)
    cosines = regions.features_RSD[rows, 0] @ texts.T
    scores, class_ids = cosines.max(dim=1)
    if background_D is not None:
        is_thing = scores > regions.features_RSD[rows, 0] @ F.normalize(background_D, dim=0)
        rows, class_ids, scores = rows[is_thing], class_ids[is_thing], scores[is_thing]
    order = scores.sort(descending=True, stable=True).indices
    return rows[order], class_ids[order], scores[order]
