import itertools
import json
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary import yaml_nodes
from ovdet_cli.vocabulary.entry import Entry, Example
from ovdet_cli.vocabulary.entry_file import ENTRY_SUFFIXES, FIELDS, read_entries
from ovdet_cli.vocabulary.entry_values import find_cycle

FOLDER = Path("shop")


def read(text, suffix=".yaml"):
    data = text if isinstance(text, bytes) else text.encode()
    return read_entries(data, f"words{suffix}", suffix, FOLDER)


def one(text, suffix=".yaml"):
    (entry,) = read(text, suffix)
    return entry


WHOLE = Entry(
    "cat",
    aliases=("kitty", "no"),
    combine="mean",
    templates=("vild", "one {}"),
    is_negative=True,
    threshold=0.25,
    min_area=400.0,
    max_per_image=3,
    parents=("animal", "pet"),
    finds_children=True,
    colour=(255, 136, 0),
    is_novel=False,
    examples=(Example(FOLDER / "a.jpg", (1.0, 2.0, 3.5, 4.0)), Example(FOLDER / "b.png")),
)
FILES = {
    ".yaml": """\
- name: cat
  aliases: [kitty, no]
  combine: mean
  templates: [vild, "one {}"]
  negative: yes
  threshold: .25
  min_area: 4e2
  max_per_image: 3
  parent: [animal, pet]
  expand: true
  colour: "#ff8800"
  novel: off
  examples: ["a.jpg:1,2,3.5,4", {path: b.png}]
""",
    ".toml": """\
[[classes]]
name = "cat"
aliases = ["kitty", "no"]
combine = "mean"
templates = ["vild", "one {}"]
negative = true
threshold = 0.25
min_area = 400
max_per_image = 3
parent = ["animal", "pet"]
expand = true
color = "#F80"
novel = false
examples = [{path = "a.jpg", box = [1, 2, 3.5, 4]}, "b.png"]
""",
    ".json": json.dumps(
        {
            "classes": [
                {
                    "name": "cat",
                    "aliases": ["kitty", "no"],
                    "combine": "mean",
                    "templates": ["vild", "one {}"],
                    "negative": True,
                    "threshold": 0.25,
                    "min_area": 400,
                    "max_per_image": 3,
                    "parent": ["animal", "pet"],
                    "expand": True,
                    "colour": [255, 136, 0],
                    "novel": False,
                    "examples": [{"path": "a.jpg", "box": [1, 2, 3.5, 4]}, {"path": "b.png", "box": None}],
                }
            ]
        }
    ),
    ".csv": (
        "max_per_image,name,aliases,combine,templates,negative,threshold,min_area,parent,expand,color,novel,examples\n"
        '3,cat,kitty | no,mean,vild|one {},1,0.25,400,animal|pet,yes,255|136|0,0,"a.jpg:1,2,3.5,4|b.png"\n'
    ),
}
FILES[".yml"] = FILES[".yaml"]
FILES[".tsv"] = FILES[".csv"].replace('"', "").replace(",", "\t").replace("1\t2\t3.5\t4", "1,2,3.5,4")


@pytest.mark.parametrize("suffix", ENTRY_SUFFIXES)
def test_all_that_a_class_can_say(suffix):
    assert read(FILES[suffix], suffix) == (WHOLE,)
    marked = b"\xef\xbb\xbf" + FILES[suffix].replace("\n", "\r\n").encode()
    assert read(marked, suffix) == (WHOLE,)


def test_names_keep_their_spelling():
    text = "- on\n- no\n- 123\n- 1.50\n- null\n- name: yes\n  aliases: [off, 0x10, 2024-01-01]\n  parent: 007\n"
    entries = read(text)
    assert [entry.name for entry in entries] == ["on", "no", "123", "1.50", "null", "yes"]
    assert entries[-1].aliases == ("off", "0x10", "2024-01-01")
    assert entries[-1].parents == ("007",)
    assert [entry.name for entry in read('["no", 123, {"name": 7}]', ".json")] == ["no", "123", "7"]
    assert one("classes = [8]", ".toml").name == "8"
    assert one("name\nTrue\n", ".csv").name == "True"


