import json
import os
import pickle
import shutil
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ovdet_cli.errors import ModelError, OutputError
from ovdet_cli.models.checkpoint import convert_checkpoint, load_weights, read_checkpoint, write_safetensors
from ovdet_cli.models.detic.keys import KEY_MAP

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.5, -2.0])}
BESIDE = {
    "optimizer": torch.optim.AdamW(nn.Linear(2, 2).parameters()).state_dict(),
    "scheduler": {"milestones": Counter([60000, 80000]), "last_epoch": 3},
    "iteration": 179999,
}


def assert_state(tensors, wanted=STATE):
    assert set(tensors) == set(wanted)
    for name, tensor in wanted.items():
        assert tensors[name].dtype == tensor.dtype
        torch.testing.assert_close(tensors[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "content",
    [STATE, OrderedDict(STATE), {"model": STATE, **BESIDE}, {"model": OrderedDict(STATE)}],
    ids=["plain", "ordered", "trained", "model"],
)
def test_a_pytorch_file_is_read(content, is_zip, tmp_path):
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=is_zip)
    assert_state(read_checkpoint(tmp_path / "w.pth"))


def test_parameters_are_tensors(tmp_path):
    torch.save({name: nn.Parameter(tensor) for name, tensor in STATE.items()}, tmp_path / "w.pth")
    assert set(read_checkpoint(tmp_path / "w.pth")) == set(STATE)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool", ">f4"])
def test_numpy_arrays_and_numbers_are_read(kind, is_zip, tmp_path):
    matrix = np.arange(6).reshape(2, 3).astype(kind)
    arrays = {"matrix": matrix, "columns": np.asfortranarray(matrix), "none": matrix[:0], "number": matrix[1, 2]}
    torch.save(
        {"model": {**arrays, "weight": torch.ones(2)}}, tmp_path / "w.pth", _use_new_zipfile_serialization=is_zip
    )
    tensors = read_checkpoint(tmp_path / "w.pth")
    assert set(tensors) == {*arrays, "weight"}
    for name, array in arrays.items():
        native = np.asarray(array).astype(np.asarray(array).dtype.newbyteorder("="))
        np.testing.assert_array_equal(tensors[name].numpy(), native, strict=True)


def test_numpy_files_of_numpy_1_are_read(tmp_path):
    torch.save({"n": np.arange(3.0), "s": np.float32(2)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    data = (tmp_path / "w.pth").read_bytes()
    for old, new in (
        (b"numpy.core.multiarray", b"numpy._core.multiarray"),
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
    ):
        (tmp_path / "w.pth").write_bytes(data.replace(old, new))
        assert_state(read_checkpoint(tmp_path / "w.pth"), {"n": torch.arange(3.0).double(), "s": torch.tensor(2.0)})


def test_float16_is_read_as_it_is_and_loaded_as_the_model_wants(tmp_path):
    torch.save({name: tensor.half() for name, tensor in STATE.items()}, tmp_path / "w.pth")
    tensors = read_checkpoint(tmp_path / "w.pth")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    model = nn.ModuleDict({"a": nn.Linear(3, 2)})
    load_weights(model, tensors, ((r"(.*)", r"\1"),), "w.pth")
    assert_state(model.state_dict())


class RunsACommand:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch '{self.witness}'",)


class RunsPython:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return exec, (f"open({str(self.witness)!r}, 'w')",)


class HidesInNumpy:
    """An array of objects, whose bytes are a pickle of its own."""

    def __init__(self, witness):
        self.array = np.array([RunsACommand(witness)], dtype=object)

    def __reduce__(self):
        return self.array.__reduce__()


@pytest.mark.parametrize("attack", [RunsACommand, RunsPython, HidesInNumpy])
@pytest.mark.parametrize("place", ["model", "beside"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_file_that_runs_code_is_refused_unrun(attack, place, ending, is_zip, tmp_path):
    witness = tmp_path / "witness"
    evil = attack(witness)
    content = {"model": {**STATE, "x": evil}} if place == "model" else {"model": STATE, "x": evil}
    file = tmp_path / f"w{ending}"
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(
        ModelError, match=r"w\.\w+ (wants to run code when it is opened \(.*and was refused|is neither)"
    ) as caught:
        read_checkpoint(file)
    assert attack is HidesInNumpy or "wants to run code" in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not witness.exists()
    if attack is not HidesInNumpy and is_zip:  # the attack is real
        torch.load(shutil.copy(file, tmp_path / "copy.pth"), weights_only=False)
        assert witness.exists()


def test_a_header_whose_length_looks_like_another_format(tmp_path):
    """0xA088 bytes of header begin as a Flax checkpoint's map does."""
    count = 0xA088
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).ljust(count)
    (tmp_path / "w").write_bytes(count.to_bytes(8, "little") + header.encode() + bytes(4))
    assert read_checkpoint(tmp_path / "w")["a"].tolist() == [0]


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_bare_pickle_is_refused_unrun(protocol, tmp_path):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": RunsACommand(tmp_path / "witness")}, protocol))
    with pytest.raises(ModelError, match=r"w\.pkl"):
        read_checkpoint(tmp_path / "w.pkl")
    assert not (tmp_path / "witness").exists()


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"wants to run code.*torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(tmp_path / "w.pth")


def test_a_forged_numpy_type_does_no_harm(tmp_path):
    """A dtype whose flags say "pointers" crashes the interpreter once numpy itself unpickles it."""

    class Forged:
        def __reduce__(self):
            return np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 0x3F)

    class Array:
        def __reduce__(self):
            make, arguments, _ = np.zeros(4).__reduce__()
            return make, arguments, (1, (4,), Forged(), False, b"\x01" * 32)

    torch.save({"x": Array(), "y": torch.ones(1)}, tmp_path / "w.pth")
    value = float(np.frombuffer(b"\x01" * 8)[0])
    assert_state(
        read_checkpoint(tmp_path / "w.pth"), {"x": torch.full((4,), value, dtype=torch.float64), "y": torch.ones(1)}
    )


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"a list of words\n", b"<!DOCTYPE html><html>", b"\x00" * 64, b"\x80\x02", b"PK\x03\x04"]
)
def test_another_file_is_refused(content, ending, tmp_path):
    (tmp_path / f"w{ending}").write_bytes(content)
    with pytest.raises(ModelError, match="neither a PyTorch checkpoint nor a safetensors file") as caught:
        read_checkpoint(tmp_path / f"w{ending}")
    assert f"w{ending}" in str(caught.value)


