from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import functional as V

from ovdet_cli.errors import ModelError
from ovdet_cli.models.image_encoders.clip import (
    ARCHITECTURES,
    ClipImageEncoder,
    _build_tower,
    convert_image_tower,
    prepare,
)

SIZES = [(300, 400), (640, 200), (1, 1), (224, 224), (37, 1000), (90, 51)]


def picture(size_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Blobs with edges, so that a filter's width shows."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (-(-size_hw[0] // 7), -(-size_hw[1] // 5), 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(7, axis=0).repeat(5, axis=1)[: size_hw[0], : size_hw[1]])


PICTURES = [picture(size, i) for i, size in enumerate(SIZES)]


def published(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """As published: without the text tower's big matrices, which add nothing here but time, with OpenAI's constants."""
    kept = {name: t for name, t in model.state_dict().items() if t.numel() < 3e6 or name.startswith("visual.")}
    constants = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    return {name: t.contiguous() for name, t in kept.items()} | {n: torch.tensor(v) for n, v in constants.items()}


@pytest.fixture(scope="module")
def clip():
    """The whole of CLIP with random weights."""
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None).eval()
    assert isinstance(model, open_clip.CLIP)
    return model


@pytest.fixture(scope="module")
def whole_file(clip, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("clip") / "open_clip_model.safetensors"
    save_file(published(clip), file)
    return file


@pytest.fixture(scope="module")
def encoder(whole_file) -> ClipImageEncoder:
    return ClipImageEncoder.from_file(whole_file)


def wanted_of(clip, pictures=PICTURES) -> torch.Tensor:
    """By open_clip's own preprocessing and `encode_image`."""
    transform = image_transform(clip.visual.image_size, is_train=False)
    with torch.inference_mode():
        return F.normalize(clip.encode_image(torch.stack([transform(Image.fromarray(p)) for p in pictures])), dim=1)


@pytest.fixture(scope="module")
def wanted(clip) -> torch.Tensor:
    return wanted_of(clip)


@pytest.mark.parametrize("side", [224, 288])
@pytest.mark.parametrize("size", [*SIZES, (224, 7168), (223, 225)])
def test_the_preprocessing_is_open_clips(size, side):
    image = picture(size)
    found = prepare(image, side)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, image_transform(side, is_train=False)(Image.fromarray(image)), rtol=0, atol=1e-6)


def test_the_preprocessing_is_clips_by_numbers():
    """Against Pillow and numpy alone, as CLIP's own repository has it."""
    image = picture((300, 401))
    resized = Image.fromarray(image).resize((int(224 * 401 / 300), 224), Image.Resampling.BICUBIC)
    left = round((resized.width - 224) / 2)
    pixels = np.asarray(resized, np.float64)[:, left : left + 224] / 255
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    np.testing.assert_allclose(prepare(image, 224).permute(1, 2, 0).numpy(), (pixels - mean) / std, atol=1e-5)


def test_a_line_of_pixels_costs_no_memory_of_its_length(monkeypatch):
    resized = []
    resize = V.resize
    monkeypatch.setattr(V, "resize", lambda image, *options: (resized.append(image.size), resize(image, *options))[1])
    line = np.tile(np.array([[[250, 120, 3]]], np.uint8), (1, 60_000, 1))
    for image in (line, line.transpose(1, 0, 2)):
        expected = prepare(picture((1, 1)) * 0 + line[:1, :1], 224)
        torch.testing.assert_close(prepare(image, 224), expected)
    assert [max(size) for size in resized] == [1, 32, 1, 32]


def test_the_middle_of_a_line_is_taken():
    line = np.zeros((2, 4000, 3), np.uint8)
    line[:, 1990:2010] = 200
    expected = prepare(np.full((4, 4, 3), 200, np.uint8), 224)
    torch.testing.assert_close(prepare(line, 224), expected)
    torch.testing.assert_close(prepare(line.transpose(1, 0, 2), 224), expected)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match=r"RGB uint8 \(H, W, 3\), not"):
        prepare(image, 224)


def test_embeddings_equal_open_clips_whole_model(encoder, wanted):
    found = encoder.encode(PICTURES)
    assert found.dtype == torch.float32
    assert found.shape == (len(PICTURES), encoder.embedding)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(PICTURES)))
    assert (found[0] - found[1]).abs().max() > 1e-3, "pictures differ"


def test_the_exact_gelu_would_give_others(wanted, whole_file, monkeypatch):
    monkeypatch.setattr("ovdet_cli.models.image_encoders.clip.QuickGELU", torch.nn.GELU)
    other = ClipImageEncoder.from_file(whole_file).encode(PICTURES[:1])
    assert (other - wanted[:1]).abs().max() > 1e-4


