import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ovdet_cli.analysis.intervals import (
    mover,
    newcombe,
    newcombe_paired,
    normal_quantile,
    ratio_of_sums,
    t_quantile,
    wilson,
)


@pytest.mark.parametrize("probability", [0.025, 0.6, 0.9, 0.975, 0.9995])
def test_t_quantiles_are_those_of_scipy(probability):
    degrees = np.array([*range(1, 120), 1e3, 1e4, 1e5, 1e6, 1e7, 1e9])
    expected = stats.t.ppf(probability, degrees)
    np.testing.assert_allclose(t_quantile(probability, degrees), expected, rtol=1e-7)
    assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), abs=1e-12)


def test_t_quantile_without_a_degree_of_freedom_is_unknown():
    assert np.isnan(t_quantile(0.975, [0, -1, np.nan])).all()


def test_wilson_is_scipys():
    for k, n in ((0, 1), (1, 1), (3, 10), (0, 1000), (999, 1000), (57, 113)):
        low, high = wilson(k, n)
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_wilson_holds_the_share_and_stays_a_share(k, n):
    k = min(k, n)
    for is_guarded in (False, True):
        low, high = wilson(k, n, is_guarded=is_guarded)
        assert 0 <= low <= k / n <= high <= 1


def test_wilson_of_nothing_is_unknown_and_of_everything_exact():
    low, high = wilson([0, 3], [0, np.inf])
    assert np.isnan([low[0], high[0]]).all()
    assert np.array_equal(wilson(0.0, np.inf), [0, 0])


@pytest.mark.parametrize("n", [60, 300])
def test_the_guard_mends_coverage_of_rare_shares(n):
    k, share = np.arange(n + 1), np.geomspace(0.05 / n, 0.5, 2000)[:, None]
    chance = stats.binom.pmf(k, n, share)
    coverage = {}
    for is_guarded in (False, True):
        low, high = wilson(k, n, is_guarded=is_guarded)
        coverage[is_guarded] = (chance * ((low <= share) & (share <= high))).sum(axis=1).min()
    assert coverage[False] < 0.87
    assert coverage[True] > 0.925


def test_newcombes_published_differences():
    # Newcombe 1998, Stat. Med. 17:873, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/10.
    low, high = newcombe([48, 3, 0], [80, 10, 10], [56, 9, 10], [70, 10, 10])
    np.testing.assert_allclose(low, [0.0524, 0.1705, 0.6075], atol=5e-5)
    np.testing.assert_allclose(high, [0.3339, 0.8090, 1.0], atol=5e-5)


def test_a_paired_difference_published_by_newcombe():
    # Newcombe 1998, Stat. Med. 17:2635, method 10: cells 36, 12, 2, 0.
    low, high = newcombe_paired(36, 2, 12, 50)
    assert (float(low), float(high)) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_the_order_of_the_sets_turns_differences_round():
    low, high = newcombe(5, 50, 20, 70)
    back = newcombe(20, 70, 5, 50)
    assert (float(low), float(high)) == pytest.approx((-float(back.high), -float(back.low)))
    low, high = newcombe_paired(5, 9, 1, 40)
    back = newcombe_paired(5, 1, 9, 40)
    assert (float(low), float(high)) == pytest.approx((-float(back.high), -float(back.low)))


@pytest.mark.parametrize("cells", [(0.02, 0.01, 0.01), (0.3, 0.1, 0.05), (0.0, 0.05, 0.02), (0.6, 0.02, 0.1)])
def test_paired_differences_cover_the_truth(cells):
    rng = np.random.default_rng(1)
    both, only_a, only_b, _ = rng.multinomial(100, [*cells, 1 - sum(cells)], 4000).T
    low, high = newcombe_paired(both, only_a, only_b, 100)
    truth = cells[2] - cells[1]
    assert np.mean((low <= truth) & (truth <= high)) > 0.94


def test_mover_with_one_part_is_the_part():
    low, high = mover([1.0], [[0.3]], [[0.2]], [[0.6]])
    assert (float(low[0]), float(high[0])) == pytest.approx((0.2, 0.6))
    low, high = mover([0.5, 0.5], [0.2, 0.4], [0.1, 0.1], [0.5, 0.8])
    assert (float(low), float(high)) == pytest.approx((0.3 - np.hypot(0.05, 0.15), 0.3 + np.hypot(0.15, 0.2)))


def _sums(y, x):
    return y.sum(-1), (y * y).sum(-1), (x * y).sum(-1), x.sum(-1), (x * x).sum(-1), y.shape[-1]


def test_a_share_of_minutes_is_total_time_over_total_time():
    x, y = np.array([10.0, 30.0, 60.0]), np.array([10.0, 0.0, 15.0])
    ratio = ratio_of_sums(*_sums(y, x))
    assert ratio.share == 0.25
    assert 0 <= ratio.low < 0.05
    assert 0.8 < ratio.high <= 1


def test_always_and_never_keep_a_width():
    x = np.full((2, 8), 5.0)
    y = np.stack([np.zeros(8), x[0]])
    share, low, high = ratio_of_sums(*_sums(y, x))
    assert share.tolist() == [0, 1]
    assert low[0] == 0
    assert 0.2 < high[0] < 0.6
    assert high[1] == 1
    assert low[1] == pytest.approx(1 - high[0])


def test_one_video_tells_no_spread():
    ratio = ratio_of_sums([1.0, 0.0], [1.0, 0.0], [4.0, 0.0], [4.0, 0.0], [16.0, 0.0], [1, 0])
    assert ratio.share[0] == 0.25
    assert np.isnan([ratio.share[1], *ratio.low, *ratio.high]).all()


@pytest.mark.parametrize(("videos", "frequency", "part"), [(3, 0.5, 0.5), (10, 0.5, 0.3), (40, 0.3, 0.5), (99, 1, 0.1)])
def test_shares_of_minutes_cover_the_truth_between_videos(videos, frequency, part):
    rng = np.random.default_rng(2)
    x = np.maximum(1, np.round(rng.lognormal(3, 0.8, (3000, videos))))
    y = rng.binomial(x.astype(int), rng.beta(2 * part, 2 * (1 - part), x.shape) * (rng.random(x.shape) < frequency))
    _, low, high = ratio_of_sums(*_sums(y, x))
    assert np.mean((low <= frequency * part) & (frequency * part <= high)) > 0.93
