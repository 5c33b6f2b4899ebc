"""The rooms and who may import which: read from the code with `ast`, so that no import runs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ovdet_cli"
SHARED = {"frame", "detections", "regions", "errors"}
ROOMS = {
    "media": set(),
    "results": {"tracking"},
    "models": set(),
    "tracking": set(),
    # media: what files themselves tell of their time, and how alike they look. evaluation: labelled pictures.
    "analysis": {"results", "media", "evaluation"},
    "vocabulary": {"models"},
    # media: pictures that are examples of a class.
    "detector": {"models", "vocabulary", "media"},
    "render": {"results", "media", "analysis"},
    # models: the store, for the facts that `selftest` compares.
    "pipeline": {"media", "models", "vocabulary", "detector", "results", "render", "tracking"},
    # tracking: overlap and assignment.
    "evaluation": {"results", "tracking"},
    "training": {"models", "vocabulary", "media", "detector", "results", "evaluation"},
    "cli": {
        *("media", "models", "vocabulary", "detector", "results", "render", "pipeline", "evaluation", "training"),
        *("tracking", "analysis"),
    },
}
# Outside package -> rooms or files that may import it.
OWNERS = {
    "torch": ("models/", "detector/", "vocabulary/embed.py", "training/"),
    "torchvision": ("models/", "training/"),
    "timm": ("models/", "vocabulary/vocabulary.py"),
    "open_clip": ("models/",),
    "msgpack": ("models/",),
    "yaml": ("vocabulary/", "results/convert/"),
    "av": ("media/",),
    "PIL": ("media/images.py", "detector/preprocess.py", "render/", "training/augment.py"),
    "cv2": ("media/", "render/", "training/"),
    "pi_heif": ("media/",),
    "faster_coco_eval": ("evaluation/",),
    "pycocotools": ("evaluation/", "training/"),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "tqdm": ("cli/",),
    "pyarrow": ("results/", "analysis/"),
    "duckdb": ("analysis/",),
    "scipy": (),
    "jinja2": ("render/page/",),
    "pandas": ("results/", "analysis/"),
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports_of(file: str) -> Iterator[str]:
    """Dotted names that a file imports anywhere, but for type checking alone."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", [f for f in FILES if "/" in f])
def test_rooms_import_only_what_they_may(file: str) -> None:
    room = file.split("/")[0]
    allowed = SHARED | ROOMS[room] | {room, "__version__"}
    ours = {name.split(".")[1] for name in imports_of(file) if name.startswith("ovdet_cli.")}
    assert ours <= allowed, f"{file} imports {sorted(ours - allowed)}"


@pytest.mark.parametrize("file", FILES)
def test_outside_packages_stay_with_their_owners(file: str) -> None:
    for name in imports_of(file):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or file.startswith(owners), f"{file} imports {name}, which belongs to {owners}"


@pytest.mark.parametrize("file", ["frame.py", "detections.py", "regions.py", "errors.py"])
def test_shared_files_know_no_room_and_no_library_but_numpy(file: str) -> None:
    for name in imports_of(file):
        root = name.split(".")[0]
        assert root in sys.stdlib_module_names | {"numpy", "ovdet_cli"}
        assert root != "ovdet_cli" or name.split(".")[1] in SHARED


def test_every_folder_is_a_known_room_with_a_docstring() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    for file in FILES:
        assert ast.get_docstring(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))), f"{file} has no docstring"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, ovdet_cli.cli.main, ovdet_cli; "
        "print([m for m in ('torch', 'numpy', 'pandas', 'av', 'cv2', 'PIL', 'timm', 'open_clip') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_importing_has_no_effect_on_torch() -> None:
    code = (
        "import torch; before = (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), "
        "torch.backends.cudnn.allow_tf32); import ovdet_cli.detector.detector, ovdet_cli.pipeline.run; "
        "assert before == (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), "
        "torch.backends.cudnn.allow_tf32)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_query_of_ready_words_waits_for_no_library_that_it_does_not_need() -> None:
    code = (
        "import sys, torch, ovdet_cli.pipeline.query\n"
        "from ovdet_cli.detector.asking import Asker\n"
        "from ovdet_cli.models.zoo import find_model\n"
        "for name in ('detic-swin-b', 'detic-r50'):\n"
        "    spec = find_model(name)\n"
        "    Asker(spec, {}, spec.rules)\n"
        "print([m for m in ('torchvision', 'timm', 'open_clip', 'pandas', 'torch._dynamo') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