def test_batches_do_not_matter(encoder, wanted):
    torch.testing.assert_close(encoder.encode(PICTURES, batch=4), wanted, rtol=0, atol=1e-5)


def test_a_picture_that_is_a_view_may_be_encoded(encoder):
    view = PICTURES[0][::-1, 10:200]
    torch.testing.assert_close(encoder.encode([view]), encoder.encode([view.copy()]))
    assert not np.array_equal(view, PICTURES[0][:, 10:200])


@pytest.mark.parametrize("name", ["clip-vit-b-32", "clip-rn50", "clip-rn50x4", "clip-rn50x16"])
def test_the_layout_is_open_clips(name):
    config = open_clip.get_model_config(ARCHITECTURES[name])
    with torch.device("meta"):
        ours = _build_tower(config["vision_cfg"], config["embed_dim"])
        theirs = open_clip.CLIP(**config).visual
    assert repr(ours) == repr(theirs)
    assert {n: t.shape for n, t in ours.state_dict().items()} == {n: t.shape for n, t in theirs.state_dict().items()}
    heads = [
        [m.num_heads for m in tower.modules() if isinstance(m, torch.nn.MultiheadAttention | AttentionPool2d)]
        for tower in (ours, theirs)
    ]
    assert heads[0] == heads[1] != []


@pytest.mark.parametrize(
    ("name", "side", "width"),
    [
        ("clip-rn50", 224, 1024),
        pytest.param("clip-rn50x4", 288, 640, marks=pytest.mark.slow),
        pytest.param("clip-rn50x16", 384, 768, marks=pytest.mark.slow),
    ],
)
def test_the_residual_networks_towers(name, side, width, tmp_path):
    torch.manual_seed(0)
    architecture = name.removeprefix("clip-").replace("rn", "RN") + "-quickgelu"
    model = open_clip.create_model(architecture, pretrained=None).eval()
    with torch.no_grad():
        # The last norm of each block begins at zero, and nothing of the block would show.
        for module in model.visual.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1)
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 2)
    save_file(published(model), tmp_path / "whole.safetensors")
    convert_image_tower(tmp_path / "whole.safetensors", tmp_path / "tower.safetensors", name)
    tower = ClipImageEncoder.from_file(tmp_path / "tower.safetensors", name)
    assert (tower.side, tower.embedding) == (side, width)
    torch.testing.assert_close(tower.encode(PICTURES[:2]), wanted_of(model, PICTURES[:2]), rtol=0, atol=1e-5)


def test_conversion_keeps_the_picture_tower_only(whole_file, wanted, tmp_path):
    convert_image_tower(whole_file, tmp_path / "tower.safetensors")
    tensors = load_file(tmp_path / "tower.safetensors")
    assert all(name.startswith("visual.") for name in tensors)
    assert len(tensors) == 12 * 12 + 8
    assert [file.name for file in tmp_path.iterdir()] == ["tower.safetensors"]
    found = ClipImageEncoder.from_file(tmp_path / "tower.safetensors").encode(PICTURES[:1])
    torch.testing.assert_close(found, wanted[:1], rtol=0, atol=1e-5)


def test_missing_and_unknown_tensors_are_listed(clip):
    tensors = {n: t for n, t in clip.state_dict().items() if n not in ("visual.proj", "visual.ln_pre.bias")}
    with pytest.raises(
        ModelError, match=r"^somewhere does not fit this model\. 2 missing: visual\.ln_pre\.bias, visual\.proj$"
    ):
        ClipImageEncoder(tensors, "somewhere")
    with pytest.raises(ModelError, match=r"2 unexpected: extra, visual\.extra"):
        ClipImageEncoder({**clip.state_dict(), "extra": torch.zeros(1), "visual.extra": torch.zeros(1)}, "w")
    with pytest.raises(ModelError, match=r"1 misshapen: visual\.proj \[2, 2\] instead of \[768, 512\]"):
        ClipImageEncoder({**clip.state_dict(), "visual.proj": torch.zeros(2, 2)}, "w")


def test_another_models_weights_are_refused(clip, tmp_path):
    text = {n: t.contiguous() for n, t in clip.state_dict().items() if not n.startswith("visual.")}
    for i, tensors in enumerate(({"backbone.x": torch.zeros(2)}, text)):
        save_file(tensors, tmp_path / f"w{i}.safetensors")
        with pytest.raises(ModelError, match=rf"w{i}\.safetensors does not fit this model\. 152 missing"):
            convert_image_tower(tmp_path / f"w{i}.safetensors", tmp_path / "tower.safetensors")
    assert not (tmp_path / "tower.safetensors").exists()
    with pytest.raises(ModelError, match="does not fit"):
        ClipImageEncoder(clip.state_dict(), "w", "clip-rn50")
