"""Fills a store with stand-in models: `python samples/stand_in.py [FOLDER]` (default: ./stand-in, about 520 MB).

The numbers are drawn from a seed, so what such a model finds is nonsense; but every part of the command runs as it
would with the published files: detector, text tower, records, drawing. Use it with OVDET_HOME=FOLDER.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
from open_clip import get_model_config
from open_clip.transformer import TextTransformer
from safetensors.numpy import save_file

REFERENCE = Path(__file__).parents[1] / "tests" / "data" / "reference"
STEM = "Detic_LCOCOI21k_CLIP_R18_640b32_4x_ft4x_max-size"


def detector_weights() -> dict[str, np.ndarray]:
    """Detic r18 as the tests' manifest fills it."""
    spec = importlib.util.spec_from_file_location("fill", REFERENCE / "fill.py")
    assert spec and spec.loader
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    return fill.state_dict(REFERENCE / "detic" / "r18.manifest.json")


def text_tower_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """CLIP's text tower with random numbers, wide enough apart that words differ."""
    text = get_model_config("ViT-B-32-quickgelu")["text_cfg"]
    tower = TextTransformer(width=text["width"], heads=text["heads"], layers=text["layers"], output_dim=512)
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, tensor in tower.state_dict().items():
        if name == "attn_mask":
            continue
        values = rng.standard_normal(tuple(tensor.shape), dtype=np.float32) * np.float32(0.05)
        is_norm_weight = ".ln_" in f".{name}" and name.endswith("weight")
        arrays[name] = values + np.float32(1) if is_norm_weight else values
    return arrays


def main(folder: Path) -> None:
    """Writes the store."""
    for place, arrays in (
        (folder / "weights" / f"{STEM}.safetensors", detector_weights()),
        (folder / "text-encoders" / "clip-vit-b-32.safetensors", text_tower_weights()),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        save_file(arrays, place)
    (folder / "config.json").write_text('{"default_model": "detic-r18"}\n', encoding="utf-8")
    print(f"stand-in models in {folder}: use them with OVDET_HOME={folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("stand-in"))
