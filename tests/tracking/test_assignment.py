from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ovdet_cli.tracking.assignment import assign

matrices = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    elements=st.floats(-2, 2) | st.sampled_from([-np.inf, 0.0, 0.25, 0.5, 1.0]),
)


def best_sum(gains):
    """The largest sum, by trying all."""
    gains = np.maximum(gains if gains.shape[0] <= gains.shape[1] else gains.T, 0)
    rows, columns = gains.shape
    return max(sum(gains[i, p[i]] for i in range(rows)) for p in permutations(range(columns), rows))


@given(matrices)
@settings(max_examples=400)
def test_the_sum_is_the_largest_and_no_row_or_column_comes_twice(gains):
    rows, columns = assign(gains)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert (gains[rows, columns] > 0).all()
    assert rows.tolist() == sorted(rows.tolist())
    assert gains[rows, columns].sum() == pytest.approx(best_sum(gains), abs=1e-9)


def test_a_pair_of_no_gain_is_none():
    rows, _ = assign(np.array([[0.0, -1.0], [-np.inf, 0.0]]))
    assert len(rows) == 0


def test_large_ones_agree_with_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    for shape in ((60, 60), (40, 90), (90, 40)):
        gains = rng.random(shape) - 0.3
        clipped = np.maximum(gains, 0)
        assert gains[assign(gains)].sum() == pytest.approx(clipped[optimize.linear_sum_assignment(-clipped)].sum())
