import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ovdet_cli.analysis.comparing import (
    adjust_for_many,
    compare_independent,
    compare_paired,
    fisher_p,
    mcnemar_p,
)

NUM_LABELS = 2000
# Shares of labels in a feed: few frequent ones, many rare ones.
SHARES = np.minimum(0.5, 2 / np.arange(1, NUM_LABELS + 1))


def _doubled(law, observed):
    return min(1, 2 * min(law.sf(observed), law.cdf(observed - 1)) + law.pmf(observed))


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_fishers_mid_p_is_scipys_hypergeometric_tail(na, nb, data):
    ka, kb = data.draw(st.integers(0, na)), data.draw(st.integers(0, nb))
    expected = _doubled(stats.hypergeom(na + nb, na, ka + kb), ka)
    assert fisher_p(ka, na, kb, nb)[0] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    "counts", [(499_000, 10**6, 501_500, 10**6), (3_000, 10**6, 290, 10**5), (90_000, 10**5, 1, 2)]
)
def test_fishers_mid_p_of_large_counts(counts):
    ka, na, kb, nb = counts
    expected = _doubled(stats.hypergeom(na + nb, na, ka + kb), ka)
    assert fisher_p(*counts)[0] == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemars_mid_p_is_scipys_binomial_tail(only_a, only_b):
    expected = _doubled(stats.binom(only_a + only_b, 0.5), only_a)
    assert mcnemar_p(only_a, only_b)[0] == pytest.approx(expected, rel=1e-7)


def test_q_is_scipys_benjamini_hochberg():
    p = np.random.default_rng(0).random(500) ** 3
    np.testing.assert_allclose(adjust_for_many(p), stats.false_discovery_control(p, method="bh"), rtol=1e-12)


def test_q_leaves_unknown_and_uncounted_labels_aside():
    q = adjust_for_many([0.01, np.nan, 0.04, 0.5], [True, True, True, False])
    np.testing.assert_allclose(q, [0.02, np.nan, 0.04, 1])
    assert adjust_for_many([]).shape == (0,)


def _false_discovery_rate(compare, num_changed, repeats):
    """Mean share of chance among what was called changed, and mean share of the changed that was found."""
    wrong, found = [], []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        changed = rng.choice(300, num_changed, replace=False)
        is_called = compare(rng, changed).verdict != "no clear change"
        found.append(is_called[changed].mean() if num_changed else 0)
        is_called[changed] = False
        wrong.append(is_called.sum() / max(1, is_called.sum() + round(found[-1] * num_changed)))
    return np.mean(wrong), np.mean(found)


@pytest.mark.parametrize(("na", "nb"), [(3000, 3000), (200, 8000)])
@pytest.mark.parametrize("num_changed", [0, 60])
def test_chance_among_changes_stays_below_the_promised_rate(na, nb, num_changed):
    def compare(rng, changed):
        shares_b = SHARES.copy()
        shares_b[changed] *= 1.9
        return compare_independent(rng.binomial(na, SHARES), na, rng.binomial(nb, shares_b), nb)

    repeats = 60
    rate, _ = _false_discovery_rate(compare, num_changed, repeats)
    # With no change at all each repeat is 0 or 1, so the mean of 60 has a standard error of 0.028.
    assert rate < 0.05 + (0.06 if num_changed == 0 else 0.015)


def test_equal_labels_the_worst_case_of_discrete_counts():
    rate, _ = _false_discovery_rate(
        lambda rng, _: compare_independent(
            rng.binomial(1000, 0.008, NUM_LABELS), 1000, rng.binomial(1000, 0.008, NUM_LABELS), 1000
        ),
        0,
        60,
    )
    assert rate < 0.11


def test_labels_that_come_together_keep_the_rate():
    def compare(rng, _):
        # Every unit is one of 20 kinds, and each kind shows a hundred labels with its own luck.
        counts = []
        for _ in range(2):
            kinds = rng.multinomial(2000, np.full(20, 0.05))
            counts.append(np.repeat(rng.binomial(kinds, 0.4), NUM_LABELS // 20))
        return compare_independent(counts[0], 2000, counts[1], 2000)

    rate, _ = _false_discovery_rate(compare, 0, 60)
    assert rate < 0.11


def test_real_changes_are_found():
    def compare(rng, changed):
        shares_b = SHARES.copy()
        shares_b[changed] *= 1.9
        return compare_independent(rng.binomial(20_000, SHARES), 20_000, rng.binomial(20_000, shares_b), 20_000)

    _, found = _false_discovery_rate(compare, 60, 5)
    assert found > 0.95


def test_verdicts_say_the_direction():
    result = compare_independent([10, 300, 50], 1000, [300, 10, 55], 1000)
    assert result.verdict.tolist() == ["rose", "fell", "no clear change"]
    assert result.difference.tolist() == pytest.approx([0.29, -0.29, 0.005])
    assert (result.low < result.difference).all()
    assert (result.difference < result.high).all()


def test_labels_too_rare_to_tell_do_not_weaken_the_others():
    rare = np.ones(5000, int)
    result = compare_independent(np.r_[5, rare], 1000, np.r_[25, rare * 0], 1000)
    assert result.verdict[0] == "rose"
    assert result.q[0] == result.p[0]
    assert set(result.verdict[1:]) == {"no clear change"}
    assert set(result.q[1:]) == {1.0}


def test_a_set_without_units_gives_no_verdict():
    result = compare_independent([0, 0], 0, [5, 0], 10)
    assert np.isnan([result.p, result.q, result.difference, result.low]).all()
    assert set(result.verdict) == {"no clear change"}


def test_pairs_see_what_independent_sets_would_not():
    paired = compare_paired(both=[500], only_a=[2], only_b=[25], units=1000)
    assert paired.verdict[0] == "rose"
    assert (paired.a[0], paired.b[0]) == (0.502, 0.525)
    assert paired.low[0] > 0
    assert compare_independent(502, 1000, 525, 1000).verdict[0] == "no clear change"


def test_the_same_run_twice_has_no_change():
    result = compare_paired([0, 7, 10], 0, 0, 10)
    assert result.p.tolist() == [1, 1, 1]
    assert result.difference.tolist() == [0, 0, 0]
    assert (result.low <= 0).all()
    assert np.isnan(compare_paired(0, 0, 0, 0).q).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare_independent(5, 3, 0, 3),
        lambda: compare_independent(-1, 3, 0, 3),
        lambda: compare_paired(2, 1, 1, 3),
    ],
)
def test_impossible_counts_are_refused(call):
    with pytest.raises(ValueError, match=r"count|units"):
        call()


def test_many_labels_with_large_counts():
    rng = np.random.default_rng(0)
    shares = np.minimum(0.9, 2 / np.arange(1, 21_001))
    result = compare_independent(rng.binomial(10**6, shares), 10**6, rng.binomial(10**6, shares), 10**6)
    assert (result.verdict != "no clear change").sum() < 20
