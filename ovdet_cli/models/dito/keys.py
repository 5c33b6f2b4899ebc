"""Key map: Flax paths and layouts of DITO's parameters -> ours."""

from ovdet_cli.models.checkpoint import KeyMap

_HEADS = "params/task_heads_0/"
_FPN, _RPN = f"{_HEADS}feature_pyramid_fn/", f"{_HEADS}region_proposal_head_fn/"
_BOX, _MASK = f"{_HEADS}fastrcnn_head_fn/", f"{_HEADS}maskrcnn_head_fn/"


def _layer(foreign: str, ours: str, layout: str, bias: bool = True) -> KeyMap:
    kernel = (f"{foreign}/kernel", f"{ours}.weight", layout)
    return (kernel, (f"{foreign}/bias", f"{ours}.bias")) if bias else (kernel,)


def _norm(foreign: str, ours: str) -> KeyMap:
    return (f"{foreign}/scale", f"{ours}.weight"), (f"{foreign}/bias", f"{ours}.bias")


def _vit(foreign: str, ours: str) -> KeyMap:
    block, own = rf"params/{foreign}/transformer/resblocks\.(\d+)", rf"{ours}.blocks.\1"
    rows: KeyMap = (
        *_layer(f"params/{foreign}/conv1", f"{ours}.conv1", "conv"),
        *_norm(f"params/{foreign}/ln_post", f"{ours}.ln_post"),
        (f"params/{foreign}/positional_embedding", f"{ours}.positional_embedding"),
    )
    for name in ("query", "key", "value"):
        rows += ((f"{block}/attn/{name}/kernel", f"{own}.attn.{name}.weight", "heads out"),)
        rows += ((f"{block}/attn/{name}/bias", f"{own}.attn.{name}.bias", "flat"),)
    rows += ((f"{block}/attn/out/kernel", f"{own}.attn.out.weight", "heads in"),)
    rows += ((f"{block}/attn/out/bias", f"{own}.attn.out.bias"),)
    for name in ("ln_1", "ln_2"):
        rows += _norm(f"{block}/{name}", f"{own}.{name}")
    rows += _layer(f"{block}/mlp/c_fc", f"{own}.mlp.0", "dense")
    return rows + _layer(f"{block}/mlp/c_proj", f"{own}.mlp.2", "dense")


def _pyramid() -> KeyMap:
    """Layers without a name are numbered in the order of their calls, level by level."""
    rows: KeyMap = ()
    for number, ours in enumerate(("enlarge_2.0", "enlarge_2.2", "enlarge_3")):
        rows += _layer(f"{_FPN}ConvTranspose_{number}", f"neck.{ours}", "flipped deconv", bias=False)
    rows += _norm(f"{_FPN}simfpn-l2-ln-d2", "neck.enlarge_2.1")
    for i in range(4):
        rows += _layer(f"{_FPN}Conv_{2 * i}", f"neck.laterals.{i}", "conv", bias=False)
        rows += _layer(f"{_FPN}Conv_{2 * i + 1}", f"neck.outputs.{i}", "conv", bias=False)
        for k in range(2):
            rows += _norm(f"{_FPN}simfpn-l{i + 2}-ln-out-{k + 1}", f"neck.norms.{i}.{k}")
    return rows


def _proposals() -> KeyMap:
    rows: KeyMap = ()
    for number, name in enumerate(("rpn", "rpn-1")):
        rows += _layer(f"{_RPN}{name}", f"proposal_head.convs.{number}", "conv")
        for level in range(4):
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
    return (*rows, (f"{_HEADS}temperature", "temperature"))


def _masks() -> KeyMap:
    rows: KeyMap = _layer(f"{_MASK}conv5-mask", "mask_head.upsample", "flipped deconv")
    rows += _norm(f"{_MASK}conv5-mask-bn", "mask_head.norms.4")
    for i in range(4):
        rows += _layer(f"{_MASK}mask-conv-l{i}", f"mask_head.convs.{i}", "conv")
        rows += _norm(f"{_MASK}mask-conv-l{i}-bn", f"mask_head.norms.{i}")
    return rows + _layer(f"{_MASK}mask_fcn_logits", "mask_head.predictor", "conv")


KEY_MAP: KeyMap = (
    *_vit("vision_model", "backbone"),
    *_vit("frozen_vision_model", "frozen"),
    *_pyramid(),
    *_proposals(),
    *_regions(),
    *_masks(),
)


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model with this layout, by the number of its layers."""
    if "params/frozen_vision_model/conv1/kernel" not in names:
        return None
    layers = sum(name.startswith("params/vision_model/") and name.endswith("ln_1/scale") for name in names)
    # S and B have as many: the larger is told by --model.
    return {12: "dito-vit-s", 24: "dito-vit-l"}.get(layers)
