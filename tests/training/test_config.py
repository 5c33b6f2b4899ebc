"""Configurations: what is shipped can be read, and what is wrong is told with its place."""

import dataclasses
from pathlib import Path

import pytest

from ovdet_cli.errors import UsageError
from ovdet_cli.training.config import TrainConfig, find_config, read_config, shipped_configs

SMALL = """
[schedule]
iterations = 10
[[data]]
kind = "coco"
path = "boxes.json"
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "own" / "small.toml"
    path.parent.mkdir()
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configurations_can_be_read(name: str) -> None:
    path, base = find_config(name)
    assert base == Path()
    config = read_config(path, base=base)
    assert isinstance(config, TrainConfig)
    assert Path(config.data[0].path).parent == Path.cwd()


def test_add_classes_has_the_published_values() -> None:
    config = read_config(find_config("add-classes")[0])
    boxes, labels = config.data
    assert (boxes.kind, labels.kind) == ("coco", "folders")
    assert labels.ratio == 4 * boxes.ratio
    assert labels.batch == 4 * boxes.batch
    assert (boxes.size, labels.size) == (640, 320)
    assert (boxes.scale, labels.scale) == ((0.1, 2.0), (0.5, 1.5))
    assert (config.optimizer.kind, config.optimizer.weight_decay, config.optimizer.clip) == ("adamw", 1e-4, "value")
    assert config.recipe.match_ious == (0.6, 0.7, 0.8)
    assert (config.recipe.federated, config.recipe.regions, config.recipe.image_weight) == (50, 512, 0.1)


def test_a_file_comes_before_a_shipped_name(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_config(str(small)) == (small, small.parent)
    monkeypatch.chdir(small.parent)
    small.rename("builtin")
    assert find_config("builtin") == (Path("builtin"), Path())
    with pytest.raises(UsageError, match=r"no configuration at nothing.*add-classes, builtin"):
        find_config("nothing")


def test_paths_count_from_the_file(small: Path) -> None:
    config = read_config(small, ["classes.file=../e.npy", "model.weights=published", "data.0.images=/elsewhere"])
    assert config.data[0].path == str(small.parent / "boxes.json")
    assert config.data[0].images == "/elsewhere"
    assert config.classes.file == str(small.parent / "../e.npy")
    assert config.model.weights == "published"
    assert config.evaluation.path == ""


def test_settings_are_put_over_the_file(small: Path) -> None:
    settings = ["run.seed=2", "data.0.scale=[0.5, 1]", "optimizer.learning_rate=1e-3", "model.name=detic-r18"]
    config = read_config(small, [*settings, "run.half_heads=true", "recipe.centernet.min_overlap = 0.7"])
    assert (config.run.seed, config.run.half_heads, config.optimizer.learning_rate) == (2, True, 1e-3)
    assert config.data[0].scale == (0.5, 1.0)
    assert config.model.name == "detic-r18"
    assert config.recipe.centernet.min_overlap == 0.7
    assert dataclasses.replace(config, run=read_config(small).run) != read_config(small)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.sed=2", "run has no 'sed'; did you mean seed"),
        ("run.zebra=2", "run has no 'zebra'; known are seed"),
        ("rnu.seed=2", "the configuration has no 'rnu'; did you mean run"),
        ("run.seed=two", "run.seed must be of type int, not 'two'"),
        ("run.seed=true", "run.seed must be of type int, not True"),
        ("run.precision=float8", "run.precision must be one of float32, bfloat16, float16"),
        ("data.0.scale=[1]", r"data\[0\].scale must have 2 entries, not 1"),
        ("data.0.scale=1", r"data\[0\].scale must be a list"),
        ("data.3.path=x", "3 must be a number from 0 to 0"),
        ("data.path=x", "path must be a number from 0 to 0"),
        ("data.0.kind.x=1", "holds no other values"),
        ("data=[]", "names no data"),
        ("schedule=3", "schedule must be a table"),
        ("run.seed", "written like run.seed=2"),
        ("=2", "written like run.seed=2"),
        ("run.seed=-1", "run: seed -1"),
        ("run.log_every=0", "log_every"),
        ("data.0.batch=0", r"data\[0\]: batch 0"),
        ("data.0.scale=[2, 1]", "scale"),
        ("schedule.iterations=0", "0 iterations"),
        ("recipe.image_loss=biggest", "recipe: image_loss is one of max_size"),
        ("recipe.centernet.strides=[8]", "1 strides"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(small: Path, setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_config(small, [setting])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no configuration"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[run")
    with pytest.raises(UsageError, match="no valid TOML"):
        read_config(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_bytes(b"# \xff")
    with pytest.raises(UsageError, match="cannot read"):
        read_config(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("[[data]]\nkind = 'coco'\n")
    with pytest.raises(UsageError, match=r"bad.toml: schedule is missing"):
        read_config(tmp_path / "bad.toml")
