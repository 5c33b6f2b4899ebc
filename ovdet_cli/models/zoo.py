"""The zoo: model name -> ModelSpec, and the files (assets) that models need."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace

from ovdet_cli.errors import ModelError
from ovdet_cli.models.detic import config as detic
from ovdet_cli.models.dito import config as dito
from ovdet_cli.models.fvlm import config as fvlm
from ovdet_cli.models.spec import VILD_DEMO, Asset, Canvas, ModelSpec, Preprocess, Rules
from ovdet_cli.models.vild import config as vild

_DETIC_WEIGHTS = "https://dl.fbaipublicfiles.com/detic/"
_DETIC_METADATA = "https://raw.githubusercontent.com/facebookresearch/Detic/main/datasets/metadata/"
_TPU_WEIGHTS = "https://storage.googleapis.com/cloud-tpu-checkpoints/detection/projects/"
_GOOGLE_LICENCE = "Apache-2.0 (code; nothing is stated apart for the weights)"
_DETIC_LICENCE = "Apache-2.0 (code; the zoo states none apart for the weights)"

_BUILTIN_LICENCE = "Apache-2.0 (drawings it learned from: see ovdet_cli/models/builtin/CARD.md)"

TEXT_ENCODERS = {
    "clip-vit-b-32": Asset(
        "clip-vit-b-32",
        "text-encoder",
        "https://huggingface.co/timm/vit_base_patch32_clip_224.openai/resolve/main/open_clip_model.safetensors",
        605_157_884,
        "MIT (OpenAI CLIP)",
    ),
    **{
        f"clip-{name}": Asset(
            f"clip-{name}",
            "text-encoder",
            f"https://huggingface.co/timm/{folder}_clip.openai/resolve/main/open_clip_model.safetensors",
            size,
            "MIT (OpenAI CLIP)",
            saved_as=f"clip-{name}.safetensors",
        )
        for name, folder, size in (
            ("rn50", "resnet50", 408_300_000),
            ("rn50x4", "resnet50x4", 714_000_000),
            ("rn50x16", "resnet50x16", 1_160_000_000),
        )
    },
    "builtin-text": Asset("builtin-text", "text-encoder", "", 0, _BUILTIN_LICENCE, bundled="text.safetensors"),
}

IMAGE_ENCODERS = {
    # The other half of the same published file.
    name: replace(TEXT_ENCODERS[text], name=name, kind="image-encoder")
    for text in TEXT_ENCODERS
    if text.startswith("clip-")
    for name in (f"{text}-image",)
}
"""For pictures as examples: each text tower's name with "-image" behind it."""

EMBEDDINGS = {
    # Sizes are those of the float16 [C, 512] files in Detic's repository; "o365" there is the corrected file.
    vocabulary: Asset(vocabulary, "embeddings", _DETIC_METADATA + file, size, "Apache-2.0 (Detic)")
    for vocabulary, file, size in (
        ("lvis", "lvis_v1_clip_a+cname.npy", 1_232_000),
        ("coco", "coco_clip_a+cname.npy", 82_048),
        ("openimages", "oid_clip_a+cname.npy", 512_128),
        ("objects365", "o365_clip_a+cnamefix.npy", 373_888),
    )
}
EMBEDDINGS["vild-lvis"] = Asset(
    "vild-lvis",
    "embeddings",
    f"{_TPU_WEIGHTS}vild/weights/clip_synonym_prompt.npy",
    2_463_872,
    _GOOGLE_LICENCE,
    has_columns=True,
)
_DITO_EMBEDDINGS = f"{_TPU_WEIGHTS}dito/dito_large_embeddings.zip"
for _name, _member, _rows in (
    ("dito-lvis", "lvis_embed.npy", 1203),
    ("dito-coco", "coco_embed.npy", 80),
    ("dito-background", "bg_empty_embed.npy", 2),
):
    EMBEDDINGS[_name] = Asset(
        _name, "embeddings", _DITO_EMBEDDINGS, 4096 * _rows + 128, _GOOGLE_LICENCE, member=_member
    )
