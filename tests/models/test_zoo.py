import re

import pytest

from ovdet_cli.errors import ModelError
from ovdet_cli.models import zoo
from ovdet_cli.models.spec import ModelSpec

# Detic's model zoo.
PUBLISHED = {
    "BoxSup-C2_Lbase_CLIP_R5021k_640b64_4x": "30.2 / 16.4",
    "Detic_LbaseI_CLIP_R5021k_640b64_4x_ft4x_max-size": "32.4 / 24.9",
    "Detic_LbaseCCimg_CLIP_R5021k_640b64_4x_ft4x_max-size": "31.0 / 19.8",
    "Detic_LbaseCCcapimg_CLIP_R5021k_640b64_4x_ft4x_max-size": "31.0 / 21.3",
    "BoxSup-C2_Lbase_CLIP_SwinB_896b32_4x": "38.4 / 21.9",
    "Detic_LbaseI_CLIP_SwinB_896b32_4x_ft4x_max-size": "40.7 / 33.8",
    "BoxSup-C2_L_CLIP_R5021k_640b64_4x": "31.5 / 25.6",
    "Detic_LI_CLIP_R5021k_640b64_4x_ft4x_max-size": "33.2 / 29.7",
    "BoxSup-C2_L_CLIP_SwinB_896b32_4x": "40.7 / 35.9",
    "Detic_LI_CLIP_SwinB_896b32_4x_ft4x_max-size": "41.7 / 41.7",
    "Detic_LI21k_CLIP_SwinB_896b32_4x_ft4x_max-size": "55.2",
    "BoxSup-C2_LCOCO_CLIP_SwinB_896b32_4x": "46.4",
    "Detic_LCOCOI21k_CLIP_SwinB_896b32_4x_ft4x_max-size": "44.4",
    "Detic_LCOCOI21k_CLIP_CXT21k_640b32_4x_ft4x_max-size": "30.7",
    "Detic_LCOCOI21k_CLIP_R5021k_640b32_4x_ft4x_max-size": "29.0",
    "Detic_LCOCOI21k_CLIP_R18_640b32_4x_ft4x_max-size": "22.1",
    "BoxSup_OVCOCO_CLIP_R50_1x": "39.3 / 1.3",
    "Detic_OVCOCO_CLIP_R50_1x_max-size": "44.7 / 24.1",
    "Detic_OVCOCO_CLIP_R50_1x_caption": "43.8 / 21.0",
    "Detic_OVCOCO_CLIP_R50_1x_max-size_caption": "45.0 / 27.8",
    "BoxSup-DeformDETR_L_R50_4x": "31.7 / 21.4",
    "Detic_DeformDETR_LI_R50_4x_ft4x": "32.5 / 26.2",
}
PUBLISHED_VILD = {
    "resnet50_vild": "16.6 / 19.8 / 28.2 / 22.5",
    "resnet50_vild_ensemble": "18.0 / 24.7 / 30.6 / 25.9",
    "resnet152_vild": "19.6 / 21.6 / 28.5 / 24.0",
    "resnet152_vild_ensemble": "19.2 / 24.8 / 30.8 / 26.2",
}
SPECS = [spec for spec in zoo.MODELS.values() if spec != zoo.BUILTIN]
DETIC = [spec for spec in SPECS if spec.architecture.startswith("detic")]
VILD = [spec for spec in SPECS if spec.architecture == "vild"]


def test_all_of_detic_is_here_and_our_own_before_them() -> None:
    assert {spec.stem for spec in DETIC} == set(PUBLISHED)
    assert len(DETIC) == len(PUBLISHED) == 22
    assert {spec.stem for spec in VILD} == set(PUBLISHED_VILD)
    assert list(zoo.MODELS) == [zoo.DEFAULT, *(spec.name for spec in SPECS)]


def test_all_that_the_built_in_model_needs_is_bundled() -> None:
    spec = zoo.BUILTIN
    embeddings = zoo.embeddings_of(spec)
    assets = [spec.weights, zoo.TEXT_ENCODERS[spec.text_encoder], *embeddings.values()]
    assert all(asset.bundled and not asset.url for asset in assets)
    assert list(embeddings) == [spec.vocabulary]
    assert spec.knows
    assert not any(asset.bundled for asset in (*zoo.EMBEDDINGS.values(), *(s.weights for s in SPECS)))


