"""Writes the checkpoints in `flax/`, `saved_model/` and `published/`, with Flax and TensorFlow themselves.

    python -m tests.models.coarse FOLDER      (where ovdet is installed; TensorFlow does not bear torch beside it)
    pip install flax tensorflow-cpu
    python tests/data/make_foreign_checkpoints.py FOLDER

Run once; the small files are committed, so that our readers are tested against what others wrote. `expected.npz` beside
each has the values.
"""

import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import flax
import flax.serialization
import jax.numpy as jnp
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def params() -> dict:
    """A small tree with names as DITO's and F-VLM's have them."""
    blocks = {f"resblocks.{i}": {"ln_1": {"scale": numbers(4), "bias": numbers(4)}} for i in (0, 1, 2, 10)}
    return {
        "vision_model": {"conv1": {"kernel": numbers(2, 2, 3, 4)}, "transformer": blocks},
        "frozen_vision_model": {"positional_embedding": numbers(9, 4)},
        "task_heads_0": {"temperature": numbers(1), "rpn-class": {"kernel": numbers(1, 1, 4, 1), "bias": numbers(1)}},
    }


def flatten(tree: dict, path: str = "") -> dict[str, np.ndarray]:
    flat = {}
    for name, part in tree.items():
        flat |= flatten(part, f"{path}{name}/") if isinstance(part, dict) else {f"{path}{name}": np.asarray(part)}
    return flat


def write_flax() -> None:
    folder = HERE / "flax"
    folder.mkdir(exist_ok=True)
    own, stats = params(), {"vision_model": {"bn1": {"mean": numbers(4), "var": numbers(4)}}}
    half = {"half": jnp.asarray(numbers(3, 2), jnp.bfloat16), "empty": numbers(0, 3), "count": np.int32(7)}
    own["task_heads_0"]["odd"] = half
    trained = {
        "step": 184000,
        "optimizer": {"target": own, "state": {"step": 3, "param_states": {"momentum": numbers(4)}}},
        "model_state": {"batch_stats": stats},
    }
    # Arrays above this size are written in chunks; as small as it gets here.
    flax.serialization.MAX_CHUNK_SIZE = 64
    (folder / "trained").write_bytes(flax.serialization.msgpack_serialize(trained))
    visual = params()["vision_model"]
    pretrained = {"model_state": {"params": {"visual": visual, "text": {"kernel": numbers(2, 2)}}}}
    (folder / "pretrained").write_bytes(flax.serialization.msgpack_serialize(pretrained))
    expected = {f"trained/params/{n}": v.astype(np.float32) if v.dtype.name == "bfloat16" else v for n, v in flatten(own).items()}
    expected |= {f"trained/batch_stats/{n}": v for n, v in flatten(stats).items()}
    expected |= {f"pretrained/params/{n}": v for n, v in flatten(visual).items()}
    np.savez_compressed(folder / "expected.npz", **expected)


def write_saved_model() -> None:
    """Variables without names, numbered as `tf.nest.flatten` orders a tree; as jax2tf's exports have them."""
    folder = HERE / "saved_model"
    tree = {"params": params(), "batch_stats": {"bn": {"mean": numbers(4)}}}
    module = tf.__internal__.tracking.AutoTrackable()
    module.variables = [tf.Variable(value) for value in tf.nest.flatten(tree)]
    tf.saved_model.save(module, str(folder))
    (folder / "saved_model.pb").unlink()
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    (folder / "assets").rmdir()
    np.savez_compressed(folder / "expected.npz", **flatten(tree))


def nest(tensors: dict[str, np.ndarray]) -> dict:
    """Arrays by path -> a tree."""
    tree: dict = {}
    for path, value in tensors.items():
        *folders, name = path.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[name] = value
    return tree


def write_published(tensors: Path) -> None:
    """The tiny models in the folder of tensors, packed as the official releases are: a TensorFlow 1 checkpoint, a SavedModel, a Flax checkpoint."""
    folder = HERE / "published"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        vild = work / "resnet50_vild_ensemble"
        vild.mkdir()
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            for path, value in np.load(tensors / "vild-ensemble-r50.npz").items():
                tf.compat.v1.get_variable(path, initializer=tf.constant(value))
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.train.Saver().save(session, str(vild / "model.ckpt"), global_step=180_000)
        with tarfile.open(folder / f"{vild.name}.tar.gz", "w:gz", compresslevel=9) as archive:
            archive.add(vild, vild.name)

        dito = work / "vit-large"
        module = tf.__internal__.tracking.AutoTrackable()
        module.variables = [tf.Variable(value) for value in tf.nest.flatten(nest(dict(np.load(tensors / "dito-vit-l.npz"))))]
        tf.saved_model.save(module, str(dito))
        with zipfile.ZipFile(folder / "demo_dito_large.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(dito.rglob("*")):
                archive.write(file, file.relative_to(work))

        tree = nest(dict(np.load(tensors / "fvlm-r50.npz")))
        trained = {"step": 184_000, "optimizer": {"target": tree["params"], "state": {"step": 3}}}
        trained["model_state"] = {"batch_stats": tree.get("batch_stats", {})}
        with zipfile.ZipFile(folder / "r50.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.writestr("r50/r50_checkpoint_184000", flax.serialization.msgpack_serialize(trained))


if __name__ == "__main__":
    write_published(Path(sys.argv[1]))
    write_flax()
    write_saved_model()