_EMBEDDINGS_OF = {
    "dito": {"lvis": EMBEDDINGS["dito-lvis"], "coco": EMBEDDINGS["dito-coco"]},
    "fvlm": {},
    "none": {},
    "detic": {name: EMBEDDINGS[name] for name in ("lvis", "coco", "openimages", "objects365")},
    "vild": {"lvis": EMBEDDINGS["vild-lvis"]},
    "builtin": {"builtin": Asset("builtin", "embeddings", "", 0, _BUILTIN_LICENCE, bundled="classes.safetensors")},
}

SINGLES: Mapping[str, Asset] = ChainMap(TEXT_ENCODERS, IMAGE_ENCODERS, EMBEDDINGS)
"""Files that are pulled by their own names too."""


def embeddings_of(spec: ModelSpec) -> dict[str, Asset]:
    """Built-in vocabulary -> its published embeddings for a model."""
    return _EMBEDDINGS_OF[spec.embeddings]


# Parameters of the four layouts without their classifier columns (../tests count them again), for sizes.
_NUMBERS = {"SwinB": 141_640_000, "R5021k": 101_850_000, "CXT21k": 82_540_000, "R18": 65_790_000}
_TOWER = 63_430_000  # CLIP ViT-B/32's text tower
_CONFIGS = {"SwinB": detic.SWIN_B, "R5021k": detic.R50, "CXT21k": detic.CONVNEXT_T, "R18": detic.R18}


def _detic(name: str, stem: str, trained_on: str, *results: tuple[str, str]) -> ModelSpec:
    backbone = stem.split("_CLIP_")[1].split("_")[0]
    # Of the 22047 columns the first 1203 are LVIS's too (facebookresearch/Detic, lvis_22k_categories.py).
    num_columns = 22047 if "I21k" in stem else 1203
    size = 4 * (_NUMBERS[backbone] + 3 * 512 * (num_columns + 1))
    weights = Asset(stem, "weights", f"{_DETIC_WEIGHTS}{stem}.pth", size, _DETIC_LICENCE)
    has_tower = "cap" in stem  # trained on captions
    weights = replace(weights, size=weights.size + 4 * _TOWER) if has_tower else weights
    return ModelSpec(
        name,
        stem,
        "detic",
        _CONFIGS[backbone],
        weights,
        num_columns,
        trained_on,
        results,
        has_text_tower=has_tower,
    )


def _ovcoco(name: str, stem: str, trained_on: str, figure: str) -> ModelSpec:
    has_tower = "caption" in stem
    size = 4 * (38_370_000 + (_TOWER if has_tower else 0))
    weights = Asset(stem, "weights", f"{_DETIC_WEIGHTS}{stem}.pth", size, _DETIC_LICENCE)
    return ModelSpec(
        name,
        stem,
        "detic-c4",
        detic.OVCOCO_R50,
        weights,
        num_columns=80,
        trained_on=trained_on,
        results=(("COCO box mAP50 / novel", figure),),
        vocabulary="coco",
        column_names="coco",
        preprocess=Preprocess(std_rgb=(1.0, 1.0, 1.0), divisor=1, order="bgr"),
        rules=Rules(threshold=0.05, max_detections=100, one_class=False),
        rules_from="of the official evaluation (the official demo cannot run this model)",
        has_masks=False,
        has_text_tower=has_tower,
    )


def _detr(name: str, stem: str, trained_on: str, figure: str) -> ModelSpec:
    weights = Asset(stem, "weights", f"{_DETIC_WEIGHTS}{stem}.pth", 4 * 43_290_000, _DETIC_LICENCE)
    return ModelSpec(
        name,
        stem,
        "detic-detr",
        detic.DEFORMABLE_DETR_R50,
        weights,
        num_columns=1203,
        trained_on=trained_on,
        results=(("LVIS box mAP / rare", figure),),
        preprocess=Preprocess(divisor=1),
        rules=Rules(threshold=0.3, nms_iou=1.0, one_class=False),
        rules_from="ours (the official evaluation keeps the best 300 whatever their score: --threshold 0)",
        words="closed",
        has_masks=False,
    )