@pytest.mark.parametrize("spec", VILD, ids=lambda spec: spec.name)
def test_an_entry_of_vild(spec: ModelSpec) -> None:
    assert PUBLISHED_VILD[spec.stem] in [figure for _, figure in spec.results]
    folder = "https://storage.googleapis.com/cloud-tpu-checkpoints/detection/projects/vild/"
    assert spec.weights.url == f"{folder}pretrained_ckpts/{spec.stem}.tar.gz"
    assert zoo.embeddings_of(spec)["lvis"].url == f"{folder}weights/clip_synonym_prompt.npy"
    assert spec.config.backbone_name == spec.stem.split("_")[0]
    assert spec.config.has_image_tower == ("ensemble" in spec.stem) == bool(spec.novel)


@pytest.mark.parametrize("spec", DETIC, ids=lambda spec: spec.name)
def test_an_entry(spec: ModelSpec) -> None:
    assert PUBLISHED[spec.stem] in [figure for _, figure in spec.results]
    assert spec.weights.url == f"https://dl.fbaipublicfiles.com/detic/{spec.stem}.pth"
    assert spec.weights.name == spec.stem
    assert 150e6 < spec.weights.size < 1000e6
    columns = 80 if "OVCOCO" in spec.stem else 22047 if "I21k" in spec.stem else 1203
    assert spec.num_columns == columns
    assert spec.free_words == ("DeformDETR" not in spec.stem)
    assert spec.text_encoder in zoo.TEXT_ENCODERS
    assert spec.vocabulary in zoo.EMBEDDINGS
    names = {"SwinB": "swin-base", "R5021k": "resnet50", "R18": "resnet18", "CXT21k": "convnext_tiny"}
    names |= {"R50": "resnet50-c4" if "OVCOCO" in spec.stem else "resnet50"}
    assert spec.config.backbone_name == names[next(part for part in spec.stem.split("_") if part in names)]


def test_names_are_one_space_without_doubles() -> None:
    names = [*zoo.MODELS, *(spec.stem for spec in zoo.MODELS.values()), *zoo.SINGLES]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in zoo.MODELS)
    assert all(name == spec.name for name, spec in zoo.MODELS.items())
    assert zoo.RECOMMENDED in zoo.MODELS


def test_file_names_do_not_collide() -> None:
    assets = [*(spec.weights for spec in SPECS), *zoo.SINGLES.values()]
    assets = [asset for asset in assets if not asset.bundled]
    assert len({asset.file_name for asset in assets}) == len({asset.url or asset.name for asset in assets})
    assert all(asset.url.startswith("https://") for asset in assets if asset.is_published)
    assert {asset.name for asset in assets if not asset.is_published} == {"dito_vit_s", "dito_vit_b"}


def test_every_tower_of_clip_has_its_picture_tower_in_the_same_file() -> None:
    names = [name for name in zoo.TEXT_ENCODERS if name != "builtin-text"]
    assert list(zoo.IMAGE_ENCODERS) == [f"{name}-image" for name in names]
    for name in names:
        text, image = zoo.TEXT_ENCODERS[name], zoo.IMAGE_ENCODERS[f"{name}-image"]
        assert (image.name, image.kind) == (f"{name}-image", "image-encoder")
        assert (image.url, image.size, image.file_name, image.licence) == (
            text.url,
            text.size,
            text.file_name,
            text.licence,
        )
        assert image.is_converted


def test_single_files_are_all_there() -> None:
    assert dict(zoo.SINGLES) == {**zoo.TEXT_ENCODERS, **zoo.IMAGE_ENCODERS, **zoo.EMBEDDINGS}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_model_is_found_by_either_name(spec: ModelSpec) -> None:
    assert zoo.find_model(spec.name) is zoo.find_model(spec.stem) is zoo.find_model(f"{spec.stem}.pth") is spec


@pytest.mark.parametrize("name", ["", "detic", "detic-swin-l", "DETIC-R50 ", "[bold]"])
def test_an_unknown_name_is_told_near_ones(name: str) -> None:
    with pytest.raises(ModelError, match=r"no model is called .*near: .*detic-.*`ovdet models list`"):
        zoo.find_model(name)


def test_sizes_of_embeddings_follow_from_their_shape() -> None:
    rows = {"lvis": 1203, "coco": 80, "openimages": 500, "objects365": 365, "vild-lvis": 2 * 1203}  # the last float32
    rows |= {"dito-lvis": 4 * 1203, "dito-coco": 4 * 80, "dito-background": 4 * 2}  # float32, 1024 wide
    assert {name: (asset.size - 128) / 1024 for name, asset in zoo.EMBEDDINGS.items()} == rows
