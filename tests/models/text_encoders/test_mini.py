import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ovdet_cli.errors import ModelError
from ovdet_cli.models.text_encoders.mini import EMBEDDING, MiniTextEncoder, MiniTextTower, MiniTokenizer, pack_tower

SENTENCES = ["dog", "a photo of a hot dog", "漢字 🐈", "", "two cups with straws"]


@pytest.fixture(scope="module")
def tokenizer() -> MiniTokenizer:
    return MiniTokenizer()


@pytest.fixture(scope="module")
def tower(tokenizer) -> MiniTextTower:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = MiniTextTower(tokenizer.size).eval()
    tower.threshold.fill_(-1.0)
    return tower


@pytest.fixture(scope="module")
def encoder(tower) -> MiniTextEncoder:
    return MiniTextEncoder(pack_tower(tower, int8_table=False), "w")


def test_the_tokenizer_is_clips_with_fewer_merges(tokenizer):
    clip = open_clip.get_tokenizer("ViT-B-32")
    assert tokenizer.size == 8514
    assert tokenizer.encode("A dog") == clip.encode("a dog")
    long = "spectacles"
    assert len(tokenizer.encode(long)) > 1
    pieces = {number: piece for piece, number in clip.encoder.items()}
    assert "".join(pieces[token] for token in tokenizer.encode(long)) == long + "</w>"


def test_hyphens_and_underscores_are_blanks(tokenizer):
    assert tokenizer.encode("ice_cream") == tokenizer.encode("ice-cream") == tokenizer.encode("ice cream")


def test_special_tokens_cannot_be_typed(tokenizer):
    assert all(token < tokenizer.start for token in tokenizer.encode("<start_of_text> dog <end_of_text>"))


def test_any_text_has_tokens_of_the_table(tokenizer):
    tokens = tokenizer.encode("漢字 🐈 žluťoučký \x00 l'été")
    assert tokens and max(tokens) < tokenizer.start


def test_rows_are_padded_behind_their_end_marks(tokenizer):
    tokens, ends = tokenizer.pad([[5], [6, 7, 8]])
    start, end = tokenizer.start, tokenizer.end
    assert tokens.tolist() == [[start, 5, end, 0, 0], [start, 6, 7, 8, end]]
    assert ends.tolist() == [2, 4]


def test_vectors_equal_open_clips_own_forward(encoder, tower, tokenizer):
    tokens = torch.zeros(len(SENTENCES), 16, dtype=torch.long)
    for row, sentence in enumerate(SENTENCES):
        ids = [tokenizer.start, *tokenizer.encode(sentence), tokenizer.end]
        tokens[row, : len(ids)] = torch.tensor(ids)
    with torch.inference_mode():
        wanted = torch.nn.functional.normalize(tower.text(tokens), dim=1)
    found = encoder.encode(SENTENCES)
    assert found.dtype == torch.float32 and found.shape == (5, MiniTextEncoder.embedding)
    # Weights went through half precision.
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-3)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))


def test_batches_and_order_do_not_matter(encoder):
    whole = encoder.encode(SENTENCES)
    torch.testing.assert_close(encoder.encode(SENTENCES, batch=1), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder.encode(SENTENCES[::-1]), whole.flip(0), rtol=0, atol=1e-5)
    assert encoder.encode([]).shape == (0, 192)


@pytest.mark.parametrize(("sentence", "tokens"), [("", 2), ("a cat", 4), ("cat " * 14, 16), ("cat " * 15, 17)])
def test_the_number_of_tokens(encoder, sentence, tokens):
    assert encoder.num_tokens(sentence) == tokens
    assert encoder.context == 16


def test_familiarity_is_a_number_from_0_to_1(encoder):
    found = encoder.familiarity(SENTENCES)
    assert found.shape == (5,) and found.dtype == "float32"
    assert (found > 0).all() and (found < 1).all()
    assert encoder.familiar_threshold == pytest.approx(0.2689, abs=1e-4)  # the sigmoid of -1


def test_the_int8_table_is_smaller_and_nearly_the_same(tower, encoder, tmp_path):
    small = MiniTextEncoder(pack_tower(tower), "w")
    cosines = (small.encode(SENTENCES) * encoder.encode(SENTENCES)).sum(dim=1)
    assert cosines.min() > 0.999
    small.save(tmp_path / "int8.safetensors")
    small.save(tmp_path / "fp16.safetensors", int8_table=False)
    assert (tmp_path / "int8.safetensors").stat().st_size < 4.5e6
    assert (tmp_path / "fp16.safetensors").stat().st_size < 6.1e6
    again = MiniTextEncoder.from_file(tmp_path / "int8.safetensors")
    torch.testing.assert_close(again.encode(SENTENCES), small.encode(SENTENCES), rtol=0, atol=5e-3)


def test_a_file_that_does_not_fit_is_refused(tower, tmp_path):
    tensors = pack_tower(tower)
    del tensors["familiar.bias"]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"w\.safetensors does not fit this model\. 1 missing: familiar\.bias"):
        MiniTextEncoder.from_file(tmp_path / "w.safetensors")
    assert "text.token_embedding.row_scale" in load_file(tmp_path / "w.safetensors")


def test_a_tower_with_classes_answers_with_mixtures_of_them():
    torch.manual_seed(3)
    classes = F.normalize(torch.randn(5, EMBEDDING), dim=1)
    tower = MiniTextTower(MiniTokenizer().size)
    raw = F.normalize(classes + 0.5 * F.normalize(torch.randn(5, EMBEDDING), dim=1), dim=1)
    assert torch.equal(tower.recall(raw), raw)
    tower.classes = classes
    read = tower.recall(raw)
    assert (raw * classes).sum(dim=1).max() < 0.97
    assert (read * classes).sum(dim=1).min() > 0.99
    torch.testing.assert_close(read.norm(dim=1), torch.ones(5))
    between = tower.recall(F.normalize(classes[:1] + classes[1:2], dim=1))
    torch.testing.assert_close(between @ classes[0], between @ classes[1], atol=0.05, rtol=0)


def test_classes_are_saved_and_loaded(tmp_path):
    tower = MiniTextTower(MiniTokenizer().size)
    tower.classes = F.normalize(torch.randn(7, EMBEDDING), dim=1)
    encoder = MiniTextEncoder(pack_tower(tower), "here")
    encoder.save(tmp_path / "text.safetensors")
    again = MiniTextEncoder.from_file(tmp_path / "text.safetensors")
    torch.testing.assert_close(again.encode(["a cat"]), encoder.encode(["a cat"]))
    assert again.encode(["a cat"]) @ tower.classes.T @ torch.ones(7) != 0
