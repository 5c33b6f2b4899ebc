"""Key map: names in Detic's published checkpoints -> our names. None: known and dropped, with the reason beside it."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Order matters: the first pattern that fits a whole name decides.
KEY_MAP: tuple[tuple[str, str | None], ...] = (
    # Counters and constants that some detectron2 versions saved and none of the arithmetic reads.
    (r".*\.num_batches_tracked", None),
    (r"pixel_(mean|std)", None),
    (r"proposal_generator\.anchor_generator\..*", None),
    # Class frequencies of the federated loss: training only.
    (r"roi_heads\.box_predictor\.\d\.freq_weight", None),
    # The checkpoint's own classifier columns: words, not weights; `--vocab model` reads them by `own_columns`.
    (r"roi_heads\.box_predictor\.\d\.cls_score\.zs_weight", None),
    # Caption-trained models carry CLIP's text tower, which is opened when words need it (detector/text_tower.py).
    (r"(roi_heads\.)?text_encoder\..*", None),
    # R50 keeps the classifier of its ImageNet-21k pretraining, which no detector uses.
    (r"backbone\.bottom_up\.base\.fc\.(weight|bias)", None),
    # Swin: an index table that follows from the window size.
    (r"backbone\.bottom_up\..*\.relative_position_index", None),
    (r"backbone\.bottom_up\.patch_embed\.proj\.(.*)", r"backbone.patch.\1"),
    (r"backbone\.bottom_up\.patch_embed\.norm\.(.*)", r"backbone.patch_norm.\1"),
    (r"backbone\.bottom_up\.layers\.(\d)\.blocks\.(\d+)\.mlp\.fc1\.(.*)", r"backbone.stages.\1.\2.mlp.0.\3"),
    (r"backbone\.bottom_up\.layers\.(\d)\.blocks\.(\d+)\.mlp\.fc2\.(.*)", r"backbone.stages.\1.\2.mlp.2.\3"),
    (r"backbone\.bottom_up\.layers\.(\d)\.blocks\.(\d+)\.(.*)", r"backbone.stages.\1.\2.\3"),
    (r"backbone\.bottom_up\.layers\.(\d)\.downsample\.(.*)", r"backbone.merges.\1.\2"),
    (r"backbone\.bottom_up\.norm1\.(.*)", r"backbone.norms.0.\1"),
    (r"backbone\.bottom_up\.norm2\.(.*)", r"backbone.norms.1.\1"),
    (r"backbone\.bottom_up\.norm3\.(.*)", r"backbone.norms.2.\1"),
    # timm's ResNet and ConvNeXt keep timm's names.
    (r"backbone\.bottom_up\.base\.(.*)", r"backbone.\1"),
    (r"backbone\.fpn_lateral3\.(.*)", r"neck.laterals.0.\1"),
    (r"backbone\.fpn_lateral4\.(.*)", r"neck.laterals.1.\1"),
    (r"backbone\.fpn_lateral5\.(.*)", r"neck.laterals.2.\1"),
    (r"backbone\.fpn_output3\.(.*)", r"neck.outputs.0.\1"),
    (r"backbone\.fpn_output4\.(.*)", r"neck.outputs.1.\1"),
    (r"backbone\.fpn_output5\.(.*)", r"neck.outputs.2.\1"),
    (r"backbone\.top_block\.(p[67])\.(.*)", r"neck.\1.\2"),
    (r"proposal_generator\.centernet_head\.bbox_tower\.(.*)", r"proposal_head.tower.\1"),
    (r"proposal_generator\.centernet_head\.agn_hm\.(.*)", r"proposal_head.heat.\1"),
    (r"proposal_generator\.centernet_head\.bbox_pred\.(.*)", r"proposal_head.ltrb.\1"),
    (r"proposal_generator\.centernet_head\.scales\.(\d)\.scale", r"proposal_head.scales.\1"),
    (r"roi_heads\.box_head\.(\d)\.(fc[12])\.(.*)", r"stages.\1.\2.\3"),
    (r"roi_heads\.box_predictor\.(\d)\.cls_score\.linear\.(.*)", r"stages.\1.project.\2"),
    (r"roi_heads\.box_predictor\.(\d)\.bbox_pred\.(.*)", r"stages.\1.deltas.\2"),
    (r"roi_heads\.mask_head\.mask_fcn1\.(.*)", r"mask_head.convs.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn2\.(.*)", r"mask_head.convs.1.\1"),
    (r"roi_heads\.mask_head\.mask_fcn3\.(.*)", r"mask_head.convs.2.\1"),
    (r"roi_heads\.mask_head\.mask_fcn4\.(.*)", r"mask_head.convs.3.\1"),
    (r"roi_heads\.mask_head\.deconv\.(.*)", r"mask_head.upsample.\1"),
    (r"roi_heads\.mask_head\.predictor\.(.*)", r"mask_head.predictor.\1"),
    # What we trained ourselves is saved under our own names.
    (r"backbone\.(.*)", r"backbone.\1"),
    (r"neck\.(.*)", r"neck.\1"),
    (r"proposal_head\.(.*)", r"proposal_head.\1"),
    (r"stages\.(.*)", r"stages.\1"),
    (r"mask_head\.(.*)", r"mask_head.\1"),
    (r"calibration", "calibration"),
)


C4_KEY_MAP: tuple[tuple[str, str | None], ...] = (
    *KEY_MAP[:3],
    # Classes that have boxes: training only.
    (r"roi_heads\.box_predictor\.freq_weight", None),
    (r"roi_heads\.box_predictor\.cls_score\.zs_weight", None),
    (r"(?:roi_heads\.)?text_encoder\..*", None),
    (r"backbone\.stem\.conv1\.(.*)", r"backbone.stem.conv1.\1"),
    (r"backbone\.(res[234])\.(.*)", r"backbone.\1.\2"),
    (r"proposal_generator\.rpn_head\.conv\.(.*)", r"proposal_head.conv.\1"),
    (r"proposal_generator\.rpn_head\.objectness_logits\.(.*)", r"proposal_head.objectness.\1"),
    (r"proposal_generator\.rpn_head\.anchor_deltas\.(.*)", r"proposal_head.deltas.\1"),
    (r"roi_heads\.res5\.(.*)", r"region_head.res5.\1"),
    (r"roi_heads\.box_predictor\.cls_score\.linear\.(.*)", r"region_head.project.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(.*)", r"region_head.deltas.\1"),
)

DETR_KEY_MAP: tuple[tuple[str, str | None], ...] = (
    (r".*\.num_batches_tracked", None),
    # Class frequencies of the federated loss: training only.
    (r"criterion\..*", None),
    # The same tensors a second time.
    (r"detr\.transformer\.decoder\.(class|bbox)_embed\..*", None),
    # Classifiers of the decoder's layers: the last one's is the model's words (`own_detr_columns`), the others train.
    (r"detr\.class_embed\.[0-5]\..*", None),
    (r"detr\.class_embed\.6\.(.*)", r"cell_classes.\1"),
    (r"detr\.bbox_embed\.(.*)", r"boxes.\1"),
    (r"detr\.backbone\.0\.backbone\.(.*)", r"backbone.\1"),
    (r"detr\.input_proj\.(.*)", r"projections.\1"),
    (r"detr\.transformer\.level_embed", "level_embed"),
    (r"detr\.transformer\.(encoder|decoder)\.layers\.(.*)", r"\1.\2"),
    (r"detr\.transformer\.enc_output\.(.*)", r"cell_project.\1"),
    (r"detr\.transformer\.enc_output_norm\.(.*)", r"cell_norm.\1"),
    (r"detr\.transformer\.pos_trans\.(.*)", r"query_project.\1"),
    (r"detr\.transformer\.pos_trans_norm\.(.*)", r"query_norm.\1"),
)

# A name that only one of the backbones has, and the model it tells of.
_TELLING = (
    (r"backbone\.net\.layer1\.0\.conv1\.weight", "builtin"),
    (r"backbone\.bottom_up\.patch_embed\.proj\.weight", "detic-swin-b"),
    (r"backbone\.bottom_up\.base\.stem_0\.weight", "detic-convnext-t"),
    (r"backbone\.bottom_up\.base\.layer1\.0\.conv3\.weight", "detic-r50"),
    (r"backbone\.bottom_up\.base\.layer1\.0\.conv2\.weight", "detic-r18"),
)


def own_columns(tensors: Mapping[str, Tensor]) -> Tensor:
    """The stages' own classifier columns (S, C, D), the background's left out; KeyError where a file has none.

    The file has them as [D, C + 1], one a cascade stage, or a single one in the C4 layout.
    """
    prefix, name = "roi_heads.box_predictor.", "cls_score.zs_weight"
    stages = sorted(key for key in tensors if re.fullmatch(rf"{re.escape(prefix)}\d\.{re.escape(name)}", key))
    return torch.stack([tensors[key].float()[:, :-1].T for key in stages or [f"{prefix}{name}"]])


def own_detr_columns(tensors: Mapping[str, Tensor]) -> Tensor:
    """The last decoder layer's classes, their weights with the offset behind them (1, C, D + 1)."""
    weight, bias = tensors["detr.class_embed.5.weight"], tensors["detr.class_embed.5.bias"]
    return torch.cat((weight, bias[:, None]), dim=1).float()[None]


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model with this layout, judged by its backbone; None: not one of Detic's CenterNet2 files."""
    return next((model for pattern, model in _TELLING if any(re.fullmatch(pattern, n) for n in names)), None)


def recognise_c4(names: set[str]) -> str | None:
    """The zoo's name of a model with the C4 layout, where the file has that."""
    return "detic-ovcoco-r50" if "roi_heads.res5.0.conv1.weight" in names else None


def recognise_detr(names: set[str]) -> str | None:
    """The zoo's name of a Deformable DETR, where the file has that layout."""
    return "detic-deformdetr-r50" if "detr.transformer.level_embed" in names else None