def saved(file, how):
    if how == "safetensors":
        save_file(STATE, file)
    else:
        torch.save({"model": STATE}, file, _use_new_zipfile_serialization=how == "zip")
    return file.read_bytes()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["zip", "legacy", "safetensors"])
def test_every_truncated_file_is_refused(how, tmp_path):
    file = tmp_path / "w.pth"
    whole = saved(file, how)
    for length in [*range(1, min(len(whole), 300), 7), *range(300, len(whole), 61), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"w\.pth"):
            dict(read_checkpoint(file))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["zip", "legacy", "safetensors"])
def test_a_damaged_file_never_fails_otherwise(how, tmp_path):
    file = tmp_path / "w.pth"
    whole = saved(file, how)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        try:
            dict(read_checkpoint(file))
        except ModelError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("ending", [".pth", ".safetensors", ""])
@pytest.mark.parametrize("how", ["zip", "legacy", "safetensors"])
def test_a_name_does_not_change_what_a_file_is(how, ending, tmp_path):
    file = tmp_path / f"w{ending}"
    saved(file, how)
    assert_state(read_checkpoint(file))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_what_is_no_file(ending, tmp_path):
    with pytest.raises(ModelError, match=r"no weight file at .*missing"):
        read_checkpoint(tmp_path / f"missing{ending}")
    (tmp_path / f"empty{ending}").touch()
    with pytest.raises(ModelError, match=r"empty.* is empty"):
        read_checkpoint(tmp_path / f"empty{ending}")
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(ModelError, match=r"folder.*: Is a directory"):
        read_checkpoint(tmp_path / f"folder{ending}")


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A folder of which this user may read nothing; root becomes somebody else meanwhile."""
    folder = Path(tempfile.mkdtemp())
    saved(folder / "w.pth", "zip")
    (folder / "w.pth").chmod(0)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_file_that_may_not_be_read(guarded):
    with pytest.raises(ModelError, match=r"cannot read the weights .*w\.pth: Permission denied"):
        read_checkpoint(guarded / "w.pth")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_folder_that_may_not_be_written(guarded):
    with pytest.raises(OutputError, match=r"cannot write .*w\.safetensors"):
        write_safetensors(STATE, guarded / "w.safetensors")


@pytest.mark.parametrize(
    "content", [[1, 2], {"model": [1]}, {}, {"model": {}}, {"iteration": 3}, torch.ones(2), {3: torch.ones(2)}]
)
def test_a_file_without_tensors_by_name(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="holds no tensors by name"):
        read_checkpoint(tmp_path / "w.pth")


def test_safetensors_behave_as_a_mapping(tmp_path):
    saved(tmp_path / "w.safetensors", "safetensors")
    tensors = read_checkpoint(tmp_path / "w.safetensors")
    assert len(tensors) == 2
    assert "a.bias" in tensors
    assert "b" not in tensors
    with pytest.raises(KeyError):
        tensors["b"]


class Little(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.ModuleDict({"project": nn.Linear(3, 2)}) for _ in range(2))


HEAD = "roi_heads.box_predictor.{}.cls_score.linear."


def little_file():
    return {
        HEAD.format(i) + kind: torch.randn(*shape)
        for i in range(2)
        for kind, shape in (("weight", (2, 3)), ("bias", (2,)))
    }


def test_strict_loading_fills_every_tensor():
    file = little_file()
    model = Little()
    load_weights(model, file, KEY_MAP, "w.pth")
    torch.testing.assert_close(model.stages[1]["project"].weight, file[HEAD.format(1) + "weight"])
    assert len(model.state_dict()) == len(file)


def test_strict_loading_lists_everything_under_the_files_names():
    file = little_file()
    model = Little()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    del file[HEAD.format(0) + "weight"]
    file[HEAD.format(1) + "bias"] = torch.zeros(5)
    file["roi_heads.box_head.0.fc1.weight"] = torch.zeros(1)  # known to the map, not to this model
    file["something.else"] = torch.zeros(1)
    with pytest.raises(ModelError) as caught:
        load_weights(model, file, KEY_MAP, "folder/w.pth")
    message = str(caught.value)
    assert message.startswith("folder/w.pth does not fit this model. ")
    assert f"1 missing: {HEAD.format(0)}weight" in message
    assert "2 unexpected: roi_heads.box_head.0.fc1.weight, something.else" in message
    assert f"1 misshapen: {HEAD.format(1)}bias [5] instead of [2]" in message
    assert_state(model.state_dict(), before)


def test_long_lists_are_cut():
    with pytest.raises(ModelError, match=r"4 missing: .*\. 30 unexpected: x00, x01, .*x11 and 18 more$"):
        load_weights(Little(), {f"x{i:02}": torch.zeros(1) for i in range(30)}, KEY_MAP, "w")


HARMLESS = [
    "pixel_mean",
    "pixel_std",
    "proposal_generator.anchor_generator.cell_anchors.0",
    "roi_heads.box_predictor.0.freq_weight",
    "roi_heads.box_predictor.2.cls_score.zs_weight",
    "backbone.bottom_up.base.bn1.num_batches_tracked",
    "backbone.bottom_up.base.fc.weight",
    "backbone.bottom_up.base.fc.bias",
    "backbone.bottom_up.layers.2.blocks.17.attn.relative_position_index",
    "text_encoder.transformer.resblocks.0.attn.in_proj_weight",
    "roi_heads.text_encoder.token_embedding.weight",
]


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_extra_tensors_are_let_pass(name):
    load_weights(Little(), {**little_file(), name: torch.zeros(7)}, KEY_MAP, "w")


@pytest.mark.parametrize(
    "name",
    [
        "pixel_meant",
        "roi_heads.box_predictor.0.cls_score.bias",
        "roi_heads.box_predictor.0.cls_score.cls_bias",
        "roi_heads.box_predictor.0.prop_score.0.weight",
        "roi_heads.box_predictor.cls_score.linear.weight",
        "criterion.fed_loss_weight",
        "proposal_generator.rpn_head.conv.weight",
        "iteration",
        HEAD.format(2) + "weight",
    ],
)
def test_any_other_extra_tensor_is_refused(name):
    with pytest.raises(ModelError, match=f"1 unexpected: {name}"):
        load_weights(Little(), {**little_file(), name: torch.zeros(7)}, KEY_MAP, "w")


def test_conversion_keeps_names_types_and_numbers(tmp_path):
    state = {
        **STATE,
        "half": torch.ones(2).half(),
        "index": torch.arange(4),
        "none": torch.zeros(0, 3),
        "n": torch.tensor(1.0),
    }
    torch.save({"model": state, **BESIDE}, tmp_path / "w.pth")
    convert_checkpoint(tmp_path / "w.pth", tmp_path / "new" / "w.safetensors")
    assert_state(load_file(tmp_path / "new" / "w.safetensors"), state)
    assert_state(read_checkpoint(tmp_path / "new" / "w.safetensors"), state)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_conversion_of_tensors_that_share_memory(is_zip, tmp_path):
    base = torch.arange(10.0)
    state = {"a": base, "b": base, "left": base[:6], "right": base[4:], "turned": base.view(2, 5).T, "none": base[:0]}
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=is_zip)
    convert_checkpoint(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert_state(load_file(tmp_path / "w.safetensors"), state)


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    write_safetensors(STATE, tmp_path / "w.safetensors")

    def save_half(tensors, file):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ovdet_cli.models.checkpoint.save_file", save_half)
    with pytest.raises(OutputError, match=r"cannot write .*w\.safetensors: .*No space left"):
        write_safetensors({"b": torch.ones(1)}, tmp_path / "w.safetensors")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["w.safetensors"]
    assert_state(load_file(tmp_path / "w.safetensors"))


def test_an_interrupted_write_leaves_no_part(tmp_path, monkeypatch):
    def interrupted(tensors, file):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("ovdet_cli.models.checkpoint.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_safetensors(STATE, tmp_path / "w.safetensors")
    assert not [file for file in tmp_path.iterdir() if file.is_file()]


def test_a_target_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_safetensors(STATE, tmp_path / "file" / "w.safetensors")


def test_a_failed_conversion_writes_nothing(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        convert_checkpoint(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["w.pth"]


def test_numbers_that_are_not_finite_are_refused():
    model = torch.nn.Linear(2, 2)
    tensors = {"weight": torch.tensor([[1.0, torch.nan], [0, 0]]), "bias": torch.zeros(2)}
    with pytest.raises(ModelError, match="1 not finite: weight"):
        load_weights(model, tensors, ((r"(.*)", r"\1"),), "a.pth")
