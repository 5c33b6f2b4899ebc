import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.errors import VocabularyError
from ovdet_cli.training.categories import load_categories
from ovdet_cli.vocabulary.entry import Entry, Example
from ovdet_cli.vocabulary.prompts import SETS, VILD, fill_prompts, fill_templates
from ovdet_cli.vocabulary.vocabulary import BUILT_IN, MODEL, Part, Vocabulary, parse_names


def parse(text: str) -> list[str]:
    return parse_names(text.encode(), "words.txt")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat\ndog", ["cat", "dog"]),
        ("cat\ndog\n", ["cat", "dog"]),
        ("cat\r\nhot dog\r\n", ["cat", "hot dog"]),
        ("cat\rdog", ["cat", "dog"]),
        ("\n\n  cat \t\n\n \n", ["cat"]),
        ("\ufeffcat\ndog", ["cat", "dog"]),
        ("\ufeff# all of them\ncat", ["cat"]),
        ("# animals\ncat\n#dog\n  # more", ["cat"]),
        ("cat # furry\ndog\t#\tbarks", ["cat", "dog"]),
        ("cat #", ["cat"]),
        ("jersey #10\nC#\nC# 7\na#b", ["jersey #10", "C#", "C# 7", "a#b"]),
        ("a # b # c", ["a"]),
        ("cat, tabby\n漢字\n🐈", ["cat, tabby", "漢字", "🐈"]),
        ("a\u2028b\x0bc\x85d", ["a\u2028b\x0bc\x85d"]),
        ("cat\ncat", ["cat", "cat"]),
        ("", []),
        ("# nothing\n\n", []),
    ],
)
def test_the_names_of_a_text(text, names):
    assert parse(text) == names


names_of_files = st.text(st.characters(exclude_characters="\r\n\0\ufeff", codec="utf-8"), min_size=1).filter(
    lambda name: name == name.strip() and not name.startswith("#") and not re.search(r"\s#(\s|$)", name)
)


@given(names=st.lists(names_of_files), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_is_read(names, end):
    assert parse(end.join(names)) == names
    assert parse(f"\ufeff# words{end}{end}" + "".join(f"  {name} # {name}{end}" for name in names)) == names


@given(data=st.binary(max_size=60))
def test_any_bytes_are_names_or_an_error(data):
    try:
        names = parse_names(data, "words.txt")
    except VocabularyError:
        return
    assert all(name and name == name.strip() for name in names)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cat".encode("utf-16"), r"words\.txt is UTF-16 text; save it as UTF-8"),
        ("cat".encode("utf-16-be"), r"words\.txt, line 1: a NUL character"),
        (b"cat\ndog\0\n", r"words\.txt, line 2: a NUL character"),
        ("cat\ncafé\n".encode("latin-1"), r"words\.txt, line 2: byte 0xe9 is not UTF-8 \(Latin-1\?\)"),
        (b"\xef\xbb\xbf\r\n\r\n\xff", r"words\.txt, line 3: byte 0xff"),
        ("\ufeff\n".encode() + b"\x80", r"words\.txt, line 2: byte 0x80"),
    ],
)
def test_bytes_that_are_no_text(data, message):
    with pytest.raises(VocabularyError, match=message):
        parse_names(data, "words.txt")


