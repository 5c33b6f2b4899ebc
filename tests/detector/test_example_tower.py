"""Pictures as examples go through the picture tower that belongs to the model's text tower."""

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from safetensors.torch import save_file

from ovdet_cli.detector.example_tower import ExampleTower
from ovdet_cli.errors import MissingAssetError, ModelError, UsageError
from ovdet_cli.models import store
from ovdet_cli.models.image_encoders.clip import ClipImageEncoder
from ovdet_cli.models.zoo import MODELS

WITH = {"detic-r18": "clip-vit-b-32", "detic-ovcoco-caption-r50": "clip-vit-b-32", "vild-r50": "clip-vit-b-32"}
WITH |= {"fvlm-r50": "clip-rn50", "fvlm-r50x4": "clip-rn50x4", "fvlm-r50x16": "clip-rn50x16"}
WITHOUT = ["builtin", "dito-vit-l", "dito-vit-s", "detic-deformdetr-r50"]
CROPS = [np.random.default_rng(i).integers(0, 256, size, np.uint8) for i, size in enumerate([(60, 80, 3), (9, 5, 3)])]


@pytest.fixture
def tower_file() -> Path:
    """CLIP ViT-B/32's picture tower with random weights, as a pull leaves it."""
    torch.manual_seed(0)
    tower = VisionTransformer(224, 32, 768, 12, 12, 4.0, output_dim=512, act_layer=QuickGELU)
    file = store.image_encoder_path("clip-vit-b-32-image")
    file.parent.mkdir(parents=True)
    save_file({f"visual.{name}": tensor.contiguous() for name, tensor in tower.state_dict().items()}, file)
    return file


def test_crops_go_through_the_pulled_tower(tower_file):
    tower = ExampleTower(MODELS["detic-r18"])
    assert tower.is_present
    vectors = tower.embed(CROPS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, 512)
    np.testing.assert_array_equal(vectors, ClipImageEncoder.from_file(tower_file).encode(CROPS).numpy())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_the_tower_is_read_once(tower_file):
    tower = ExampleTower(MODELS["detic-r18"])
    first = tower.embed(CROPS[:1])
    tower_file.unlink()
    np.testing.assert_array_equal(tower.embed(CROPS[:1]), first)


@pytest.mark.parametrize(("model", "name"), WITH.items())
def test_a_missing_tower_is_told_before_anything_is_loaded(model, name):
    tower = ExampleTower(MODELS[model])
    assert not tower.is_present
    with pytest.raises(MissingAssetError, match=rf"`ovdet models pull {name}-image`") as raised:
        tower.embed(CROPS)
    assert raised.value.name == f"{name}-image"
    assert "--embeddings" not in str(raised.value)


@pytest.mark.parametrize("model", WITHOUT)
def test_models_whose_words_do_not_go_through_clip_take_no_examples(model):
    with pytest.raises(UsageError, match=rf"CLIP's picture tower, and {model}'s words do not .*`ovdet query --like`"):
        ExampleTower(MODELS[model])


def test_every_model_takes_examples_or_says_why_not():
    for spec in MODELS.values():
        try:
            assert ExampleTower(spec).asset.name == f"{spec.text_encoder}-image"
            assert spec.free_words
        except UsageError:
            assert spec.name == "builtin" or not spec.free_words


def test_a_file_of_another_tower_is_told(tower_file):
    tower_file.rename(store.converted_path(ExampleTower(MODELS["fvlm-r50"]).asset))
    with pytest.raises(ModelError, match=r"clip-rn50-image\.safetensors does not fit this model"):
        ExampleTower(MODELS["fvlm-r50"]).embed(CROPS)