def test_order_is_that_of_the_file():
    names = ["zebra", "ant", "cow"]
    text = {
        ".yaml": "".join(f"- {name}\n" for name in names),
        ".json": json.dumps(names),
        ".toml": "".join(f'[[classes]]\nname = "{name}"\n' for name in names),
        ".csv": "name\n" + "\n".join(names),
    }
    for suffix, content in text.items():
        assert [entry.name for entry in read(content, suffix)] == names
        assert read(content, suffix) == tuple(Entry(name) for name in names)


def test_defaults_and_own_templates():
    text = """\
templates:
  shelf: ["{} on a shelf", vild]
  close: a close {}
defaults: {threshold: 0.4, templates: [shelf, simple], colour: red, negative: no}
classes:
- cat
- {name: dog, threshold: 0.5, templates: close}
- {name: cow, templates: [], threshold: null, negative: true}
"""
    cat, dog, cow = read(text)
    assert cat == Entry("cat", templates=("{} on a shelf", "vild", "simple"), threshold=0.4, colour=(255, 0, 0))
    assert dog == Entry("dog", templates=("a close {}",), threshold=0.5, colour=(255, 0, 0))
    assert cow == Entry("cow", threshold=0.4, colour=(255, 0, 0), is_negative=True)


def test_one_value_in_place_of_a_list():
    entry = one("- {name: cat, aliases: kitty, parent: animal, templates: 'one {}', examples: a.jpg}")
    assert entry == Entry("cat", ("kitty",), templates=("one {}",), parents=("animal",), examples=(ex("a.jpg"),))
    assert one("- {name: cat, examples: {path: a.jpg, box: [0, 0, 2, 2]}}").examples == (ex("a.jpg", 0, 0, 2, 2),)


def ex(path, *box):
    return Example(FOLDER / path, box or None)


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("a.jpg", ex("a.jpg")),
        ("a.jpg:1,2,3,4", ex("a.jpg", 1, 2, 3, 4)),
        ("a.jpg: 1.5, 2, 3e1, 4", ex("a.jpg", 1.5, 2, 30, 4)),
        ("C:\\pics\\a.jpg", ex("C:\\pics\\a.jpg")),
        ("a:1.jpg", ex("a:1.jpg")),
        ("a:1", ex("a:1")),
        ("a: b, c.jpg", ex("a: b, c.jpg")),
        ("a:1,2,3/4.jpg", ex("a:1,2,3/4.jpg")),
        ("http:1,1,2,2:1,2,3,4", ex("http:1,1,2,2", 1, 2, 3, 4)),
        ("/pics/a.jpg", Example(Path("/pics/a.jpg"))),
    ],
)
def test_examples(text, example):
    assert one(json.dumps([{"name": "cat", "examples": text}]), ".json").examples == (example,)


def test_parents():
    assert [e.parents for e in read("- {name: a, parent: b}\n- {name: b, parent: group}")] == [("b",), ("group",)]
    long = "".join(f"- {{name: n{i}, parent: n{i + 1}}}\n" for i in range(5000))
    assert len(read(long)) == 5000
    with pytest.raises(VocabularyError, match=r"n4999 > \.\.\. > |n0 > n1 > .* > \.\.\. > n0; leave"):
        read(long + "- {name: n5000, parent: n0}")
    assert find_cycle({"a": ["b", "c"], "b": ["c"], "c": ["d"]}) == []
    assert find_cycle({"a": ["b", "c"], "b": [], "c": ["b", "a"]}) == ["a", "c", "a"]


