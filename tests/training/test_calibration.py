"""Calibration: scores become shares of right ones, and keep their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovdet_cli.evaluation.matching import calibration_error, reliability
from ovdet_cli.training.calibration import fit_calibration, logit


@given(slope=st.floats(0.3, 4), offset=st.floats(-3, 3), seed=st.integers(0, 1000))
def test_finds_the_numbers_that_made_the_data(slope, offset, seed):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, 20000)
    shares = 1 / (1 + np.exp(-(slope * logit(scores) + offset)))
    found = fit_calibration(scores, rng.random(len(scores)) < shares)
    assert found == pytest.approx((slope, offset), abs=0.35)


def test_calibrated_scores_mean_what_they_say():
    rng = np.random.default_rng(1)
    scores = rng.uniform(0, 1, 20000)
    correct = rng.random(len(scores)) < scores**3
    slope, offset = fit_calibration(scores, correct)
    after = 1 / (1 + np.exp(-(slope * logit(scores) + offset)))
    before_error, after_error = (calibration_error(reliability(s, correct)) for s in (scores, after))
    assert before_error > 0.2
    assert after_error < 0.04


def test_complete_separation_stays_finite():
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    slope, offset = fit_calibration(scores, scores > 0.5)
    assert np.isfinite([slope, offset]).all()
    assert slope > 0


@pytest.mark.parametrize("correct", [[True, True], [False, False], []])
def test_needs_both_kinds(correct):
    with pytest.raises(ValueError, match="needs both"):
        fit_calibration(np.full(len(correct), 0.5), np.array(correct, bool))
