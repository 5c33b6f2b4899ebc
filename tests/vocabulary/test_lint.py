import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.vocabulary.entry import Entry
from ovdet_cli.vocabulary.lint import (
    NEAR_CLIP,
    check_closeness,
    check_entries,
    check_lengths,
    check_words,
    close_pairs,
    distinct_phrases,
    phrase_key,
    token_counter,
)
from ovdet_cli.vocabulary.prompts import fill_prompts
from ovdet_cli.vocabulary.vocabulary import BUILT_IN, Vocabulary


def entries(*names):
    return [Entry(name) for name in names]


def kinds(own):
    return [finding.kind for finding in check_entries(own)]


def only(own):
    (finding,) = check_entries(own)
    return finding


# ---- Duplicates ----


@pytest.mark.parametrize(
    "own",
    [
        entries("cat", "dog", "cat"),
        entries("hot dog", "Hot_Dog"),
        entries("hot-dog", " hot  dog "),
        [Entry("dog", aliases=("puppy",)), Entry("Puppy")],
        [Entry("dog", aliases=("pet",)), Entry("cat", aliases=("pet",))],
    ],
)
def test_what_stands_twice_is_told_once(own):
    found = only(own)
    assert found.kind == "duplicate"
    assert set(found.names) <= {entry.name for entry in own}


def test_what_is_not_twice():
    assert kinds([Entry("dog", aliases=("Dog", "hound")), Entry("hot dog"), Entry("cat")]) == []


def test_a_duplicate_says_where_and_what_becomes_of_it():
    assert "is the name of 3 classes (class ids 0, 2 and 3)" in only(entries("cat", "dog", "cat", "cat")).message
    assert "never reported" in only([Entry("cat"), Entry("cat", is_negative=True)]).message


# ---- Families and settings ----


def test_parents():
    shared = only([Entry("animal"), Entry("pet"), Entry("cat", parents=("animal", "pet"))])
    assert (shared.kind, shared.names) == ("shared-child", ("cat",))
    slip = only([Entry("animal"), Entry("cat", parents=("anmial",)), Entry("dog", parents=("anmial",))])
    assert (slip.kind, slip.names) == ("parent", ("cat", "dog"))
    assert slip.suggestion == 'write "animal" if that is meant'
    assert only([Entry("Animal"), Entry("cat", parents=("animal",))]).suggestion == 'write "Animal" if that is meant'
    assert "finds its children" in only([Entry("animal", finds_children=True)]).message
    assert "negative" in only([Entry("animal"), Entry("cat", parents=("animal",), is_negative=True)]).message


def test_good_families():
    # A parent that is no class is a heading of reports.
    own = [
        Entry("animal", finds_children=True),
        Entry("cat", parents=("animal",)),
        Entry("cup", parents=("tableware",)),
    ]
    assert check_entries(own) == []


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0, 30.0])
def test_a_threshold_that_keeps_all_or_nothing(value):
    assert only([Entry("cat", threshold=value)]).kind == "threshold"


def test_other_settings():
    assert only([Entry("cat", max_per_image=0)]).kind == "threshold"
    found = only([Entry("cat", is_negative=True, threshold=0.5, colour=(1, 2, 3), max_per_image=2)])
    assert (found.kind, found.names) == ("no-effect", ("cat",))
    assert "threshold, max_per_image and colour" in found.message
    assert check_entries([Entry("cat", threshold=0.01, max_per_image=1), Entry("fox", is_negative=True)]) == []


# ---- Words ----


@pytest.mark.parametrize(
    ("phrase", "things"),
    [
        ("a person sitting on a bench", ["person", "bench"]),
        ("dog without a leash", ["dog", "leash"]),
        ("dog that isn't on a leash", ["dog", "leash"]),
        ("two red cars", ["car"]),
        ("3 people", ["person"]),
        ("no smoking", ["smoking"]),
        ("person or dog", ["person", "dog"]),
        ("car/truck", ["car", "truck"]),
        ("chairs & tables", ["chair", "table"]),
        ("man riding horse", ["man", "horse"]),
        ("dog running", ["dog"]),
        ("PERSON NOT WEARING A HELMET", ["person", "helmet"]),
        ("safety vest on a stop sign", ["safety vest", "stop sign"]),
        ("reflective bib next to box", ["bib", "box"]),
    ],
)
def test_what_says_more_than_a_noun(phrase, things):
    (found,) = check_words(entries(phrase))
    assert found.kind == "collapse"
    assert re.findall(r'"(.*?)"', found.suggestion) == things


