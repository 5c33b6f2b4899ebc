"""The frozen category list, and the rules that made it."""

from collections import Counter
from pathlib import Path

import pytest

from ovdet_cli.errors import InputError
from ovdet_cli.training.categories import load_categories, save_categories
from ovdet_cli.training.category_rules import (
    MAX_SHARED,
    Emoji,
    build_categories,
    group_emoji,
    hold_out,
    plain_words,
    read_rules,
    split_novel,
    usable_synonyms,
)

CATEGORIES = load_categories()


def emoji(label: str, keywords: tuple[str, ...] = (), subgroup: str = "animal-mammal") -> Emoji:
    return Emoji(label, f"1F{abs(hash(label)) % 4096:03X}", "animals-nature", subgroup, keywords)


def test_names_are_unique_ordinary_words() -> None:
    names = [c.name for c in CATEGORIES]
    assert len(set(names)) == len(names)
    assert 780 <= len(names) <= 850
    assert all(name == plain_words(name) and name.isascii() for name in names)


def test_synonyms_are_no_other_categorys_name_and_not_everybodys() -> None:
    names = {c.name for c in CATEGORIES}
    uses = Counter(word for c in CATEGORIES for word in (*c.synonyms, c.held_out) if word)
    assert not names & set(uses)
    assert max(uses.values()) <= MAX_SHARED
    for c in CATEGORIES:
        assert len(set(c.synonyms)) == len(c.synonyms)


def test_a_held_out_synonym_is_in_no_training_text() -> None:
    trained = {word for c in CATEGORIES for word in (c.name, *c.synonyms)}
    held = [c.held_out for c in CATEGORIES if c.held_out]
    assert len(held) > 400
    assert not trained & set(held)


def test_base_categories_share_no_word_with_novel_ones() -> None:
    base = {word for c in CATEGORIES if not c.novel for word in (c.name, *c.synonyms, c.held_out) if word}
    novel = {word for c in CATEGORIES if c.novel for word in (c.name, *c.synonyms, c.held_out) if word}
    assert not base & novel


def test_the_split_is_the_rules_own() -> None:
    assert {c.name for c in CATEGORIES if c.novel} == split_novel({c.name: c.subgroup for c in CATEGORIES})
    for subgroup, count in Counter(c.subgroup for c in CATEGORIES).items():
        assert sum(c.novel for c in CATEGORIES if c.subgroup == subgroup) == round(count * 0.2)


def test_every_emoji_shows_one_category() -> None:
    codes = [code for c in CATEGORIES for code in c.hexcodes]
    assert len(set(codes)) == len(codes)
    assert all(c.hexcodes for c in CATEGORIES)


def test_rules_and_list_agree() -> None:
    merges, dropped = read_rules()
    sizes = {c.name: len(c.hexcodes) for c in CATEGORIES}
    assert all(sizes[name] == len(labels) for name, labels in merges.items())
    assert "new moon" in dropped


def test_a_list_survives_saving(tmp_path: Path) -> None:
    save_categories(CATEGORIES[:20], tmp_path / "c.csv")
    assert load_categories(tmp_path / "c.csv") == CATEGORIES[:20]


def test_a_missing_or_foreign_list_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_categories(tmp_path / "no.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="expected the columns"):
        load_categories(tmp_path / "other.csv")


def test_merged_variants_and_dropped_emoji() -> None:
    all_emoji = [emoji("dog face"), emoji("dog"), emoji("cat"), emoji("man dog"), emoji("sign", subgroup="x")]
    all_emoji[-1] = Emoji("sign", "1F000", "symbols", "arrow", ())
    groups = group_emoji(all_emoji, {"dog": ["dog", "dog face"]}, set())
    assert {name: [e.label for e in members] for name, members in groups.items()} == {
        "dog": ["dog", "dog face"],
        "cat": ["cat"],
    }


def test_a_rule_for_an_unknown_emoji_is_an_error() -> None:
    with pytest.raises(ValueError, match="unicorn"):
        group_emoji([emoji("dog")], {"horse": ["unicorn"]}, set())


def test_shared_words_go_to_the_novel_category_and_common_ones_to_none() -> None:
    keywords = {"dog": ["pet", "puppy", "cats"], "cat": ["pet", "kitty"], "a": ["x"], "b": ["x"], "c": ["x"]}
    keywords |= {"d": ["x"], "e": ["x"]}
    usable = usable_synonyms(keywords, novel={"cat"})
    assert usable["dog"] == ["puppy"]  # `pet` is the novel cat's, `cats` is its name
    assert usable["cat"] == ["pet", "kitty"]
    assert usable["a"] == []  # five categories share it


def test_held_out_synonyms_are_hard_ones() -> None:
    made = build_from(("puppy", "doggy", "hound", "dog thing"))
    assert made.held_out in {"puppy", "doggy", "hound"}
    assert made.held_out not in made.synonyms
    assert build_from(("puppy", "doggy")).held_out == ""


def build_from(keywords: tuple[str, ...]):  # type: ignore[no-untyped-def]
    from ovdet_cli.training.categories import Category

    return hold_out([Category("dog", "g", "s", False, ("1F415",), keywords, "")])[0]


def test_the_whole_road_from_emoji_to_list(tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("# beasts\n\ndog = dog; dog face\n- cat face\n")
    made = build_categories([emoji("dog face", ("puppy",)), emoji("dog"), emoji("cat face"), emoji("yak")], rules)
    assert [c.name for c in made] == ["dog", "yak"]
    assert made[0].synonyms == ("dog face", "puppy")