_OV = "OV-LVIS mask mAP / novel"
_LVIS = "LVIS mask mAP / rare"
_O365 = "Objects365 box mAP"
_OID = "OpenImages box mAP50"
_FULL = "LVIS box mAP (800/1333)"
_FAST = "LVIS box mAP (640/640, threshold 0.3, boxes only)"

_ALL = "LVIS + COCO boxes, ImageNet-21k labels"


def _vild(name: str, stem: str, config: vild.VildConfig, numbers: int, figures: str) -> ModelSpec:
    weights = Asset(stem, "weights", f"{_TPU_WEIGHTS}vild/pretrained_ckpts/{stem}.tar.gz", 4 * numbers, _GOOGLE_LICENCE)
    return ModelSpec(
        name,
        stem,
        "vild",
        config,
        weights,
        num_columns=1203,
        trained_on="LVIS base boxes, CLIP's image embeddings of proposals",
        embeddings="vild",
        prompt="vild",
        novel="lvis-rare" if config.has_image_tower else "",
        results=(("LVIS mask AP: rare / common / frequent / all", figures),),
        preprocess=Canvas(mean_rgb=(0.485, 0.456, 0.406), std_rgb=(0.229, 0.224, 0.225), resize="tf1"),
        rules=Rules(threshold=0.0, one_class=False),
        rules_from="of the official evaluation",
        posts=(VILD_DEMO,),
        paste="detectron",
        paper="arXiv:2104.13921",
        unverified="the published weights' values (stand-in weights served the comparison), clip_synonym_prompt.npy, "
        "the demo notebook (its rules follow public copies), inverted boxes",
    )


_VILD = (
    _vild("vild-r50", "resnet50_vild", vild.R50, 48_700_000, "16.6 / 19.8 / 28.2 / 22.5"),
    _vild("vild-ensemble-r50", "resnet50_vild_ensemble", vild.ENSEMBLE_R50, 65_500_000, "18.0 / 24.7 / 30.6 / 25.9"),
    _vild("vild-r152", "resnet152_vild", vild.R152, 83_500_000, "19.6 / 21.6 / 28.5 / 24.0"),
    _vild(
        "vild-ensemble-r152", "resnet152_vild_ensemble", vild.ENSEMBLE_R152, 100_300_000, "19.2 / 24.8 / 30.8 / 26.2"
    ),
)


def _dito(name: str, config: dito.DitoConfig, numbers: int, figure: str, weights: str = "") -> ModelSpec:
    url = f"{_TPU_WEIGHTS}dito/{weights}" if weights else ""
    stem = weights.removesuffix(".zip") or name.replace("-", "_")
    return ModelSpec(
        name,
        stem,
        "dito",
        config,
        Asset(stem, "weights", url, 4 * numbers, _GOOGLE_LICENCE, member="vit-large/" if weights else ""),
        num_columns=0,
        trained_on="DataComp-1B pictures and texts, LVIS base boxes" if weights else "no public weights",
        results=(("LVIS mask AP rare", figure),),
        text_rows=1204,
        background=EMBEDDINGS["dito-background"],
        embeddings="dito" if weights else "none",
        novel="all",
        preprocess=Canvas(rounds_to_bfloat16=True),
        rules=Rules(threshold=0.0, max_detections=100, one_class=False),
        rules_from="of the official demo, which then draws 25 boxes of scores above 0.15",
        words="embedded",
        paste="detectron",
        paper="arXiv:2310.00161",
        unverified="the published weights' values (stand-in weights served the comparison), the published embeddings, "
        "the text tower",
    )


