"""Key map: names and layouts in ViLD's published TensorFlow checkpoints -> ours."""

import re
from collections.abc import Mapping

from torch import Tensor

from ovdet_cli.models.checkpoint import KeyMap
from ovdet_cli.models.vild.config import VildConfig

_HEAD = "frcnn_layer_0/fast_rcnn_head/"
_NORM = (("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var"))


def key_map(config: VildConfig) -> KeyMap:
    """All rows; unnamed layers are numbered in the order of their creation."""
    return (
        ("global_step", None),
        (r".*/Momentum", None),  # the optimizer's
        # LVIS's text embeddings: words, not weights; `--vocab model` reads them by `own_columns`.
        (re.escape(f"{_HEAD}class-predict/kernel"), None),
        *_backbone(config),
        *_pyramid(),
        *_proposals(),
        *_tower("text_tower", "", 0),
        *_tower("image_tower", "distill", 6),
        *_layer(f"{_HEAD}box-predict", "boxes", "dense"),
        (re.escape(f"{_HEAD}background-class-predict/kernel"), "background", "vector"),
        *_masks(),
    )


def _layer(foreign: str, ours: str, layout: str, bias: bool = True) -> KeyMap:
    name = re.escape(foreign)
    kernel = (f"{name}/kernel", f"{ours}.weight", layout)
    return (kernel, (f"{name}/bias", f"{ours}.bias")) if bias else (kernel,)


def _norm(foreign: str, ours: str) -> KeyMap:
    return tuple((f"{foreign}/{theirs}", f"{ours}.{name}") for theirs, name in _NORM)


def _numbered(name: str, number: int) -> str:
    """As TensorFlow 1 tells unnamed layers apart."""
    return f"{name}_{number}" if number else name


def _unnamed_norm(number: int) -> str:
    """The ResNet-152 archives were made by a program that called the norm otherwise."""
    return _numbered("batch_normalization(?:_sim_clr)?", number)


def _backbone(config: VildConfig) -> KeyMap:
    convs = ["stem.conv1"]
    for stage, blocks in enumerate(config.blocks, start=2):
        for block in range(blocks):
            names = [*(["shortcut"] if block == 0 else []), "conv1", "conv2", "conv3"]
            convs += [f"res{stage}.{block}.{name}" for name in names]
    rows: KeyMap = ()
    for number, conv in enumerate(convs):
        rows += ((rf"resnet\d+/{_numbered('conv2d', number)}/kernel", f"backbone.{conv}.weight", "conv"),)
        rows += _norm(rf"resnet\d+/{_unnamed_norm(number)}", f"backbone.{conv}.norm")
    return rows


def _pyramid() -> KeyMap:
    rows: KeyMap = _layer("fpn/p6", "neck.p6", "conv")
    for i in range(4):
        rows += _layer(f"fpn/l{i + 2}", f"neck.laterals.{i}", "conv")
        rows += _layer(f"fpn/post_hoc_d{i + 2}", f"neck.outputs.{i}", "conv")
    for i in range(5):
        rows += _norm(f"fpn/p{i + 2}-bn", f"neck.norms.{i}")
    return rows


def _proposals() -> KeyMap:
    rows: KeyMap = ()
    for number, name in enumerate(("rpn", "rpn-1")):
        rows += _layer(f"rpn_head/{name}", f"proposal_head.convs.{number}", "conv")
        for level in range(5):
            suffix = "-1" if number else ""
            rows += _norm(f"rpn_head/rpn-l{level + 2}-bn{suffix}", f"proposal_head.norms.{level}.{number}")
    rows += _layer("rpn_head/rpn-class", "proposal_head.classes", "conv")
    return rows + _layer("rpn_head/rpn-box", "proposal_head.boxes", "conv")


def _tower(ours: str, prefix: str, first_norm: int) -> KeyMap:
    """A region tower; its unnamed norms are numbered through both towers."""
    rows: KeyMap = ()
    underscore, dash = (f"{prefix}_", f"{prefix}-") if prefix else ("", "")
    for i in range(4):
        rows += _layer(f"{_HEAD}{underscore}conv_{i}", f"{ours}.tower.convs.{i}", "conv")
        rows += _norm(f"{_HEAD}{_unnamed_norm(first_norm + i)}", f"{ours}.tower.conv_norms.{i}")
    for i, (name, layout) in enumerate((("fc6", "dense of map"), ("fc7", "dense"))):
        rows += _layer(f"{_HEAD}{underscore}{name}", f"{ours}.tower.dense.{i}", layout)
        rows += _norm(f"{_HEAD}{_unnamed_norm(first_norm + 4 + i)}", f"{ours}.tower.dense_norms.{i}")
    return rows + _layer(f"{_HEAD}{dash}project-to-clip", f"{ours}.project", "dense")


def _masks() -> KeyMap:
    rows: KeyMap = _layer("mask_head/conv5-mask", "mask_head.upsample", "deconv")
    for i in range(4):
        rows += _layer(f"mask_head/mask-conv-l{i}", f"mask_head.convs.{i}", "conv")
    for i in range(5):
        rows += _norm(f"mask_head/{_unnamed_norm(i)}", f"mask_head.norms.{i}")
    return rows + _layer("mask_head/mask_fcn_logits", "mask_head.predictor", "conv")


def own_columns(tensors: Mapping[str, Tensor]) -> Tensor:
    """LVIS's text embeddings as the checkpoint has them, (1, C, D)."""
    return tensors[f"{_HEAD}class-predict/kernel"].float().T[None]


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model with this layout."""
    depth = next((d for d in ("50", "152") if f"resnet{d}/conv2d/kernel" in names), None)
    if depth is None or f"{_HEAD}project-to-clip/kernel" not in names:
        return None
    return f"vild-ensemble-r{depth}" if f"{_HEAD}distill_fc6/kernel" in names else f"vild-r{depth}"
