import os
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ovdet_cli.errors import OutputError, UsageError, VocabularyError
from ovdet_cli.vocabulary import entry_writer
from ovdet_cli.vocabulary.entry import Entry, Example
from ovdet_cli.vocabulary.entry_file import ENTRY_SUFFIXES, read_entries
from ovdet_cli.vocabulary.entry_writer import format_entries, write_entries
from ovdet_cli.vocabulary.merge import merge_vocabularies
from ovdet_cli.vocabulary.vocabulary import Vocabulary

FOLDER = Path("shop")
WHOLE = Entry(
    "cat",
    aliases=("kitty", "no"),
    combine="mean",
    templates=("vild", "one {}"),
    is_negative=True,
    threshold=0.25,
    min_area=400.0,
    max_per_image=3,
    parents=("animal",),
    finds_children=True,
    colour=(255, 136, 0),
    is_novel=False,
    examples=(Example(FOLDER / "a.jpg", (1.0, 2.0, 3.5, 4.0)), Example(FOLDER / "pics/b.png")),
)

texts = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
    | st.text("no1.:-#,;|'\"{}[]\\ \n\t&*!?", min_size=1, max_size=6)
).filter(lambda text: text == text.strip() != "")
sides = st.floats(-1e6, 1e6)
boxes = st.tuples(sides, sides, sides, sides).filter(lambda box: box[0] < box[2] and box[1] < box[3])
paths = texts.filter(lambda text: "/" not in text).map(lambda name: FOLDER / name)


def several(items):
    return st.lists(items, max_size=3).map(tuple)


entries = st.builds(
    Entry,
    name=texts,
    aliases=several(texts),
    combine=st.sampled_from(["best", "mean"]),
    templates=several(texts.map("{}".__add__) | st.sampled_from(["vild", "clip80"])),
    is_negative=st.booleans(),
    threshold=st.none() | st.floats(0, 1),
    min_area=st.none() | st.floats(0, 1e300),
    max_per_image=st.none() | st.integers(1, 10**6),
    parents=several(texts.map("group ".__add__)),
    finds_children=st.booleans(),
    colour=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
    is_novel=st.none() | st.booleans(),
    examples=several(st.builds(Example, path=paths, box_xyxy=st.none() | boxes)),
)
vocabularies = st.lists(entries, min_size=1, max_size=3, unique_by=lambda entry: entry.name)


@pytest.mark.parametrize("suffix", [".yaml", ".toml", ".json", ".csv", ".tsv", ".yml"])
@given(classes=vocabularies)
@settings(deadline=None)
def test_what_is_written_reads_back(suffix, classes):
    names = {entry.name for entry in classes}
    assume(not any(set(entry.parents) & names for entry in classes))
    try:
        text = format_entries(classes, suffix, FOLDER)
    except VocabularyError as error:
        # Only a table cannot hold everything.
        assert suffix in (".csv", ".tsv"), error
        assert "|" in repr(classes) or ":" in repr(classes) or "," in repr(classes)
        return
    assert read_entries(text.encode(), f"w{suffix}", suffix, FOLDER) == tuple(classes)


@given(names=st.lists(texts, min_size=1, max_size=5))
def test_names_alone_read_back_from_text(names):
    try:
        text = format_entries([Entry(name) for name in names], ".txt", FOLDER)
    except VocabularyError as error:
        assert "a .txt file cannot hold the name" in str(error)
        return
    assert text == "".join(f"{name}\n" for name in names)


def test_how_files_look():
    classes = [Entry("dog"), WHOLE]
    assert format_entries(classes, ".yaml", FOLDER) == (
        "- dog\n- name: cat\n  aliases:\n  - kitty\n  - 'no'\n  combine: mean\n  templates:\n  - vild\n  - one {}\n"
        "  negative: true\n  threshold: 0.25\n  min_area: 400.0\n  max_per_image: 3\n  parent: animal\n  expand: true\n"
        "  colour: '#ff8800'\n  novel: false\n  examples:\n  - a.jpg:1,2,3.5,4\n  - pics/b.png\n"
    )
    assert format_entries(classes, ".csv", FOLDER) == (
        "name,aliases,combine,templates,negative,threshold,min_area,max_per_image,parent,expand,colour,novel,examples\n"
        "dog,,,,,,,,,,,,\n"
        'cat,kitty|no,mean,vild|one {},true,0.25,400.0,3,animal,true,#ff8800,false,"a.jpg:1,2,3.5,4|pics/b.png"\n'
    )
    assert format_entries([Entry("dog"), Entry("cat", threshold=0.5)], ".toml", FOLDER) == (
        '[[classes]]\nname = "dog"\n\n[[classes]]\nname = "cat"\nthreshold = 0.5\n'
    )
    assert format_entries([Entry("dog")], ".json", FOLDER) == '[\n  "dog"\n]\n'


def test_text_refuses_to_lose_settings():
    with pytest.raises(VocabularyError, match=r"would lose aliases, threshold of the class 'cat'; write \.csv, \.yaml"):
        format_entries([Entry("dog"), Entry("cat", aliases=("kitty",), threshold=0.5)], ".txt", FOLDER)
    for name in ("#1", "a # b", "a\nb"):
        with pytest.raises(VocabularyError, match=r"a \.txt file cannot hold the name"):
            format_entries([Entry(name)], ".txt", FOLDER)