@pytest.mark.parametrize(
    "phrase",
    [
        *("hot dog", "stop sign", "red stop sign", "bow and arrow", "the dog in the manger", "bed and breakfast"),
        *("meat on bone", "commander-in-chief", "man", "a dog", "cup of coffee", "washing machine", "oil painting"),
        *("rock climbing wall", "black and white cat", "24/7 sign", "7 eleven", "no", "two", "and", "on", "ring"),
        *("diamond ring", "wood burning stove", "old building", "four-leaf clover", "Boeing 747", "open-toed sandals"),
    ],
)
def test_what_is_one_name(phrase):
    assert check_words(entries(phrase)) == []


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("guitr", "guitar"),
        ("Guittar", "guitar"),
        ("red umbrela", "red umbrella"),
        ("screwdirver", "screwdriver"),
        ("motercicle", "motorcycle"),
        ("safety_helmit", "safety_helmet"),
        ("hlemet", "helmet"),
        ("custar", "custard"),
        ("compas", "compass"),
    ],
)
def test_slips_of_the_pen(slip, meant):
    (found,) = check_words(entries(slip))
    assert (found.kind, found.suggestion) == ("misspelling", f'"{meant}" may be meant')


@pytest.mark.parametrize(
    "phrase",
    [
        *("cats", "buses", "knives", "cherries", "hardhat", "pushchair", "excavator", "skid steer", "colour", "tyre"),
        *("unattended bags", "scratched bumper", "leaking pipe", "dented", "waterproofing", "hijab", "burrito", "café"),
        *("Corvus corax", "HVAC unit", "qwxzv", "x", "iPhone 15", "grey", "e-scooter", "jalapeño", "forklift driver"),
    ],
)
def test_words_that_are_no_slips(phrase):
    assert check_words(entries(phrase)) == []


@pytest.mark.parametrize("phrase", ["猫", "кошка", "قطة", "cat 猫", "🐈", "---"])
def test_other_languages(phrase):
    assert [found.kind for found in check_words(entries(phrase))] == ["language"]


@pytest.mark.parametrize("phrase", ["10 Ω resistor", "Hund", "№ 5", "747", "café"])
def test_signs_and_accents_are_no_other_language(phrase):
    assert check_words(entries(phrase)) == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_lists_hold_names(name):
    assert check_words(Vocabulary.built_in(name).entries) == []


def test_an_alias_is_looked_at_too():
    (found,) = check_words([Entry("guitar", aliases=("guitr",))])
    assert found.names == ("guitar",)


# Beginnings that matter to the rules, and anything else.
WILD = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(["no", "and", "2", "a", "dogs", "sitting", "on", "/", "n't", "-", "🐈", "قطة", "ß", "²"])
    ).map(" ".join),
)


COUNTERS = [token_counter("builtin-text"), token_counter("clip-vit-b-32")]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.builds(Entry, WILD, st.lists(WILD, max_size=2).map(tuple)), max_size=6))
def test_anything_can_be_looked_at(own):
    for finding in check_entries(own):
        assert finding.message and finding.suggestion and finding.names
    for counter in COUNTERS:
        check_lengths(own, "a {}", *counter)


def test_a_long_name_takes_no_time():
    for phrase in ("a" * 100_000, "and " * 5_000, "dogs " * 5_000, "9" * 5_000 + " dogs"):
        check_words(entries(phrase))


# ---- Lengths ----


@pytest.mark.parametrize(("encoder", "words"), [("clip-vit-b-32", 74), ("builtin-text", 13)])
def test_sentences_that_a_tower_cuts(encoder, words):
    # With "a" and the marks of start and end `words` just fit.
    fits, long = " ".join(["dog"] * words), " ".join(["dog"] * (words + 1))
    (found,), cut = check_lengths(entries(fits, long), "a {}", *token_counter(encoder))
    assert (found.kind, found.names, cut) == ("cut", (long,), {long})
    assert f"{words + 4} tokens" in found.message


