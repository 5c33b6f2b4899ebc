import gc

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ovdet_cli.models.ops import screening
from ovdet_cli.models.ops.screening import TextTable, is_worth_it, may_reach, table_of


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def highest(features_RSD, texts):
    """The highest exact product of each set, (R, S)."""
    table = TextTable(texts)
    sets = [features_RSD[:, s].double() @ table.of_set(s).double().T for s in range(features_RSD.shape[1])]
    return torch.stack([products.amax(dim=1) for products in sets], dim=1)


@settings(max_examples=60)
@given(
    sets=st.sampled_from([1, 3]),
    width=st.sampled_from([1, 8, 192]),
    num_texts=st.sampled_from([1, 7, 60, 300]),
    has_own=st.booleans(),
    length=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 10_000),
)
def test_no_region_that_reaches_is_left_out(sets, width, num_texts, has_own, length, seed):
    features = F.normalize(random(40, sets, width, seed=seed), dim=2) * length
    texts = random(*([sets] if has_own else []), num_texts, width, seed=seed + 1)
    wanted = highest(features, texts).sum(dim=1)
    for cut in wanted.quantile(torch.tensor([0.0, 0.5, 0.9], dtype=torch.double)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(screening, "_FIRST", 5)
            patch.setattr(screening, "_AT_ONCE", 1000)
            found = may_reach(features, TextTable(texts), lambda rows, most, cut=cut: most.double().sum(dim=1) > cut)
        assert not ((wanted > cut) & ~found).any()


def test_what_is_far_below_is_left_out():
    features = F.normalize(random(200, 2, 64), dim=2)
    texts = random(500, 64, seed=1)
    wanted = highest(features, texts).sum(dim=1)
    cut = wanted.quantile(0.8)
    found = may_reach(features, TextTable(texts), lambda rows, most: most.sum(dim=1) > cut)
    assert found.sum() <= 2 * (wanted > cut).sum()


def test_regions_that_reach_early_are_not_asked_again(monkeypatch):
    monkeypatch.setattr(screening, "_FIRST", 4)
    asked = []

    def reaches(rows, most):
        asked.append(rows.tolist())
        return rows % 2 == 0

    found = may_reach(F.normalize(random(6, 1, 8), dim=2), TextTable(random(40, 8)), reaches)
    assert asked[0] == list(range(6))
    assert asked[1:] == [[1, 3, 5]] * (len(asked) - 1)
    assert found.tolist() == [True, False] * 3


def test_parts_are_all_texts_once():
    for count in (0, 1, 2047, 2048, 5000, 21_000, 100_000):
        for vectors in (0, 1, 256, 1 << 20, 1 << 30):
            parts = list(screening._parts(count, vectors)) if count < 5000 or vectors < 1 << 20 else []
            assert [end for _, end in parts[:-1]] == [begin for begin, _ in parts[1:]]
            assert not parts or (parts[0][0], parts[-1][1]) == (0, count)


def test_what_is_no_number_is_no_error():
    features = F.normalize(random(4, 1, 8), dim=2)
    features[1, 0, 3] = float("nan")
    features[2, 0, 3] = float("inf")
    found = may_reach(features, TextTable(random(3, 8)), lambda rows, most: most[:, 0] > -2)
    assert found[[0, 3]].all()


def test_a_table_is_made_once_and_goes_with_its_texts():
    before = len(screening._tables)
    texts = random(5, 8)
    with torch.inference_mode():
        table = table_of(texts)
        assert table_of(texts) is table
        assert table_of(texts.clone()) is not table
    texts *= 2
    texts[0] = 1
    with torch.inference_mode():
        assert table_of(texts) is not table
        torch.testing.assert_close(table_of(texts).texts, F.normalize(texts, dim=1))
    del texts, table
    gc.collect()
    assert len(screening._tables) <= before


def test_outside_of_inference_texts_keep_their_gradients():
    texts = random(5, 8).requires_grad_()
    assert table_of(texts).texts.requires_grad


def test_small_products_are_not_worth_it(monkeypatch):
    monkeypatch.setattr(screening, "has_fast_halves", lambda: True)
    features = torch.zeros(128, 2, 192)
    assert not is_worth_it(features, 80)
    assert is_worth_it(features, 21_000)
    assert not is_worth_it(features.double(), 21_000)
    assert not is_worth_it(torch.zeros(4, 1, 8192), 21_000)
    monkeypatch.setattr(screening, "has_fast_halves", lambda: False)
    assert not is_worth_it(features, 21_000)
