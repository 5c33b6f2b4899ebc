"""Key map: Flax paths and layouts of DITO's parameters -> ours."""

from ovdet_cli.models.checkpoint import KeyMap
from ovdet_cli.models.flax_keys import HEADS, heads, layer, norm

_FPN = f"{HEADS}feature_pyramid_fn/"


def _vit(foreign: str, ours: str) -> KeyMap:
    block, own = rf"{foreign}/transformer/resblocks\.(\d+)", rf"{ours}.blocks.\1"
    rows: KeyMap = ((f"params/{foreign}/positional_embedding", f"{ours}.positional_embedding"),)
    rows += layer(f"{foreign}/conv1", f"{ours}.conv1", "conv")
    rows += norm(f"{foreign}/ln_post", f"{ours}.ln_post", statistics=False)
    for name in ("query", "key", "value"):
        rows += ((f"params/{block}/attn/{name}/kernel", f"{own}.attn.{name}.weight", "heads out"),)
        rows += ((f"params/{block}/attn/{name}/bias", f"{own}.attn.{name}.bias", "flat"),)
    rows += ((f"params/{block}/attn/out/kernel", f"{own}.attn.out.weight", "heads in"),)
    rows += ((f"params/{block}/attn/out/bias", f"{own}.attn.out.bias"),)
    for name in ("ln_1", "ln_2"):
        rows += norm(f"{block}/{name}", f"{own}.{name}", statistics=False)
    rows += layer(f"{block}/mlp/c_fc", f"{own}.mlp.0", "dense")
    return rows + layer(f"{block}/mlp/c_proj", f"{own}.mlp.2", "dense")


def _pyramid() -> KeyMap:
    """Layers without a name are numbered in the order of their calls, level by level."""
    rows: KeyMap = ()
    for number, ours in enumerate(("enlarge_2.0", "enlarge_2.2", "enlarge_3")):
        rows += layer(f"{_FPN}ConvTranspose_{number}", f"neck.{ours}", "flipped deconv", bias=False)
    rows += norm(f"{_FPN}simfpn-l2-ln-d2", "neck.enlarge_2.1", statistics=False)
    for i in range(4):
        rows += layer(f"{_FPN}Conv_{2 * i}", f"neck.laterals.{i}", "conv", bias=False)
        rows += layer(f"{_FPN}Conv_{2 * i + 1}", f"neck.outputs.{i}", "conv", bias=False)
        for k in range(2):
            rows += norm(f"{_FPN}simfpn-l{i + 2}-ln-out-{k + 1}", f"neck.norms.{i}.{k}", statistics=False)
    return rows


KEY_MAP: KeyMap = (
    *_vit("vision_model", "backbone"),
    *_vit("frozen_vision_model", "frozen"),
    *_pyramid(),
    *heads(4, statistics=False),
)


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model with this layout, by the number of its layers."""
    if "params/frozen_vision_model/conv1/kernel" not in names:
        return None
    layers = sum(name.startswith("params/vision_model/") and name.endswith("ln_1/scale") for name in names)
    # S and B have as many: the larger is told by --model.
    return {12: "dito-vit-s", 24: "dito-vit-l"}.get(layers)
