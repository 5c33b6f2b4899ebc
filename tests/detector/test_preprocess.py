import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ovdet_cli.detector.preprocess import CanvasPreprocessor, Prepared, Preprocessor, resized_size
from ovdet_cli.models.spec import Canvas, Preprocess

sides = st.integers(1, 6000)


def detectron2_size(oldh, oldw, short_edge_length, max_size):
    """ResizeShortestEdge.get_output_shape, detectron2 02b5c4e2, data/transforms/augmentation_impl.py (Apache-2.0)."""
    h, w = oldh, oldw
    size = short_edge_length * 1.0
    scale = size / min(h, w)
    if h < w:
        newh, neww = size, scale * w
    else:
        newh, neww = scale * h, size
    if max(newh, neww) > max_size:
        scale = max_size * 1.0 / max(newh, neww)
        newh = newh * scale
        neww = neww * scale
    neww = int(neww + 0.5)
    newh = int(newh + 0.5)
    return (newh, neww)


@given(height=sides, width=sides, limits=st.sampled_from([(800, 1333), (640, 640), (224, 1333), (896, 896), (1, 1)]))
def test_sizes_equal_detectron2s(height, width, limits):
    wanted = detectron2_size(height, width, *limits)
    assert resized_size((height, width), *limits) == tuple(max(side, 1) for side in wanted)


@pytest.mark.parametrize(
    ("size_hw", "wanted"),
    [
        ((480, 640), (800, 1067)),  # seen in the official code
        ((640, 480), (1067, 800)),
        ((800, 800), (800, 800)),
        ((1080, 1920), (750, 1333)),
        ((1920, 1080), (1333, 750)),
        ((1, 1), (800, 800)),
        ((4, 3000), (2, 1333)),
        ((1, 100_000), (1, 1333)),
        ((100_000, 1), (1333, 1)),
    ],
)
def test_sizes(size_hw, wanted):
    assert resized_size(size_hw, 800, 1333) == wanted