def test_a_file(tmp_path):
    (tmp_path / "words.txt").write_text("cat\n# no\nhot dog # yes\n", encoding="utf-8")
    for path in (tmp_path / "words.txt", str(tmp_path / "words.txt")):
        assert Vocabulary.load(path).names == ("cat", "hot dog")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.csv", "name,threshold\ncat,\nhot dog,0.5\n"),
        ("w.YAML", "- cat\n- {name: hot dog, threshold: 0.5}\n"),
        ("w.toml", 'classes = ["cat", {name = "hot dog", threshold = 0.5}]\n'),
        ("w.json", '["cat", {"name": "hot dog", "threshold": 0.5}]'),
    ],
)
def test_a_file_that_says_more_than_names(name, text, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    words = Vocabulary.load(tmp_path / name)
    assert words.names == ("cat", "hot dog")
    assert words.entries == (Entry("cat"), Entry("hot dog", threshold=0.5))
    assert words.parts[0].origin is None


def test_pictures_lie_beside_the_file(tmp_path):
    (tmp_path / "w.yaml").write_text("- {name: cat, examples: pics/cat.jpg}\n")
    assert Vocabulary.load(tmp_path / "w.yaml").entries[0].examples == (Example(tmp_path / "pics/cat.jpg"),)


def test_a_file_of_another_suffix_is_names_alone(tmp_path):
    (tmp_path / "w.names").write_text("name,threshold\n- cat\n")
    assert Vocabulary.load(tmp_path / "w.names").names == ("name,threshold", "- cat")


def test_a_file_too_large(tmp_path):
    with (tmp_path / "w.yaml").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(VocabularyError, match=r"w\.yaml is larger than 64 MiB"):
        Vocabulary.load(tmp_path / "w.yaml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(
        VocabularyError, match=r"cannot read the vocabulary .*missing\.txt: No such file.*\.csv, .*lvis, coco.*, model"
    ):
        Vocabulary.load(tmp_path / "missing.txt")
    with pytest.raises(VocabularyError, match=r"cannot read the vocabulary .*: Is a directory"):
        Vocabulary.load(tmp_path)
    for content in (b"", b"\xef\xbb\xbf", b"# only\n  # comments\n"):
        (tmp_path / "empty.txt").write_bytes(content)
        with pytest.raises(VocabularyError, match=r"the vocabulary .*empty\.txt holds no name"):
            Vocabulary.load(tmp_path / "empty.txt")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat,hot dog", ("cat", "hot dog")),
        (" cat , ,dog,", ("cat", "dog")),
        ("cat,cat", ("cat", "cat")),
        ("#1", ("#1",)),
    ],
)
def test_names_between_commas(text, names):
    assert Vocabulary.from_classes(text).names == names


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_no_name_between_commas(text):
    with pytest.raises(VocabularyError, match="no class name in"):
        Vocabulary.from_classes(text)


def test_a_vocabulary_has_names():
    with pytest.raises(VocabularyError, match="is empty"):
        Vocabulary([])
    with pytest.raises(TypeError, match="from_classes"):
        Vocabulary("cat")
    with pytest.raises(ValueError, match="1 category ids for 2 names"):
        Part(("a", "b"), "coco", (1,))


@pytest.mark.parametrize(
    ("name", "size"), [("lvis", 1203), ("coco", 80), ("openimages", 500), ("objects365", 365), ("imagenet21k", 21843)]
)
def test_built_in_lists(name, size):
    vocabulary = Vocabulary.load(name)
    assert len(vocabulary) == len(vocabulary.names) == len(vocabulary.category_ids) == size
    assert len(set(vocabulary.category_ids)) == size
    assert all(n and n == n.strip() for n in vocabulary.names)
    assert vocabulary.duplicates() == []
    assert vocabulary.parts[0].origin == name


def test_the_built_in_models_names_are_the_training_categories():
    names = tuple(category.name for category in load_categories())
    assert Vocabulary.load("builtin").names == names
    assert Vocabulary.built_in("builtin").category_ids == tuple(range(1, len(names) + 1))


def test_every_built_in_list_is_tested_and_no_other_exists():
    assert BUILT_IN == ("builtin", "lvis", "coco", "openimages", "objects365", "imagenet21k")
    assert MODEL not in BUILT_IN
    with pytest.raises(VocabularyError, match="no built-in vocabulary is called 'voc'; there are builtin, lvis, "):
        Vocabulary.built_in("voc")


def test_official_ids_and_order():
    coco = Vocabulary.built_in("coco")
    ids = dict(zip(coco.names, coco.category_ids, strict=True))
    assert (ids["person"], ids["stop sign"], ids["toothbrush"]) == (1, 13, 90)
    assert coco.names[0] == "person"
    assert coco.names[-1] == "toothbrush"
    assert sorted(set(range(1, 91)) - set(coco.category_ids)) == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    lvis = Vocabulary.built_in("lvis")
    assert lvis.category_ids == tuple(range(1, 1204))
    assert lvis.names[:2] == ("aerosol can", "air conditioner")
    assert lvis.names[-1] == "zucchini"
    assert Vocabulary.built_in("objects365").category_ids == tuple(range(1, 366))


