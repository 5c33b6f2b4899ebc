import numpy as np
import pytest

from ovdet_cli.analysis.cooccurrence import associate


def count_pairs(holds_UL):
    """int (L, L): units that hold both labels, from bool (U, L)."""
    numbers = holds_UL.astype(np.int64)
    return numbers.T @ numbers


def _units(seed=0, units=5000):
    """Labels: 0 and 1 come together, 2 avoids 0, 3 is independent, 4 is rare and once met 5, which is rare too."""
    rng = np.random.default_rng(seed)
    holds = np.zeros((units, 7), bool)
    holds[:, 0] = rng.random(units) < 0.2
    holds[:, 1] = rng.random(units) < np.where(holds[:, 0], 0.5, 0.05)
    holds[:, 2] = rng.random(units) < np.where(holds[:, 0], 0.02, 0.2)
    holds[:, 3] = rng.random(units) < 0.3
    holds[0, [4, 5]] = holds[1, 4] = holds[2, 5] = True
    return holds


def test_pairs_are_counted():
    holds = _units()
    counts = count_pairs(holds)
    assert counts[0, 1] == (holds[:, 0] & holds[:, 1]).sum()
    assert np.diagonal(counts).tolist() == holds.sum(axis=0).tolist()


def test_what_comes_together_and_what_does_not():
    result = associate(count_pairs(_units()), 5000)
    assert result.verdict[0, 1] == "together"
    assert result.verdict[0, 2] == "apart"
    assert result.verdict[0, 3] == result.verdict[4, 0] == "no clear link"
    assert result.association[0, 1] > 2
    assert result.association[0, 2] < -1
    assert result.association[0, 3] == 0
    for values in (result.lift, result.association, result.q, result.log_odds):
        np.testing.assert_array_equal(values, values.T)
        assert np.isnan(np.diagonal(values)).all()


def test_lift_is_the_count_over_the_expected_one():
    result = associate(np.array([[20, 8], [8, 10]]), 100)
    assert result.lift[0, 1] == pytest.approx(8 / (20 * 10 / 100))


def test_a_rare_meeting_does_not_lead_the_ranking():
    result = associate(count_pairs(_units()), 5000)
    assert result.lift[4, 5] > 1000
    assert result.lift[4, 5] > 200 * result.lift[0, 1]
    assert 0 <= result.association[4, 5] < 0.6 * result.association[0, 1]
    assert associate(np.array([[1, 1], [1, 40]]), 1000).association[0, 1] < 0.5


def test_labels_of_no_unit_and_of_all():
    result = associate(count_pairs(np.array([[True, False, True]] * 50)), 50)
    assert set(result.verdict.ravel()) == {"no clear link"}
    assert np.nan_to_num(result.association).tolist() == np.zeros((3, 3)).tolist()


def test_chance_pairs_are_not_called_linked():
    rng = np.random.default_rng(0)
    wrong = [
        (associate(count_pairs(rng.random((400, 20)) < rng.beta(0.5, 3, 20)), 400).verdict != "no clear link").any()
        for _ in range(60)
    ]
    assert np.mean(wrong) < 0.12


@pytest.mark.parametrize("counts", [[[5, 6], [6, 9]], [[5, 1], [2, 9]], [[60, 10], [10, 60]]])
def test_counts_of_no_possible_feed_are_refused(counts):
    with pytest.raises(ValueError, match="no counts"):
        associate(np.array(counts), 100)
