"""Key map: Flax paths and layouts of F-VLM's parameters and batch statistics -> ours."""

from ovdet_cli.models.checkpoint import KeyMap

_HEADS = "task_heads_0/"
_FPN, _RPN = f"{_HEADS}feature_pyramid_fn/", f"{_HEADS}region_proposal_head_fn/"
_BOX, _MASK = f"{_HEADS}fastrcnn_head_fn/", f"{_HEADS}maskrcnn_head_fn/"


def _layer(foreign: str, ours: str, layout: str, bias: bool = True) -> KeyMap:
    kernel = (f"params/{foreign}/kernel", f"{ours}.weight", layout)
    return (kernel, (f"params/{foreign}/bias", f"{ours}.bias")) if bias else (kernel,)


def _norm(foreign: str, ours: str) -> KeyMap:
    return (
        (f"params/{foreign}/scale", f"{ours}.weight"),
        (f"params/{foreign}/bias", f"{ours}.bias"),
        (f"batch_stats/{foreign}/mean", f"{ours}.running_mean"),
        (f"batch_stats/{foreign}/var", f"{ours}.running_var"),
    )


def _backbone() -> KeyMap:
    block, own = r"vision_model/layer(\d)/(\d+)", r"backbone.layer\1.\2"
    rows: KeyMap = (
        *_layer(f"{block}/downsample/0", f"{own}.downsample.0", "conv", bias=False),
        *_norm(f"{block}/downsample/1", f"{own}.downsample.1"),
    )
    for i in (1, 2, 3):
        rows += _layer(f"vision_model/conv{i}", f"backbone.conv{i}", "conv", bias=False)
        rows += _norm(f"vision_model/bn{i}", f"backbone.bn{i}")
        rows += _layer(f"{block}/conv{i}", f"{own}.conv{i}", "conv", bias=False)
        rows += _norm(f"{block}/bn{i}", f"{own}.bn{i}")
    return rows


def _pyramid() -> KeyMap:
    """Layers without a name are numbered in the order of their calls."""
    rows: KeyMap = _layer(f"{_FPN}Conv_8", "neck.p6", "conv", bias=False)
    for i in range(4):
        rows += _layer(f"{_FPN}Conv_{i}", f"neck.laterals.{i}", "conv", bias=False)
        rows += _layer(f"{_FPN}Conv_{i + 4}", f"neck.outputs.{i}", "conv", bias=False)
    for i in range(5):
        rows += _norm(f"{_FPN}p{i + 2}-bn", f"neck.norms.{i}")
    return rows


def _proposals() -> KeyMap:
    rows: KeyMap = ()
    for number, name in enumerate(("rpn", "rpn-1")):
        rows += _layer(f"{_RPN}{name}", f"proposal_head.convs.{number}", "conv")
        for level in range(5):
            suffix = "-1" if number else ""
            foreign = f"{_RPN}SubRpnHead_{level}/rpn-l{level + 2}-bn{suffix}"
            rows += _norm(foreign, f"proposal_head.norms.{level}.{number}")
    rows += _layer(f"{_RPN}rpn-class", "proposal_head.classes", "conv")
    return rows + _layer(f"{_RPN}rpn-box", "proposal_head.boxes", "conv")


def _regions() -> KeyMap:
    rows: KeyMap = ()
    for i in range(4):
        rows += _layer(f"{_BOX}conv_{i}", f"tower.convs.{i}", "conv")
        rows += _norm(f"{_BOX}conv_{i}_bn", f"tower.conv_norms.{i}")
    rows += _layer(f"{_BOX}fc6", "tower.dense.0", "dense of map")
    rows += _norm(f"{_BOX}fc6_bn", "tower.dense_norms.0")
    rows += _layer(f"{_BOX}class-predict", "project", "dense", bias=False)
    rows += _layer(f"{_BOX}box-predict", "boxes", "dense")
    return (*rows, (f"params/{_HEADS}temperature", "temperature"))


def _masks() -> KeyMap:
    rows: KeyMap = _layer(f"{_MASK}conv5-mask", "mask_head.upsample", "flipped deconv")
    rows += _norm(f"{_MASK}conv5-mask-bn", "mask_head.norms.4")
    for i in range(4):
        rows += _layer(f"{_MASK}mask-conv-l{i}", f"mask_head.convs.{i}", "conv")
        rows += _norm(f"{_MASK}mask-conv-l{i}-bn", f"mask_head.norms.{i}")
    return rows + _layer(f"{_MASK}mask_fcn_logits", "mask_head.predictor", "conv")


def _pool() -> KeyMap:
    attention = f"params/{_HEADS}attnpool/attn"
    rows: KeyMap = ((f"params/{_HEADS}attnpool/positional_embedding", "pool.positional_embedding"),)
    for name in ("query", "key", "value"):
        rows += ((f"{attention}/{name}/kernel", f"pool.{name[0]}_proj.weight", "heads out"),)
        rows += ((f"{attention}/{name}/bias", f"pool.{name[0]}_proj.bias", "flat"),)
    rows += ((f"{attention}/out/kernel", "pool.c_proj.weight", "heads in"),)
    return (*rows, (f"{attention}/out/bias", "pool.c_proj.bias"))


KEY_MAP: KeyMap = (*_backbone(), *_pool(), *_pyramid(), *_proposals(), *_regions(), *_masks())


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model with this layout, by the blocks of its third stage."""
    if "params/task_heads_0/attnpool/positional_embedding" not in names:
        return None
    blocks = sum(name.startswith("params/vision_model/layer3/") and name.endswith("conv1/kernel") for name in names)
    return {6: "fvlm-r50", 10: "fvlm-r50x4", 18: "fvlm-r50x16"}.get(blocks)
