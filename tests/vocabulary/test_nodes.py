import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.errors import VocabularyError
from ovdet_cli.vocabulary.csv_nodes import read_csv
from ovdet_cli.vocabulary.json_nodes import read_json
from ovdet_cli.vocabulary.nodes import MAX_DEPTH, ListNode, MappingNode, Scalar
from ovdet_cli.vocabulary.toml_nodes import read_toml
from ovdet_cli.vocabulary.yaml_nodes import read_yaml


def read_table(text, *, is_tab=False):
    return read_csv(text, "w", ("name", "aliases", "threshold"), is_tab=is_tab)[1]


def plain(node):
    """What a tree holds, without its places."""
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    if isinstance(node, MappingNode):
        return {key: plain(value) for key, (_, value) in node.pairs.items()}
    return (node.kind, node.text)


def places(node, path=()):
    """(line, column) of every key and value, by path; keys under (..., "key!")."""
    found = {path: (node.place.line, node.place.column)}
    if isinstance(node, ListNode):
        for i, item in enumerate(node.items):
            found |= places(item, (*path, i))
    if isinstance(node, MappingNode):
        for key, (place, value) in node.pairs.items():
            found[*path, f"{key}!"] = (place.line, place.column)
            found |= places(value, (*path, key))
    return found


@pytest.mark.parametrize(
    ("text", "kind", "spelling"),
    [
        ("no", "plain", "no"),
        ("0x1F", "plain", "0x1F"),
        ("2024-01-01", "plain", "2024-01-01"),
        ("1:30", "plain", "1:30"),
        ("'no'", "text", "no"),
        ('"a\\tb"', "text", "a\tb"),
        ("!!str 12", "text", "12"),
        ("|\n  a\n  b\n", "text", "a\nb\n"),
        ("~", "null", "~"),
        ("null", "null", "null"),
        ("'null'", "text", "null"),
        ("漢字 🐈", "plain", "漢字 🐈"),
    ],
)
def test_yaml_scalars_keep_their_spelling(text, kind, spelling):
    assert plain(read_yaml(text, "w")) == (kind, spelling)


def test_yaml_places():
    text = "# words\nclasses:\n- ünï\n- {name: 🐈, x: [1, 22]}\n-   name: cat\n    y:\n"
    found = places(read_yaml(text, "w"))
    assert found["classes!",] == (2, 1)
    assert found["classes", 0] == (3, 3)
    assert found["classes", 1, "name"] == (4, 10)
    assert found["classes", 1, "x!"] == (4, 13)
    assert found["classes", 1, "x", 1] == (4, 20)
    assert found["classes", 2, "y!"] == (6, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- &x b\n- *x", r"w, line 3, column 3: \*x repeats what stands elsewhere; write it out"),
        ("- !!python/object/apply:os.system [ls]", r"w, line 1, column 3: the tag 'tag:yaml.org,2002:python/"),
        ("- !!int 3", r"line 1, column 3: the tag"),
        ("a: 1\nb: 2\na: 3", r"w, line 3, column 1: the key 'a' stands here again, after line 1"),
        ("? [a]\n: b", r"w, line 1, column 3: a list of 1 stands where a key is needed"),
        ("- a\n---\n- b", r"w, line 2, column 1: a second document begins"),
        ("- a\n- 'b", r"w, line 2, column \d+: this is not YAML: "),
        ("a:\n\t- b", r"w, line 2, column 1: this is not YAML: .*; indent with blanks"),
        ("templates: [a {}]", r"w, line 1, column 1\d: this is not YAML: .*; put a text with \{\} between quotes"),
        ("- a\n- \x07b", r"w, line 2, column 3: the character '\\x07' may not stand in YAML"),
        ("[" * 10**5, r"w, line 1, column 33: .* nested more than 32 deep"),
        ("- " * 10**5 + "a", r"nested more than 32 deep"),
        ("a: &a [b]\nb: &b [*a,*a]", r"line 2, column 8: \*a repeats"),
        ("<<: {name: a}\n<<: {name: b}", r"again, after line 1"),
    ],
)
def test_what_is_no_yaml_for_us(text, message):
    with pytest.raises(VocabularyError, match=message):
        read_yaml(text, "w")


@pytest.mark.parametrize("text", ["", "\n", "# words\n", "%YAML 1.1\n---\n", "---\n...\n"])
def test_yaml_without_a_value(text):
    root = read_yaml(text, "w")
    assert root is None or plain(root) == ("null", "")


