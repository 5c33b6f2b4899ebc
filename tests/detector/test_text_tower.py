"""The text tower that a checkpoint brings along is the one that its words go through."""

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, TextTransformer

from ovdet_cli.detector.text_tower import TextTower
from ovdet_cli.detector.words import prepare_words
from ovdet_cli.errors import MissingAssetError, ModelError
from ovdet_cli.models.text_encoders.clip import ClipTextEncoder
from ovdet_cli.models.zoo import MODELS
from ovdet_cli.vocabulary.vocabulary import Vocabulary

CAPTION = MODELS["detic-ovcoco-caption-r50"]


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """CLIP ViT-B/32's text tower with random weights, by its names there."""
    torch.manual_seed(0)
    tower = TextTransformer(77, 49408, 512, 8, 12, output_dim=512, act_layer=QuickGELU)
    return {name: tensor for name, tensor in tower.state_dict().items() if name != "attn_mask"}


@pytest.mark.parametrize("prefix", ["text_encoder.", "roi_heads.text_encoder."])
def test_words_go_through_the_checkpoints_own_tower(tensors, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("OVDET_HOME", str(tmp_path))
    weights = {prefix + name: tensor for name, tensor in tensors.items()} | {"backbone.x": torch.zeros(1)}
    tower = TextTower(CAPTION, weights, "model.pth", lambda: prefix)
    assert tower.is_own
    assert tower.is_present
    words = prepare_words(Vocabulary(["cat", "hot dog"]), tower)
    expected = ClipTextEncoder(tensors, "w").encode(["a cat", "a hot dog"])
    torch.testing.assert_close(words.texts, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(words.texts.norm(dim=1), torch.ones(2))
    # A tower with other weights is another one to the cache.
    other = {name: tensor.flip(0) if "projection" in name else tensor for name, tensor in weights.items()}
    changed = prepare_words(Vocabulary(["cat", "hot dog"]), TextTower(CAPTION, other, "o.pth", lambda: "other"))
    assert F.cosine_similarity(changed.texts, words.texts).max() < 0.9


def test_a_tower_that_is_not_whole_is_told(tensors):
    weights = {f"text_encoder.{name}": tensor for name, tensor in tensors.items() if "resblocks.11" not in name}
    with pytest.raises(ModelError, match=r"text tower in model\.pth does not fit.*12 missing: transformer"):
        _ = TextTower(CAPTION, weights, "model.pth").encoder


def test_without_one_the_pulled_tower_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("OVDET_HOME", str(tmp_path))
    tower = TextTower(CAPTION, {"backbone.x": torch.zeros(1)})
    assert not tower.is_own
    assert not tower.is_present
    with pytest.raises(MissingAssetError, match="clip-vit-b-32"):
        _ = tower.encoder