def _fvlm(name: str, config: fvlm.FvlmConfig, numbers: int, figure: str) -> ModelSpec:
    size = name.removeprefix("fvlm-")
    return ModelSpec(
        name,
        f"fvlm_{size}",
        "fvlm",
        config,
        Asset(f"fvlm_{size}", "weights", f"{_TPU_WEIGHTS}fvlm/{size}.zip", 4 * numbers, _GOOGLE_LICENCE),
        num_columns=0,
        trained_on="CLIP's pictures and texts (frozen), LVIS base boxes",
        results=(("LVIS mask AP rare", figure),),
        text_encoder=f"clip-{size.replace('r50', 'rn50')}",
        text_rows=91,
        embeddings="fvlm",
        prompt="imagenet",
        novel="all",
        vocabulary="coco",
        preprocess=Canvas(
            mean_rgb=(0.48145466, 0.4578275, 0.40821073),
            std_rgb=(0.26862954, 0.26130258, 0.27577711),
            rounds_to_bfloat16=True,
        ),
        rules=Rules(threshold=0.0, max_detections=100, one_class=False),
        rules_from="of the official demo",
        paste="detectron",
        paper="arXiv:2209.15639",
        unverified="the published weights' values (stand-in weights served the comparison; of R50 alone), which words "
        "the official rows of background and padding were made of",
    )


_FVLM = (
    _dito("dito-vit-s", dito.VIT_S, 65_970_000, "26.2"),
    _dito("dito-vit-b", dito.VIT_B, 200_000_000, "31.5"),
    _dito("dito-vit-l", dito.VIT_L, 634_480_000, "40.5", "demo_dito_large.zip"),
    _fvlm("fvlm-r50", fvlm.R50, 62_440_000, "18.6"),
    _fvlm("fvlm-r50x4", fvlm.R50X4, 120_000_000, "26.3"),
    _fvlm("fvlm-r50x16", fvlm.R50X16, 210_000_000, "30.4"),
)

_MODELS = (
    _detic(
        "detic-swin-b",
        "Detic_LCOCOI21k_CLIP_SwinB_896b32_4x_ft4x_max-size",
        _ALL,
        (_FULL, "44.4"),
        (_FAST, "35.0"),
        (_O365, "21.6"),
        (_OID, "54.6"),
    ),
    _detic("detic-convnext-t", "Detic_LCOCOI21k_CLIP_CXT21k_640b32_4x_ft4x_max-size", _ALL, (_FAST, "30.7")),
    _detic("detic-r50", "Detic_LCOCOI21k_CLIP_R5021k_640b32_4x_ft4x_max-size", _ALL, (_FAST, "29.0")),
    _detic("detic-r18", "Detic_LCOCOI21k_CLIP_R18_640b32_4x_ft4x_max-size", _ALL, (_FAST, "22.1")),
    _detic(
        "detic-li21k-swin-b",
        "Detic_LI21k_CLIP_SwinB_896b32_4x_ft4x_max-size",
        "LVIS boxes, ImageNet-21k labels",
        (_O365, "21.4"),
        (_OID, "55.2"),
    ),
    _detic(
        "detic-li-swin-b",
        "Detic_LI_CLIP_SwinB_896b32_4x_ft4x_max-size",
        "LVIS boxes, ImageNet labels",
        (_LVIS, "41.7 / 41.7"),
        (_O365, "21.2"),
        (_OID, "53.0"),
    ),
    _detic(
        "detic-li-r50",
        "Detic_LI_CLIP_R5021k_640b64_4x_ft4x_max-size",
        "LVIS boxes, ImageNet labels",
        (_LVIS, "33.2 / 29.7"),
    ),
    _detic(
        "detic-lbase-swin-b",
        "Detic_LbaseI_CLIP_SwinB_896b32_4x_ft4x_max-size",
        "LVIS base boxes, ImageNet labels",
        (_OV, "40.7 / 33.8"),
    ),
    _detic(
        "detic-lbase-r50",
        "Detic_LbaseI_CLIP_R5021k_640b64_4x_ft4x_max-size",
        "LVIS base boxes, ImageNet labels",
        (_OV, "32.4 / 24.9"),
    ),
    _detic(
        "detic-lbase-ccimg-r50",
        "Detic_LbaseCCimg_CLIP_R5021k_640b64_4x_ft4x_max-size",
        "LVIS base boxes, Conceptual Captions labels",
        (_OV, "31.0 / 19.8"),
    ),
    _detic(
        "detic-lbase-cccapimg-r50",
        "Detic_LbaseCCcapimg_CLIP_R5021k_640b64_4x_ft4x_max-size",
        "LVIS base boxes, Conceptual Captions labels and captions",
        (_OV, "31.0 / 21.3"),
    ),
    _detic(
        "boxsup-lcoco-swin-b",
        "BoxSup-C2_LCOCO_CLIP_SwinB_896b32_4x",
        "LVIS + COCO boxes",
        (_O365, "19.7"),
        (_OID, "46.4"),
    ),
    _detic(
        "boxsup-l-swin-b",
        "BoxSup-C2_L_CLIP_SwinB_896b32_4x",
        "LVIS boxes",
        (_LVIS, "40.7 / 35.9"),
        (_O365, "19.1"),
        (_OID, "46.2"),
    ),
    _detic("boxsup-l-r50", "BoxSup-C2_L_CLIP_R5021k_640b64_4x", "LVIS boxes", (_LVIS, "31.5 / 25.6")),
    _detic("boxsup-lbase-swin-b", "BoxSup-C2_Lbase_CLIP_SwinB_896b32_4x", "LVIS base boxes", (_OV, "38.4 / 21.9")),
    _detic("boxsup-lbase-r50", "BoxSup-C2_Lbase_CLIP_R5021k_640b64_4x", "LVIS base boxes", (_OV, "30.2 / 16.4")),
    _ovcoco(
        "detic-ovcoco-r50",
        "Detic_OVCOCO_CLIP_R50_1x_max-size",
        "COCO base boxes, image labels out of COCO captions",
        "44.7 / 24.1",
    ),
    _ovcoco(
        "detic-ovcoco-max-size-caption-r50",
        "Detic_OVCOCO_CLIP_R50_1x_max-size_caption",
        "COCO base boxes, COCO captions and image labels out of them",
        "45.0 / 27.8",
    ),
    _ovcoco(
        "detic-ovcoco-caption-r50",
        "Detic_OVCOCO_CLIP_R50_1x_caption",
        "COCO base boxes, COCO captions",
        "43.8 / 21.0",
    ),
    _ovcoco("boxsup-ovcoco-r50", "BoxSup_OVCOCO_CLIP_R50_1x", "COCO base boxes", "39.3 / 1.3"),
    _detr("detic-deformdetr-r50", "Detic_DeformDETR_LI_R50_4x_ft4x", "LVIS boxes, ImageNet labels", "32.5 / 26.2"),
    _detr("boxsup-deformdetr-r50", "BoxSup-DeformDETR_L_R50_4x", "LVIS boxes", "31.7 / 21.4"),
)