def test_json_values_and_places():
    text = '\n{\t"a": [1, -2.5e3,\n\ttrue, null],\r\n "ü": "x\\n\\u00e9", "b": {}}\n'
    root = read_json(text, "w")
    numbers = [("number", "1"), ("number", "-2.5e3"), ("flag", "true"), ("null", "")]
    assert plain(root) == {"a": numbers, "ü": ("text", "x\né"), "b": {}}
    found = places(root)
    assert found["a!",] == (2, 3)
    assert found["a", 1] == (2, 12)
    assert found["a", 2] == (3, 2)
    assert found["ü",] == (4, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: this is not JSON: the file ends where a value is needed"),
        ("[1,\n NaN]", "w, line 2, column 2: this is not JSON: 'NaN' is no value"),
        ("[-Infinity]", "line 1, column 2: this is not JSON"),
        ("[01]", "line 1, column 3: this is not JSON: a comma or ] is missing"),
        ("[1.]", "line 1, column 3: "),
        ("[1,]", r"line 1, column 4: this is not JSON: a value is missing before '\]'"),
        ("[1 2]", "line 1, column 4: this is not JSON: a comma or ] is missing"),
        ('{"a" 1}', "line 1, column 6: this is not JSON: a colon is missing"),
        ("{a: 1}", "line 1, column 2: this is not JSON: a key between double quotes is missing"),
        ('{"a": 1,}', "line 1, column 9: this is not JSON: a key between"),
        ('{"a": 1,\n "a": 2}', "w, line 2, column 2: the key 'a' stands here again, after line 1"),
        ('["a', "line 1, column 2: this is not JSON: unterminated string"),
        ('["a\nb"]', "line 1, column 4: this is not JSON: invalid control character"),
        ('["\\x"]', "this is not JSON: invalid .escape"),
        ("[1]]", "line 1, column 4: this is not JSON: something stands behind the end"),
        ("[" * 10**6, "line 1, column 33: .* nested more than 32 deep"),
        ('{"a":' * 10**5, "nested more than 32 deep"),
        ("'a'", 'line 1, column 1: this is not JSON: a value is missing before "\'"'),
        ("[cat]", "put texts between double quotes"),
    ],
)
def test_what_is_no_json(text, message):
    with pytest.raises(VocabularyError, match=message.replace("or ]", r"or \]")):
        read_json(text, "w")


def test_toml_values_and_places():
    text = (
        '# name = "no"\n'
        'templates.mine = ["a {}", """\n[[classes]]\n""", \'{"x" = 1}\']\n'
        "[defaults]\n  threshold = 0.50\n"
        '[[classes]]\nname = "cat"\n'
        '[[ classes ]] # again\n"name" = "dog"\nexamples = [\n  "a",\n  {path = "b", box = [1, 2.5,\n 3, 4]},\n]\n'
        "[[classes]]"
    )
    root = read_toml(text, "w")
    found = places(root)
    assert found["templates", "mine!"] == (2, 1)
    assert found["templates", "mine", 2] == (4, 6)
    assert found["defaults", "threshold"] == (6, 15)
    assert plain(root)["defaults"] == {"threshold": ("number", "0.50")}
    assert found["classes", 0] == (7, 1)
    assert found["classes", 0, "name"] == (8, 8)
    assert found["classes", 1] == (9, 1)
    assert found["classes", 1, "name!"] == (10, 1)
    assert found["classes", 1, "examples", 1, "box!"] == (13, 16)
    assert found["classes", 1, "examples", 1, "box", 2] == (14, 2)
    assert found["classes", 2] == (16, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = \n", "w, line 1, column 5: this is not TOML: invalid value"),
        ('a = 1\nb = "x', "w, line 2, column 7: this is not TOML: "),
        ("a = 1\n\na = 2", "w, line 3, column 6: this is not TOML: cannot overwrite a value"),
        ("a = [", "w, line 1, column 6: this is not TOML: "),
        ("a=" + "[" * 10**5, "w is nested too deep"),
        ("a=" + "[" * 60 + "]" * 60, "line 1, column 34: .* nested more than 32 deep"),
        ("a." * 10**4 + "b=1", "nested more than 32 deep"),
        ("a = 99999999999999999999", "line 1, column 5: the number is too large"),
        ("a = " + "9" * 5000, "w is not TOML: "),
    ],
)
def test_what_is_no_toml(text, message):
    with pytest.raises(VocabularyError, match=message):
        read_toml(text, "w")


