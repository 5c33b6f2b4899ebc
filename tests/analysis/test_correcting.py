import itertools

import numpy as np
import pytest

from ovdet_cli.analysis.correcting import corrected_share


def _coverage(units, weight, right, missed, checked, is_split, repeats=1500):
    """How often the interval holds the share of a fixed feed, over samples of `checked` units drawn from it."""
    rng = np.random.default_rng(3)
    detected = round(units * weight)
    undetected = units - detected
    true1, true0 = round(detected * right), round(undetected * missed)
    if is_split:
        n1 = np.full(repeats, min(detected, checked // 2))
        n0 = np.minimum(undetected, checked - n1)
    else:
        n1 = rng.hypergeometric(detected, undetected, checked, repeats)
        n0 = checked - n1
    k1 = rng.hypergeometric(true1, detected - true1, np.maximum(n1, 1)) * (n1 > 0)
    k0 = rng.hypergeometric(true0, undetected - true0, np.maximum(n0, 1)) * (n0 > 0)
    result = corrected_share(k1, n1, k0, n0, detected, undetected)
    truth = (true1 + true0) / units
    return np.mean((result.low <= truth + 1e-12) & (truth - 1e-12 <= result.high))


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("units", [600, 10_000])
def test_intervals_hold_the_truth(units, is_split):
    grid = itertools.product((0.005, 0.05, 0.3, 0.7), (0.5, 0.9, 1), (0, 0.002, 0.02, 0.2), (50, 200, 500))
    coverages = [_coverage(units, *setting, is_split) for setting in grid]
    assert min(coverages) >= 0.93
    assert np.mean(coverages) < 0.99


def test_the_share_is_weighted_by_the_models_verdict():
    result = corrected_share(80, 100, 5, 100, 1000, 9000)
    assert result.share[0] == pytest.approx(0.1 * 0.8 + 0.9 * 0.05)
    assert (result.right[0], result.missed[0]) == (0.8, 0.05)
    assert result.low[0] < result.share[0] < result.high[0]
    assert result.why == ("",)


def test_a_feed_that_was_checked_whole_has_no_doubt():
    result = corrected_share(30, 40, 6, 60, 40, 60)
    assert (result.low[0], result.share[0], result.high[0]) == pytest.approx((0.36, 0.36, 0.36))


def test_checking_more_of_a_small_feed_narrows():
    small, large = (
        corrected_share([40, 40], 50, [2, 2], 100, [60, 6000], [200, 20_000]).high
        - corrected_share([40, 40], 50, [2, 2], 100, [60, 6000], [200, 20_000]).low
    )
    assert small < 0.8 * large


def test_a_sample_of_the_detected_alone_is_a_lower_bound():
    result = corrected_share(45, 50, 0, 0, 100, 900)
    assert np.isnan(result.share[0])
    assert 0.07 < result.low[0] < 0.09
    assert result.high[0] > 0.99
    assert "lower bound" in result.why[0]


def test_no_checked_unit_among_the_detected():
    result = corrected_share(0, 0, 0, 200, 10, 990)
    assert np.isnan(result.share[0])
    assert result.low[0] == 0
    assert 0.01 < result.high[0] < 0.04
    assert "right is unknown" in result.why[0]


def test_nothing_checked_says_nothing():
    result = corrected_share(0, 0, 0, 0, 10, 990)
    assert np.isnan([result.share[0], result.low[0], result.high[0]]).all()
    assert result.why == ("no unit was checked for it",)


def test_a_label_that_was_never_detected():
    result = corrected_share(0, 0, 3, 100, 0, 1000)
    assert result.share[0] == 0.03
    assert 0.003 <= result.low[0] < 0.03 < result.high[0] < 0.1


def test_what_was_seen_is_certain():
    result = corrected_share([50, 0], 50, [0, 100], 100, 51, 101)
    assert (result.low >= np.array([50, 100]) / 152 - 1e-12).all()
    assert (result.high <= 1 - np.array([100, 50]) / 152 + 1e-12).all()


@pytest.mark.parametrize("counts", [(3, 2, 0, 0, 10, 10), (0, 11, 0, 0, 10, 10), (0, 0, -1, 2, 10, 10)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="checked"):
        corrected_share(*counts)
