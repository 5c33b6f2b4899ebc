"""What the key maps of DITO and F-VLM share: Flax paths and layouts of their heads."""

from ovdet_cli.models.checkpoint import KeyMap

HEADS = "task_heads_0/"
_RPN, _BOX, _MASK = (f"{HEADS}{name}_head_fn/" for name in ("region_proposal", "fastrcnn", "maskrcnn"))


def layer(foreign: str, ours: str, layout: str, bias: bool = True) -> KeyMap:
    """A dense or convolutional layer."""
    kernel = (f"params/{foreign}/kernel", f"{ours}.weight", layout)
    return (kernel, (f"params/{foreign}/bias", f"{ours}.bias")) if bias else (kernel,)


def norm(foreign: str, ours: str, statistics: bool) -> KeyMap:
    """A layer norm, or with running statistics a batch norm."""
    rows: KeyMap = ((f"params/{foreign}/scale", f"{ours}.weight"), (f"params/{foreign}/bias", f"{ours}.bias"))
    if statistics:
        rows += ((f"batch_stats/{foreign}/mean", f"{ours}.running_mean"),)
        rows += ((f"batch_stats/{foreign}/var", f"{ours}.running_var"),)
    return rows


def heads(num_levels: int, statistics: bool) -> KeyMap:
    """Proposals of levels from P2 on, regions and masks; layers are numbered, norms named after their layers."""
    rows: KeyMap = ((f"params/{HEADS}temperature", "temperature"),)
    for number, name in enumerate(("rpn", "rpn-1")):
        rows += layer(f"{_RPN}{name}", f"proposal_head.convs.{number}", "conv")
        for level in range(num_levels):
            foreign = f"{_RPN}SubRpnHead_{level}/rpn-l{level + 2}-bn{'-1' if number else ''}"
            rows += norm(foreign, f"proposal_head.norms.{level}.{number}", statistics)
    rows += layer(f"{_RPN}rpn-class", "proposal_head.classes", "conv")
    rows += layer(f"{_RPN}rpn-box", "proposal_head.boxes", "conv")
    for i in range(4):
        rows += layer(f"{_BOX}conv_{i}", f"tower.convs.{i}", "conv")
        rows += norm(f"{_BOX}conv_{i}_bn", f"tower.conv_norms.{i}", statistics)
        rows += layer(f"{_MASK}mask-conv-l{i}", f"mask_head.convs.{i}", "conv")
        rows += norm(f"{_MASK}mask-conv-l{i}-bn", f"mask_head.norms.{i}", statistics)
    rows += layer(f"{_BOX}fc6", "tower.dense.0", "dense of map")
    rows += norm(f"{_BOX}fc6_bn", "tower.dense_norms.0", statistics)
    rows += layer(f"{_BOX}class-predict", "project", "dense", bias=False)
    rows += layer(f"{_BOX}box-predict", "boxes", "dense")
    rows += layer(f"{_MASK}conv5-mask", "mask_head.upsample", "flipped deconv")
    rows += norm(f"{_MASK}conv5-mask-bn", "mask_head.norms.4", statistics)
    return rows + layer(f"{_MASK}mask_fcn_logits", "mask_head.predictor", "conv")