@given(st.dictionaries(st.integers(0, 6).map(str), st.lists(st.integers(0, 7).map(str), max_size=3)))
def test_a_cycle_is_found_where_there_is_one(parents):
    cycle = find_cycle(parents)
    if cycle:
        assert len(cycle) > 1
        assert cycle[0] == cycle[-1]
        assert all(after in parents[before] for before, after in itertools.pairwise(cycle))
    else:  # so the classes can be put in order, parents first
        left = dict(parents)
        while ready := [name for name in left if not set(left[name]) & set(left)]:
            for name in ready:
                del left[name]
        assert not left


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {name: a, treshold: 1}", "line 1, column 13: the key 'treshold' is not known; did you mean threshold?"),
        ("- {name: a, colr: 1}", "did you mean colour?"),
        ("- {name: a, q: 1}", "the key 'q' is not known; there are name, aliases, .*, examples$"),
        ("classs: [a]", "line 1, column 1: the key 'classs' is not known; did you mean classes?"),
        ("defaults: {threshold: 1}", "line 1, column 1: the key classes is missing"),
        ("- a\n- threshold: 1", "words.yaml, line 2, column 3: the class has no name; add the key name"),
        ("- a\n- name:", "line 2, column 8: name is empty"),
        ("- a\n-", "line 2, column 2: name is empty"),
        ("- '  '", "line 1, column 3: name is empty"),
        ("- {name: [a]}", "line 1, column 10: name must be a text, not a list of 1"),
        ("- [a]", "line 1, column 3: a class must be a name or a mapping, not a list of 1"),
        (
            "- a\n- b\n- {name: a}",
            "line 3, column 10: the class 'a' stands here again, after line 1; put both into one",
        ),
        ("cat", "line 1, column 1: a list of classes is needed, not 'cat'"),
        ("classes: cat", "line 1, column 10: a list of classes is needed"),
        ("classes:", "a list of classes is needed, not nothing"),
        ("classes: []", "line 1, column 10: there is no class; write at least one name"),
        ("[]", "line 1, column 1: there is no class"),
        ("- {name: a, parent: [x, a]}", "line 1, column 21: the class 'a' is its own parent: a > a; leave"),
        (
            "- {name: a, parent: b}\n- {name: b, parent: a}",
            "line 1, column 21: the parents lead in a circle: a > b > a;",
        ),
        ("- {name: a, threshold: 1.5}", "line 1, column 24: threshold must be a number from 0 to 1, not '1.5'"),
        ("- {name: a, threshold: .nan}", "threshold must be a number from 0 to 1, not '.nan'"),
        ("- {name: a, threshold: '0.5'}", "threshold must be a number from 0 to 1, not the text '0.5'"),
        ("- {name: a, threshold: [1]}", "threshold must be a number from 0 to 1, not a list of 1"),
        ("- {name: a, min_area: -1}", "min_area must be a number of at least 0, not '-1'"),
        ("- {name: a, min_area: 1e999}", "min_area must be a number of at least 0"),
        ("- {name: a, max_per_image: 0}", "max_per_image must be a whole number of at least 1, not '0'"),
        ("- {name: a, max_per_image: 1.0}", "max_per_image must be a whole number of at least 1, not '1.0'"),
        (f"- {{name: a, max_per_image: {'9' * 5000}}}", "max_per_image must be a "),
        ("- {name: a, negative: maybe}", "negative must be true or false, not 'maybe'"),
        ("- {name: a, negative: 'true'}", "negative must be true or false, not the text 'true'"),
        ("- {name: a, expand: 1}", "expand must be true or false, not '1'"),
        ("- {name: a, combine: max}", "combine must be best or mean, not 'max'"),
        ("- {name: a, aliases: [b, '']}", "line 1, column 26: aliases is empty"),
        ("- {name: a, aliases: {b: c}}", "aliases must be a text, not a mapping"),
        (
            "- {name: a, colour: reddish}",
            'colour must be like "#ff8800", "orange" or \\[255, 136, 0\\], not \'reddish\'',
        ),
        ("- {name: a, colour: '#ff88'}", "colour must be like"),
        ("- {name: a, colour: [1, 2]}", "colour has 2 numbers; three are needed"),
        (
            "- {name: a, colour: [1, 2, 256]}",
            "line 1, column 28: colour must be a whole number from 0 to 255, not '256'",
        ),
        ("- name: a\n  colour: #ff0000", 'line 2, column 10: colour has no value; put quotes around "#ff8800"'),
        ("- {name: a, colour: red, color: red}", "line 1, column 26: colour and color are the same key"),
        ("- {name: a, templates: vidl}", "line 1, column 24: no template set is called 'vidl': did you mean vild?"),
        ("- {name: a, templates: a photo}", "the template 'a photo' has no {}; write {} where the name belongs"),
        ("- {name: a, templates: '{name}'}", "has no {}"),
        ("templates: {vild: 'a {}'}\nclasses: [a]", "line 1, column 13: the template set vild is built in"),
        ("templates: {x: []}\nclasses: [a]", "line 1, column 16: the template set 'x' is empty"),
        ("templates: {x: photo}\nclasses: [a]", "line 1, column 16: no template set is called 'photo'"),
        ("templates: ['a {}']\nclasses: [a]", "line 1, column 12: templates must be a mapping, not a list of 1"),
        ("defaults: {name: a}\nclasses: [a]", "line 1, column 12: name belongs to one class and cannot be a default"),
        ("defaults: {x: a}\nclasses: [a]", "line 1, column 12: the key 'x' is not known; there are combine, "),
        ("- {name: a, examples: 'a.jpg:1,2,3'}", "a box must be the four numbers x1, y1, x2, y2, not a list of 3"),
        ("- {name: a, examples: 'a.jpg:1,2,b,4'}", "a box's side must be a number, not 'b'"),
        ("- {name: a, examples: 'a.jpg:1,2,1,4'}", "the box 1,2,1,4 is empty; x2 must be above x1"),
        ("- {name: a, examples: [a.jpg:1,2,3,4]}", "2 is no picture; put quotes around"),
        ("- {name: a, examples: {box: [1,2,3,4]}}", "line 1, column 23: the example has no path"),
        ("- {name: a, examples: {path: a, bax: 1}}", "line 1, column 33: an example knows no key 'bax'"),
        ("- {name: a, examples: {path: a, box: '1,2,3,4'}}", "a box must be the four numbers"),
        ('- "a\\0"', "name holds U.0000, which is no character"),
    ],
)
def test_what_is_told_of_a_wrong_file(text, message):
    with pytest.raises(VocabularyError) as caught:
        read(text)
    assert str(caught.value).startswith("words.yaml, line ")
    pattern = message if "\\[" in message else re.sub(r"([?{}()\[\]])", r"\\\1", message)
    assert re.search(pattern, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".csv", "name,threshold\ncat,0.5\ndog,2\n", r"words\.csv, line 3, column 2 \(threshold\): threshold must be"),
        (
            ".csv",
            "name,thresh\n",
            r"line 1, column 2 \(thresh\): the key 'thresh' is not known; did you mean threshold\?",
        ),
        (".csv", "cat\ndog\n", r"line 1, column 1 \(cat\): the key 'cat' is not known"),
        (
            ".csv",
            "threshold\n1\n",
            r"line 1, column 1: the first row must name the columns, and one of them must be name",
        ),
        (".csv", "name,threshold\n,0.5\n", r"line 2, column 1: the class has no name"),
        (".csv", "name\n", "there is no class"),
        (".csv", "name\na\nb\na\n", r"line 4, column 1 \(name\): the class 'a' stands here again, after line 2"),
        (".csv", "name,negative\na,2\n", r"negative must be true or false, not '2'"),
        (
            ".json",
            '[{"name": true}]',
            r"words\.json, line 1, column 11: name must be a text, not true; put it between quotes",
        ),
        (".json", '[{"name": 1.5}]', r"name must be a text, not 1\.5"),
        (".json", '[{"name": null}]', r"name is empty"),
        (".json", '["\\ud800"]', r"name holds U\+D800"),
        (".json", '[{"name": "a", "threshold": true}]', r"threshold must be a number from 0 to 1, not true"),
        (".toml", '[[classes]]\nname = "a"\n[[classes]]\nname = "a"', r"words\.toml, line 4, column 8: the class 'a'"),
        (".toml", "[[classes]]\nname = 1979-05-27", r"line 2, column 8: name must be a text, not 1979-05-27"),
        (".toml", 'classes = ["a", "b"]\nfoo = 1', r"line 2, column 1: the key 'foo' is not known"),
    ],
)
def test_places_in_other_formats(suffix, text, message):
    with pytest.raises(VocabularyError, match=message):
        read(text, suffix)