BUILTIN = ModelSpec(
    name="builtin",
    stem="ovdet-builtin",
    architecture="detic",
    config=detic.BUILTIN,
    weights=Asset("builtin", "weights", "", 0, _BUILTIN_LICENCE, bundled="weights.safetensors"),
    num_columns=0,
    trained_on="drawn scenes of emoji and icons",
    results=(),
    text_encoder="builtin-text",
    embeddings="builtin",
    prompt="{}",
    vocabulary="builtin",
    column_names="builtin",
    preprocess=Preprocess(short_side=384, max_size=640),
    rules=Rules(threshold=0.65),  # of what lets 0.1 boxes or fewer into a photograph, the least
    paper="arXiv:2201.02605, a small configuration of it",
    rules_from="its own",
    unverified="",
    knows="drawn things (emoji, icons, stickers)",
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (BUILTIN, *_MODELS, *_VILD, *_FVLM)}
DEFAULT = BUILTIN.name
"""What is used where a person has chosen none."""
RECOMMENDED = "detic-swin-b"
"""What is suggested for photographs: the official demo's."""


def find_model(name: str) -> ModelSpec:
    """The model of that short name or official file stem; ModelError lists near ones."""
    stem = name.removesuffix(".pth")
    for spec in MODELS.values():
        if stem in (spec.name, spec.stem):
            return spec
    import difflib

    near = difflib.get_close_matches(name.lower(), list(MODELS), n=3, cutoff=0.4) or list(MODELS)[:4]
    raise ModelError(f"no model is called {name!r}; near: {', '.join(near)}. `ovdet models list` shows all")