def test_a_sum_keeps_every_row_in_order():
    total = Vocabulary.built_in("coco") + Vocabulary(["unicorn", "person"])
    assert len(total) == 82
    assert total.names[-2:] == ("unicorn", "person")
    assert [part.origin for part in total.parts] == ["coco", None]
    # Official ids would collide with those of further rows.
    assert total.category_ids == tuple(range(1, 83))
    assert total.duplicates() == ["person"]


def test_duplicates_are_told_once_in_order():
    words = Vocabulary(["dog", "cat", "dog", "cow", "cat", "dog"])
    assert words.names == ("dog", "cat", "dog", "cow", "cat", "dog")
    assert words.duplicates() == ["dog", "cat"]


def test_the_hash_is_of_the_names_in_order():
    words = Vocabulary(["cat", "dog"])
    assert words.sha256 == (Vocabulary(["cat"]) + Vocabulary(["dog"])).sha256
    assert (
        len(
            {
                Vocabulary(names).sha256
                for names in (["cat", "dog"], ["dog", "cat"], ["cat dog"], ["cat"], ["cat", "dog", "dog"])
            }
        )
        == 5
    )
    assert Vocabulary(["\udce9"]).sha256 != Vocabulary(["\udcea"]).sha256


def test_vocabularies_are_compared_by_their_parts():
    assert Vocabulary(["cat"]) == Vocabulary(["cat"])
    assert hash(Vocabulary(["cat"])) == hash(Vocabulary(["cat"]))
    assert Vocabulary(["cat"]) != Vocabulary(parts=[Part(("cat",), MODEL)])


def test_a_prompt():
    assert fill_prompts("a {}", "hot dog") == ["a hot dog"]
    assert fill_prompts("a photo of {}, {}", "{}") == ["a photo of {}, {}"]
    with pytest.raises(ValueError, match=r"has no \{\}"):
        fill_prompts("a photo", "cat")


def test_vilds_templates():
    """63 of them (shared/specs/vild.md, section 8, counts them through)."""
    sentences = fill_prompts(VILD, "Alarm_clock/Radio..")
    assert len(sentences) == len(set(sentences)) == 63
    assert sentences[0] == "There is a alarm clock or radio in the scene."  # the article follows the raw name
    assert sentences[1] == "There is the alarm clock or radio in the scene."
    assert sentences[2] == "This is a photo of a alarm clock or radio in the scene."
    assert "itap of my alarm clock or radio." in sentences
    assert "This is the cartoon alarm clock or radio." in sentences
    assert "This is a painting of the alarm clock or radio." in sentences
    assert sum(sentence.startswith("This is ") for sentence in sentences) == 58
    assert all(sentence.endswith(".") and not sentence.endswith("..") for sentence in sentences)
    assert fill_prompts(VILD, "apple")[5] == "itap of an apple."


def test_named_template_sets():
    assert {name: len(fill_prompts(name, "cat")) for name in SETS} == {
        "simple": 1,
        "detic": 1,
        "vild": 63,
        "clip80": 80,
        "imagenet": 80,
    }
    assert fill_prompts("simple", "{} cat") == fill_prompts("detic", "{} cat") == ["a {} cat"]
    sentences = fill_prompts("clip80", "Cat")
    assert sentences[0] == "a bad photo of a Cat."
    assert "itap of my Cat." in sentences
    assert [sentence.lower() for sentence in sentences] == fill_prompts("imagenet", "Cat")


def test_sentences_of_several_templates():
    assert fill_templates(["one {}", "simple", "{}"], "cat") == ["one cat", "a cat", "cat"]
    assert len(fill_templates(["vild", "vild"], "cat")) == 126
    assert fill_templates([], "cat") == []