@pytest.mark.parametrize("suffix", ENTRY_SUFFIXES)
def test_no_class_and_no_text(suffix):
    for nothing in (b"", b" \n\n", b"\xef\xbb\xbf"):
        with pytest.raises(VocabularyError, match=rf"words\{suffix} holds no class: write at least one name"):
            read(nothing, suffix)
    for data, message in (
        ("cat".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (b"name\ncaf\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        (b"name\na\0\n", "line 2: a NUL character"),
    ):
        with pytest.raises(VocabularyError, match=message):
            read(data, suffix)


def entries_or_error(data, suffix):
    try:
        entries = read(data, suffix)
    except VocabularyError as error:
        assert str(error).startswith(f"words{suffix}")
        assert "\n" not in str(error)
        str(error).encode()
        return
    assert entries
    assert all(isinstance(entry, Entry) and entry.name for entry in entries)


@given(data=st.binary(max_size=80), suffix=st.sampled_from(ENTRY_SUFFIXES))
def test_any_bytes_are_entries_or_an_error(data, suffix):
    entries_or_error(data, suffix)


words = st.sampled_from(
    [*FIELDS, "color", "classes", "defaults", "cat", "mean", "vild", "a {}", "path", "box", "#f00", "a.jpg:1,2,3,4"]
)
trees = st.recursive(
    words | st.text(max_size=4) | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(tree=trees, suffix=st.sampled_from([".json", ".yaml"]))
def test_any_tree_is_entries_or_an_error(tree, suffix):
    entries_or_error(json.dumps(tree).encode(), suffix)


@given(
    classes=st.lists(st.dictionaries(words, trees, max_size=5).map(lambda c: {"name": "cat"} | c), max_size=3),
    defaults=st.dictionaries(words, trees, max_size=2),
)
def test_any_class_is_an_entry_or_an_error(classes, defaults):
    entries_or_error(json.dumps({"classes": classes, "defaults": defaults}).encode(), ".json")


@pytest.mark.parametrize("suffix", ENTRY_SUFFIXES)
def test_damaged_files_are_entries_or_an_error(suffix):
    whole = FILES[suffix].encode()
    for length in range(len(whole)):
        entries_or_error(whole[:length], suffix)
    chance = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(damaged))
            damaged[place : place + chance.randint(0, 2)] = chance.choice(
                [b"", b"\n", b'"', b"[", b"{", b"}", b":", b",", b"\t", b"- ", b"|", b"\xc3", b"0", b"&a", b"*a", b"="]
            )
        entries_or_error(bytes(damaged), suffix)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_yaml_with_and_without_libyaml(loader, monkeypatch):
    import yaml

    if not hasattr(yaml, loader):
        pytest.skip("PyYAML without libyaml")
    monkeypatch.setattr(yaml_nodes, "_LOADER", getattr(yaml, loader))
    assert read(FILES[".yaml"]) == (WHOLE,)
    for length in range(0, len(FILES[".yaml"]), 7):
        entries_or_error(FILES[".yaml"][:length].encode(), ".yaml")


@settings(max_examples=50)
@given(data=st.text("ab \n\t,:-[]{}\"'#&*!|>%~?\\0\x85\ud800é", max_size=40))
def test_pure_yaml_is_safe_too(data):
    import yaml

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_nodes, "_LOADER", yaml.SafeLoader)
        entries_or_error(data.encode("utf-8", "surrogatepass"), ".yaml")


def test_large_files_load_in_time():
    """Bounds with room for a busy machine: 0.2 s and 0.5 s on an idle core."""
    start = time.perf_counter()
    assert len(read("name\n" + "".join(f"thing number {i}\n" for i in range(21_000)), ".csv")) == 21_000
    assert time.perf_counter() - start < 2
    start = time.perf_counter()
    assert len(read("".join(f"- {{name: thing {i}, threshold: 0.5}}\n" for i in range(21_000)))) == 21_000
    assert time.perf_counter() - start < 10
