"""Region scores of F-VLM's family (arXiv:2209.15639): a detector's and a frozen VLM's probabilities, joined."""

# R regions, D embedding width, P phrases, C classes, N text rows: background, classes, padding

import torch
import torch.nn.functional as F
from torch import Tensor

from ovdet_cli.models.interface import TextRows
from ovdet_cli.models.ops.phrases import best_phrases


def row_logits(
    features_RD: Tensor,
    texts_PD: Tensor,
    rows: TextRows | None,
    temperature: float | Tensor,
    class_of_P: Tensor | None = None,
) -> Tensor:
    """Cosines of unit features with all text rows (R, N), divided by the temperature; texts of any length.

    class_of_P: the class of each phrase, see `best_phrases`; None: each is a class.
    """
    cosines_RC = best_phrases(features_RD @ F.normalize(texts_PD, dim=1).T, class_of_P)
    if rows is not None:
        around_2D = F.normalize(torch.stack((rows.background_D, rows.empty_D)), dim=1)
        background_R1, empty_R1 = (features_RD @ around_2D.T).split(1, dim=1)
        padding = empty_R1.expand(-1, rows.num_padding(cosines_RC.shape[1]))
        cosines_RC = torch.cat((background_R1, cosines_RC, padding), dim=1)
    return cosines_RC / temperature


def join_scores(
    detector_RN: Tensor,
    vlm_RN: Tensor,
    is_novel_C: Tensor | None,
    num_classes: int,
    weights: tuple[float, float],
    *,
    has_background: bool,
) -> Tensor:
    """Logits over all text rows -> scores (R, N - 1) without the background, of the classes and the padding rows.

    p^(1 - w) z^w, with the detector's probability p and the VLM's z; w is weights[0] for base classes and weights[1]
    for novel ones, padding rows and, where nothing says which are novel, all. The background keeps p alone, and all
    rows together are brought to the sum 1.
    """
    p_RN, z_RN = detector_RN.softmax(dim=1), vlm_RN.softmax(dim=1)
    first = int(has_background)
    weight_N = p_RN.new_full((p_RN.shape[1],), weights[1])
    if is_novel_C is not None:
        own = weight_N[first : first + num_classes]
        own[~is_novel_C] = weights[0]
    if has_background:
        weight_N[0] = 0.0
    joined_RN = p_RN.pow(1 - weight_N) * z_RN.pow(weight_N)
    joined_RN = joined_RN / joined_RN.sum(dim=1, keepdim=True)
    return joined_RN[:, first:]
