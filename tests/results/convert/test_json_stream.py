import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.errors import RecordError
from ovdet_cli.results.convert import json_stream
from ovdet_cli.results.convert.json_stream import JsonItems, JsonList

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(items=st.lists(values), lists=st.dictionaries(st.text(max_size=4), st.lists(values, max_size=4), max_size=3))
@pytest.mark.parametrize("chunk", [1, 7])
def test_items_come_whole_however_little_is_read_at_once(chunk, items, lists):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(json_stream, "_CHUNK", chunk)
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(items, indent=1))
        assert list(JsonItems(path)) == [("", item) for item in items]
        path.write_text(json.dumps(lists, ensure_ascii=False), encoding="utf-8")
        read = JsonItems(path)
        assert list(read) == [(key, item) for key, found in lists.items() for item in found]
        assert read.keys == lists.keys()


def test_what_is_no_list_is_one_item(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"info": {"a": 1}, "n": 12}')
    assert list(JsonItems(path)) == [("info", {"a": 1}), ("n", 12)]


@pytest.mark.parametrize("text", ["", "12", '[{"a": 1}', "[1,]", "[1] 2", '{"a" 1}', "[" * 100_000, "\ufeff", "[nope]"])
def test_broken_json_is_told_with_its_file(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"a\.json: no JSON"):
        list(JsonItems(path))


def test_a_list_ends_in_what_another_holds(tmp_path):
    first, second = JsonList(tmp_path / "a.json", b'{"a":['), JsonList(tmp_path / "b.json", b"")
    first.add(1)
    second.add({"x": "é"})
    second.add(2)
    first.close(b'],"b":[', second, b"]}")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"a": [1], "b": [{"x": "é"}, 2]}
    assert not (tmp_path / "b.json").exists()