def prepare(image, **settings):
    preprocessor = Preprocessor(Preprocess(**settings))
    return preprocessor, preprocessor.prepare(image)


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size_hw", [(60, 90), (90, 60), (300, 200), (64, 64)])
def test_the_network_sees_pillows_bilinear_normalised_and_padded_with_zeros(size_hw):
    image = picture(*size_hw)
    preprocessor, prepared = prepare(image, short_side=100, max_size=140)
    h, w = detectron2_size(*size_hw, 100, 140)
    assert prepared.size_hw == (h, w)
    assert prepared.original_hw == size_hw
    batch = preprocessor.stack([prepared, prepared], torch.device("cpu"))
    assert batch.dtype == torch.float32
    assert batch.shape == (2, 3, *prepared.padded_hw)
    assert [side % 32 for side in prepared.padded_hw] == [0, 0]
    assert [side - inner < 32 for side, inner in zip(prepared.padded_hw, (h, w), strict=True)] == [True, True]
    resized = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR), np.float32)
    wanted = (resized - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(batch[1, :, :h, :w].permute(1, 2, 0).numpy(), wanted, atol=1e-5)
    assert batch[:, :, h:].eq(0).all()
    assert batch[:, :, :, w:].eq(0).all()


def test_pictures_of_several_sizes_share_a_batch_if_they_pad_alike():
    preprocessor = Preprocessor(Preprocess(short_side=64, max_size=96))
    both = [preprocessor.prepare(picture(64, 90)), preprocessor.prepare(picture(64, 80))]
    assert both[0].padded_hw == both[1].padded_hw == (64, 96)
    batch = preprocessor.stack(both, torch.device("cpu"))
    assert batch[1, :, :, 80:].eq(0).all()
    assert batch[0, :, :, 80:90].ne(0).any()


@pytest.mark.parametrize(
    "view", [lambda image: image[::-1], lambda image: image[:, ::2], lambda image: image[..., ::-1]]
)
def test_views_and_read_only_pictures(view):
    image = view(picture(40, 60))
    image.flags.writeable = False
    before = image.copy()
    _, prepared = prepare(image, short_side=32, max_size=64)
    _, copied = prepare(image.copy(), short_side=32, max_size=64)
    np.testing.assert_array_equal(prepared.resized, copied.resized)
    np.testing.assert_array_equal(image, before)


def prepared(size_hw, original_hw):
    return Prepared(np.zeros((*size_hw, 3), np.uint8), size_hw, original_hw, size_hw)


@given(original=st.tuples(sides, sides), corners=st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_come_back_to_picture_pixels(original, corners):
    size = resized_size(original, 800, 1333)
    box = torch.tensor([[c * (size[1] if i % 2 == 0 else size[0]) for i, c in enumerate(corners)]])
    wanted = torch.tensor([[c * (original[1] if i % 2 == 0 else original[0]) for i, c in enumerate(corners)]])
    torch.testing.assert_close(prepared(size, original).to_original(box), wanted, rtol=1e-5, atol=1e-3)


@given(original=st.tuples(sides, sides), box=st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4))
def test_boxes_never_leave_the_picture(original, box):
    found = prepared(resized_size(original, 800, 1333), original).to_original(torch.tensor([box]))
    assert found.dtype == torch.float32
    assert ((found >= 0) & (found <= torch.tensor([original[1], original[0]] * 2))).all()


def test_the_whole_network_input_is_the_whole_picture():
    found = prepared((800, 1067), (480, 640)).to_original(torch.tensor([[0.0, 0.0, 1067.0, 800.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 640.0, 480.0]]))
    assert prepared((800, 1067), (480, 640)).to_original(torch.zeros(0, 4)).shape == (0, 4)


def test_a_canvas_has_the_picture_in_its_upper_left():
    image = np.random.default_rng(0).integers(0, 255, (30, 60, 3), dtype=np.uint8)
    preprocessor = CanvasPreprocessor(Canvas(side=128, mean_rgb=(0.5, 0.4, 0.3), std_rgb=(0.2, 0.2, 0.1)))
    prepared = preprocessor.prepare(image)
    assert (prepared.size_hw, prepared.padded_hw, prepared.original_hw) == ((64, 128), (128, 128), (30, 60))
    pixels = preprocessor.stack([prepared], torch.device("cpu"))
    assert pixels.shape == (1, 3, 128, 128)
    assert not pixels[:, :, 64:].any()
    corner = (image[0, 0] / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.2, 0.1]
    np.testing.assert_allclose(pixels[0, :, 0, 0], corner, atol=1e-5)
    boxes = prepared.to_original(torch.tensor([[0.0, 0.0, 128.0, 100.0]]), clip=False)
    np.testing.assert_allclose(boxes, [[0, 0, 60, 100 * 30 / 64]], rtol=1e-6)
    np.testing.assert_allclose(prepared.to_original(torch.tensor([[-9.0, 0.0, 128.0, 100.0]])), [[0, 0, 60, 30]])


def test_tensorflow_1_resizes_from_the_corner():
    """Doubling [0, 3] by hand: places 0, 0.5, 1 and 1.5, the last of which has no neighbour on its right."""
    image = np.array([[[0] * 3, [255] * 3]], np.uint8)
    preprocessor = CanvasPreprocessor(Canvas(side=64, resize="tf1", multiple=2))
    row = preprocessor.prepare(image).resized[0, :, 0]
    np.testing.assert_allclose(row[[0, 16, 32, 48]], [0, 0.5, 1, 1], atol=1e-6)
    centred = CanvasPreprocessor(Canvas(side=64, multiple=2)).prepare(image).resized[0, :, 0]
    np.testing.assert_allclose(centred[[0, 31, 32, 63]], [0, 0.484375, 0.515625, 1], atol=1e-6)


def test_an_input_may_be_rounded_to_bfloat16():
    image = np.full((64, 64, 3), 100, np.uint8)
    for rounds in (False, True):
        preprocessor = CanvasPreprocessor(Canvas(side=64, rounds_to_bfloat16=rounds))
        (value,) = preprocessor.stack([preprocessor.prepare(image)], torch.device("cpu")).unique().tolist()
        assert (value == torch.tensor(100 / 255).bfloat16().item()) == rounds


def test_channels_may_be_turned():
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 200
    spec = Preprocess(8, 8, mean_rgb=(0, 0, 0), std_rgb=(1, 1, 1), divisor=1, order="bgr")
    pixels = Preprocessor(spec).stack([Preprocessor(spec).prepare(image)], torch.device("cpu"))
    assert pixels.shape == (1, 3, 8, 8), "nothing is padded"
    assert pixels[0, :, 0, 0].tolist() == [0, 0, 200]
