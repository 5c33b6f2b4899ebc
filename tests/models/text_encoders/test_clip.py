from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ovdet_cli.errors import ModelError
from ovdet_cli.models.text_encoders.clip import ClipTextEncoder, convert_text_tower

SENTENCES = ["a hot dog", "a " + "very " * 70 + "long word", "a 漢字 🐈", ""]


@pytest.fixture(scope="module")
def clip():
    """The whole of CLIP with random weights."""
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None).eval()
    assert isinstance(model, open_clip.CLIP)
    return model


@pytest.fixture(scope="module")
def whole_file(clip, tmp_path_factory) -> Path:
    """As published: with the picture tower and OpenAI's constants."""
    # Picture tower's big matrices add nothing here but time.
    tensors = {
        name: tensor for name, tensor in clip.state_dict().items() if tensor.numel() < 3e6 or "visual" not in name
    }
    constants = {
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    file = tmp_path_factory.mktemp("clip") / "open_clip_model.safetensors"
    save_file({**{name: tensor.contiguous() for name, tensor in tensors.items()}, **constants}, file)
    return file


@pytest.fixture(scope="module")
def encoder(whole_file) -> ClipTextEncoder:
    return ClipTextEncoder.from_file(whole_file)


@pytest.fixture(scope="module")
def wanted(clip) -> torch.Tensor:
    with torch.inference_mode():
        return F.normalize(clip.encode_text(open_clip.get_tokenizer("ViT-B-32-quickgelu")(SENTENCES)), dim=1)


def test_embeddings_equal_open_clips_whole_model(encoder, wanted):
    found = encoder.encode(SENTENCES)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(SENTENCES)))


def test_the_exact_gelu_would_give_others(clip, wanted, whole_file, monkeypatch):
    monkeypatch.setattr("ovdet_cli.models.text_encoders.clip.QuickGELU", torch.nn.GELU)
    other = ClipTextEncoder.from_file(whole_file).encode(SENTENCES[:1])
    assert (other - wanted[:1]).abs().max() > 1e-4


def test_batches_do_not_matter(encoder, wanted):
    torch.testing.assert_close(encoder.encode(SENTENCES[:2], batch=1), wanted[:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "text."])
def test_the_text_tower_alone_is_enough(encoder, wanted, prefix, clip):
    names = ("transformer.", "token_embedding.", "ln_final.", "positional_embedding", "text_projection")
    tensors = {prefix + name: tensor for name, tensor in clip.state_dict().items() if name.startswith(names)}
    assert len(tensors) == 12 * 12 + 5
    torch.testing.assert_close(ClipTextEncoder(tensors, "w").encode(SENTENCES[:1]), wanted[:1], rtol=0, atol=1e-5)


def test_conversion_keeps_the_text_tower_only(whole_file, wanted, tmp_path):
    convert_text_tower(whole_file, tmp_path / "tower.safetensors")
    tensors = load_file(tmp_path / "tower.safetensors")
    assert not any("visual" in name for name in tensors)
    assert len(tensors) == 12 * 12 + 5
    assert [file.name for file in tmp_path.glob("*.s*")] == ["tower.safetensors"]
    found = ClipTextEncoder.from_file(tmp_path / "tower.safetensors").encode(SENTENCES[:1])
    torch.testing.assert_close(found, wanted[:1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [("", 2), ("a cat", 4), ("a " + "cat " * 74, 77), ("a " + "cat " * 75, 78), ("a " + "cat " * 500, 503)],
)
def test_the_number_of_tokens(encoder, sentence, tokens):
    assert encoder.num_tokens(sentence) == tokens
    assert encoder.context == 77


def test_missing_tensors_are_listed(clip, tmp_path):
    tensors = {
        name: tensor
        for name, tensor in clip.state_dict().items()
        if name not in ("ln_final.bias", "positional_embedding")
    }
    with pytest.raises(
        ModelError, match=r"^somewhere does not fit this model\. 2 missing: ln_final\.bias, positional_embedding$"
    ):
        ClipTextEncoder(tensors, "somewhere")
    with pytest.raises(ModelError, match="1 unexpected: extra"):
        ClipTextEncoder({**clip.state_dict(), "extra": torch.zeros(1)}, "w")


def test_another_models_weights_are_refused(tmp_path):
    save_file({"backbone.x": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"w\.safetensors does not fit this model\. 149 missing"):
        convert_text_tower(tmp_path / "w.safetensors", tmp_path / "tower.safetensors")
    assert not (tmp_path / "tower.safetensors").exists()