@pytest.mark.parametrize(
    "entry", [Entry("cat", aliases=("a|b",)), Entry("cat", examples=(Example(FOLDER / "a:1,2,3,4"),))]
)
def test_what_a_table_cannot_hold(entry):
    with pytest.raises(VocabularyError, match=r"the class 'cat': a CSV cell cannot hold .*; write \.yaml"):
        format_entries([entry], ".csv", FOLDER)
    assert read_entries(format_entries([entry], ".json", FOLDER).encode(), "w", ".json", FOLDER) == (entry,)


@pytest.mark.parametrize("suffix", [*ENTRY_SUFFIXES, ".txt"])
@pytest.mark.parametrize("name", ["caf\udce9", " cat", "a\0b", ""])
def test_names_that_no_file_holds(suffix, name):
    with pytest.raises(VocabularyError):
        format_entries([Entry(name)], suffix, FOLDER)


def test_pure_yaml_is_the_same(monkeypatch):
    import yaml

    text = format_entries([Entry("dog"), WHOLE], ".yaml", FOLDER)
    monkeypatch.setattr(entry_writer, "_DUMPER", yaml.SafeDumper)
    assert format_entries([Entry("dog"), WHOLE], ".yaml", FOLDER) == text


@pytest.mark.parametrize("suffix", [".xml", "", ".safetensors"])
def test_other_formats(suffix):
    with pytest.raises(
        UsageError, match=r"no vocabulary is written as .*; end the file's name with \.csv, .* or \.txt"
    ):
        format_entries([WHOLE], suffix, FOLDER)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "w.yaml"
    write_entries([Entry("cat")], file)
    assert file.read_text() == "- cat\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 or os.name != "posix"
    with pytest.raises(OutputError, match=r"w\.yaml is there already; .*--overwrite"):
        write_entries([Entry("dog")], file)
    write_entries([Entry("dog")], file, overwrite=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"cannot write .*w\.yaml: No space left"):
        write_entries([Entry("cow")], file, overwrite=True)
    assert file.read_text() == "- dog\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*w\.yaml: No such file"):
        write_entries([Entry("cat")], tmp_path / "none" / "w.yaml")


def test_pictures_are_named_from_the_files_folder(tmp_path):
    (tmp_path / "pics").mkdir()
    (tmp_path / "lists" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "lists" / "deep")
    picture = tmp_path / "pics" / "cat.jpg"
    picture.touch()
    for folder in ("lists", "link", "pics", "."):
        file = tmp_path / folder / "w.yaml"
        write_entries([Entry("cat", examples=(Example(picture),))], file)
        (example,) = Vocabulary.load(file).entries[0].examples
        assert example.path.samefile(picture)
        assert str(tmp_path) not in file.read_text()


def union(tmp_path, *texts):
    """The union of texts, each with its format before a colon."""
    files = []
    for i, text in enumerate(texts):
        suffix, content = text.split(":", 1)
        files.append(tmp_path / f"{'abc'[i]}.{suffix}")
        files[-1].write_text(content)
    classes, notes = merge_vocabularies([str(file) for file in files])
    return classes, [note.replace(f"{tmp_path}/", "") for note in notes]


def test_a_union(tmp_path):
    classes, notes = union(
        tmp_path,
        "txt:cat\ndog\ncat\n",
        "yaml:[{name: dog, aliases: [hound, puppy], threshold: 0.3, negative: true, colour: red}, cow]",
        'toml:[[classes]]\nname="dog"\naliases=["puppy","pup"]\nthreshold=0.5\nnegative=false\ncolour=[255,0,0]\n'
        'parent="pet"\ncombine="best"\n[[classes]]\nname="ant"\n',
    )
    dog = Entry("dog", ("hound", "puppy", "pup"), threshold=0.5, colour=(255, 0, 0), parents=("pet",))
    assert classes == [Entry("cat"), dog, Entry("cow"), Entry("ant")]
    assert notes == [
        "'dog': threshold 0.5 of c.toml in place of 0.3",
        "'dog': negative false of c.toml in place of true",
    ]


def test_examples_of_several_folders(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.yaml").write_text("- {name: cat, examples: cat.jpg}")
    classes, _ = merge_vocabularies([str(tmp_path / name / "w.yaml") for name in "ab"])
    assert [example.path for example in classes[0].examples] == [tmp_path / name / "cat.jpg" for name in "ab"]


def test_a_circle_that_only_the_union_has(tmp_path):
    with pytest.raises(VocabularyError, match=r"^the parents lead in a circle: a > b > a; leave one of them out"):
        union(tmp_path, "yaml:[{name: a, parent: b}]", "yaml:[{name: b, parent: a}]")


def test_built_in_lists_can_be_united(tmp_path):
    classes, notes = merge_vocabularies(["coco", "lvis"])
    assert [entry.name for entry in classes[:80]] == list(Vocabulary.built_in("coco").names)
    assert len(classes) == len({*Vocabulary.built_in("coco").names, *Vocabulary.built_in("lvis").names})
    assert notes == []


@given(classes=vocabularies)
@settings(deadline=None, max_examples=30)
def test_the_union_with_itself_is_the_same(classes, tmp_path_factory):
    names = {entry.name for entry in classes}
    assume(not any(set(entry.parents) & names for entry in classes))
    file = tmp_path_factory.mktemp("union") / "w.json"
    plain = [Entry(**{**vars(entry), "examples": ()}) for entry in classes]
    unique = [
        Entry(**{**vars(e), **{key: tuple(dict.fromkeys(vars(e)[key])) for key in ("aliases", "templates", "parents")}})
        for e in plain
    ]
    write_entries(plain, file)
    assert merge_vocabularies([str(file), str(file)]) == (unique, [])