keys = st.sampled_from(["a", "name", "b.c", "d e", 'q"', "ü"])
trees = st.recursive(
    st.text("ab'\"#[]{}=,.\n\\", max_size=5) | st.integers(-9, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


def to_toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{to_toml(k)} = {to_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[ # [,]\n " + " , ".join(map(to_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value)


@given(tables=st.lists(st.dictionaries(keys, trees, max_size=4), min_size=1, max_size=3))
def test_toml_places_are_those_of_the_values(tables):
    text = "".join(
        "[[t]]\n" + "".join(f"{to_toml(key)} = {to_toml(value)}\n" for key, value in table.items()) for table in tables
    )
    lines = text.split("\n")

    def check(node, value):
        line = lines[node.place.line - 1][node.place.column - 1 :]
        if isinstance(node, Scalar):
            assert line.startswith(to_toml(value))
        elif isinstance(node, ListNode):
            assert line.startswith("[")
            for item, inner in zip(node.items, value, strict=True):
                check(item, inner)
        else:
            assert line.startswith(("{", "[[t]]"))
            for key, inner in value.items():
                place, item = node.pairs[key]
                assert lines[place.line - 1][place.column - 1 :].startswith(to_toml(key))
                check(item, inner)

    root = read_toml(text, "w")
    for table, node in zip(tables, root.pairs["t"][1].items, strict=True):
        check(node, table)


def test_a_table():
    text = 'name,aliases,threshold\r\ncat,"a|b",0.5\r\n\r\n"hot\ndog",,\r\n,,\r\n" x ",y,z'
    root = read_table(text)
    assert [{key: text for key, (_, text) in row.items()} for row in plain(root)] == [
        {"name": "cat", "aliases": "a|b", "threshold": "0.5"},
        {"name": "hot\ndog"},
        {"name": "x", "aliases": "y", "threshold": "z"},
    ]
    found = places(root)
    assert found[0, "threshold"] == (2, 3)
    assert found[1,] == (4, 1)
    assert found[2, "aliases"] == (7, 2)
    cell = root.items[0].pairs["threshold"][1]
    assert str(cell.place) == "line 2, column 3 (threshold)"


@pytest.mark.parametrize("is_tab", [True, False])
@pytest.mark.parametrize("delimiter", ",;\t")
def test_the_delimiter_is_told_by_the_header(delimiter, is_tab):
    text = f'"name"{delimiter} aliases\r"a,b;c"{delimiter}d\r'
    assert plain(read_table(text, is_tab=is_tab)) == [{"name": ("cell", "a,b;c"), "aliases": ("cell", "d")}]


def test_one_column_needs_no_delimiter():
    assert plain(read_table("name\ncat\nhot dog\n")) == [{"name": ("cell", "cat")}, {"name": ("cell", "hot dog")}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,aliases\ncat,a,b\n", r"w, line 2, column 3: the row has 3 cells, but the header 2"),
        ('name,aliases\n"x\ny",b\ncat,a,', r"w, line 4, column 3: the row has 3 cells"),
        ("name,name\n", r"w, line 1, column 2 \(name\): the key 'name' stands here again, after line 1"),
        ("name,\ncat,x\n", r"w, line 2, column 2: 'x' stands in a column without a header"),
        ('name\ncat\n"dog\n\n', r"w, line 3, column 1: this is no CSV row: unexpected end of data"),
        ('name\n"dog"s\n', r"w, line 2, column 1: this is no CSV row"),
        ("name\n" + "x" * 200_000, r"w, line 2, column 1: this is no CSV row: field larger"),
    ],
)
def test_what_is_no_table(text, message):
    with pytest.raises(VocabularyError, match=message):
        read_table(text)


@pytest.mark.parametrize("read", [read_yaml, read_json, read_toml, lambda text, _: read_table(text)])
@given(data=st.text("ab \n\t,:;-[]{}\"'=#&*!|>%@`~?\\.01\r\0\ud800\x85é", max_size=60))
def test_any_text_is_a_tree_or_an_error(read, data):
    try:
        read(data, "w")
    except VocabularyError as error:
        assert str(error).startswith("w")


def test_the_depth_that_is_allowed():
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH, "w")
    assert read_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "w")
    assert read_toml("a=" + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), "w")