def test_an_entrys_own_template_counts():
    own = [Entry("dog", templates=("{}", "a photo of " * 30 + "{}")), Entry("cat")]
    (found,), cut = check_lengths(own, "a {}", *token_counter("clip-vit-b-32"))
    assert (found.names, cut) == (("dog",), {"dog"})


@pytest.mark.parametrize("prompt", ["vild", "imagenet"])
def test_sets_of_templates_are_counted_by_the_longest(prompt):
    num_tokens, context = token_counter("clip-vit-b-32")
    names = [" ".join(["dog"] * number) for number in range(60, 75)]
    too_long = {name for name in names if max(map(num_tokens, fill_prompts(prompt, name))) > context}
    assert 0 < len(too_long) < len(names)
    assert check_lengths(entries(*names), prompt, num_tokens, context)[1] == too_long


# ---- Vectors ----


def at(*cosines):
    """Unit vectors with these cosines to the first, which is there too; else as far apart as can be."""
    vectors = np.zeros((1 + len(cosines), 2 + len(cosines)), np.float32)
    vectors[0, 0] = 1
    for i, cosine in enumerate(cosines, 1):
        vectors[i, 0], vectors[i, i] = cosine, np.sqrt(1 - cosine**2)
    return vectors


def closeness(own, vectors, limit=NEAR_CLIP):
    return check_closeness(own, distinct_phrases(own), vectors, limit)


def test_near_duplicates_the_nearest_first():
    found, more = closeness(entries("dog", "hound", "cat", "puppy"), at(0.955, 0.94, 0.99))
    assert [finding.names for finding in found] == [("dog", "puppy"), ("dog", "hound")]
    assert more == 0
    assert "cosine 0.990" in found[0].message


def test_aliases_count_for_their_class_and_not_against_it():
    own = [Entry("dog", aliases=("hound",)), Entry("wolf")]
    assert closeness(own, at(0.99, 0.5)) == ([], 0)
    own = [Entry("cat"), Entry("dog", aliases=("kitten", "kitty"))]
    found, more = closeness(own, at(0.5, 0.97, 0.98))
    assert [(finding.names, more) for finding in found] == [(("cat", "dog"), 0)]


def test_kin_should_be_alike():
    own = [Entry("dog"), Entry("puppy", parents=("dog",))]
    assert closeness(own, at(0.99)) == ([], 0)
    assert [finding.kind for finding in closeness(own, at(0.998))[0]] == ["near-duplicate"]


def test_negatives():
    own = [Entry("fox", is_negative=True), Entry("dog")]
    assert closeness(own, at(0.94)) == ([], 0)
    assert '"dog" will hardly be reported' in closeness(own, at(0.96))[0][0].message
    own = [Entry("fox", is_negative=True), Entry("wolf", is_negative=True)]
    assert closeness(own, at(0.99)) == ([], 0)


def test_duplicates_are_no_near_duplicates():
    assert closeness(entries("hot dog", "hot-dog"), at(0.999)) == ([], 0)


def test_many_pairs_are_found_in_pieces_and_counted():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1300, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = np.arange(len(vectors))
    pairs, total = close_pairs(vectors, 0.7, places, places)
    cosines = np.triu(vectors @ vectors.T, k=1)
    expected = np.sort(cosines[cosines > 0.7])[::-1]
    assert total == len(expected) > 1000 == len(pairs)
    np.testing.assert_allclose([cosine for _, _, cosine in pairs], expected[:1000], atol=1e-6)
    assert all(i < j and np.isclose(cosines[i, j], cosine, atol=1e-6) for i, j, cosine in pairs)
    found, more = closeness(entries(*map(str, places)), vectors, 0.7)
    assert (len(found), more) == (1000, total - 1000)


def test_what_makes_no_difference_to_a_name():
    assert phrase_key(" Hot__Dog ") == phrase_key("hot-dog") == "hot dog"
    assert phrase_key("---") == "---"
