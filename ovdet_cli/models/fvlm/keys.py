"""Key map: Flax paths and layouts of F-VLM's parameters and batch statistics -> ours."""

from ovdet_cli.models.checkpoint import KeyMap
from ovdet_cli.models.flax_keys import HEADS, heads, layer, norm

_FPN = f"{HEADS}feature_pyramid_fn/"


def _backbone() -> KeyMap:
    block, own = r"vision_model/layer(\d)/(\d+)", r"backbone.layer\1.\2"
    rows: KeyMap = layer(f"{block}/downsample/0", f"{own}.downsample.0", "conv", bias=False)
    rows += norm(f"{block}/downsample/1", f"{own}.downsample.1", statistics=True)
    for i in (1, 2, 3):
        rows += layer(f"vision_model/conv{i}", f"backbone.conv{i}", "conv", bias=False)
        rows += norm(f"vision_model/bn{i}", f"backbone.bn{i}", statistics=True)
        rows += layer(f"{block}/conv{i}", f"{own}.conv{i}", "conv", bias=False)
        rows += norm(f"{block}/bn{i}", f"{own}.bn{i}", statistics=True)
    return rows


def _pyramid() -> KeyMap:
    """Layers without a name are numbered in the order of their calls."""
    rows: KeyMap = layer(f"{_FPN}Conv_8", "neck.p6", "conv", bias=False)
    for i in range(4):
        rows += layer(f"{_FPN}Conv_{i}", f"neck.laterals.{i}", "conv", bias=False)
        rows += layer(f"{_FPN}Conv_{i + 4}", f"neck.outputs.{i}", "conv", bias=False)
    for i in range(5):
        rows += norm(f"{_FPN}p{i + 2}-bn", f"neck.norms.{i}", statistics=True)
    return rows


def _pool() -> KeyMap:
    attention = f"params/{HEADS}attnpool/attn"
    rows: KeyMap = ((f"params/{HEADS}attnpool/positional_embedding", "pool.positional_embedding"),)
    for name in ("query", "key", "value"):
        rows += ((f"{attention}/{name}/kernel", f"pool.{name[0]}_proj.weight", "heads out"),)
        rows += ((f"{attention}/{name}/bias", f"pool.{name[0]}_proj.bias", "flat"),)
    rows += ((f"{attention}/out/kernel", "pool.c_proj.weight", "heads in"),)
    return (*rows, (f"{attention}/out/bias", "pool.c_proj.bias"))


KEY_MAP: KeyMap = (*_backbone(), *_pool(), *_pyramid(), *heads(5, statistics=True))


def recognise(names: set[str]) -> str | None:
    """The zoo's name of a model with this layout, by the blocks of its third stage."""
    if "params/task_heads_0/attnpool/positional_embedding" not in names:
        return None
    blocks = sum(name.startswith("params/vision_model/layer3/") and name.endswith("conv1/kernel") for name in names)
    return {6: "fvlm-r50", 10: "fvlm-r50x4", 18: "fvlm-r50x16"}.get(blocks)
