import numpy as np
import pytest

from ovdet_cli.analysis.valleys import excess_mass, find_valleys

EDGES = np.linspace(0.1, 1, 121)


def _histograms(draw, size, repeats, seed=0):
    """Counts of `repeats` samples of `size` scores above 0.1."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(repeats):
        scores = draw(rng, 4 * size)
        scores = scores[(scores > 0.1) & (scores <= 1)][:size]
        assert len(scores) == size
        rows.append(np.histogram(scores, EDGES)[0])
    return np.array(rows)


ONE_HUMP = {
    "falling": lambda rng, n: 0.1 + rng.exponential(0.12, n),
    "flat": lambda rng, n: rng.uniform(0.1, 1, n),
    "middle": lambda rng, n: rng.normal(0.5, 0.12, n),
    "skewed": lambda rng, n: 0.1 + 0.9 * rng.beta(2, 6, n),
    "rising": lambda rng, n: 1 - rng.exponential(0.1, n),
    "shoulder": lambda rng, n: np.where(rng.random(n) < 0.6, 0.1 + rng.exponential(0.12, n), rng.uniform(0.1, 0.6, n)),
    "rounded": lambda rng, n: np.round(0.1 + rng.exponential(0.12, n), 2),
}


@pytest.mark.parametrize("size", [200, 2000, 50_000])
@pytest.mark.parametrize("name", ONE_HUMP)
def test_one_hump_has_no_valley(name, size):
    found = find_valleys(_histograms(ONE_HUMP[name], size, 60), EDGES)
    assert sum(valley is not None for valley in found) <= 1


def _two(rng, n):
    return np.where(rng.random(n) < 0.6, 0.1 + rng.exponential(0.08, n), rng.normal(0.8, 0.07, n))


@pytest.mark.parametrize("size", [300, 2000, 50_000])
def test_two_humps_have_their_valley_between_them(size):
    found = find_valleys(_histograms(_two, size, 30), EDGES)
    for valley in found:
        assert valley is not None
        assert 0.1 < valley.left < 0.2
        assert 0.7 < valley.right < 0.9
        assert 0.35 < valley.place < 0.68
        assert 0.3 < valley.above / size < 0.55
        assert valley.depth > 0.5


def test_an_empty_stretch_is_cut_in_its_middle():
    counts = np.zeros((1, 120), int)
    counts[0, :20], counts[0, 100:] = 50, 50
    (valley,) = find_valleys(counts, EDGES)
    assert valley.place == pytest.approx(0.55, abs=0.02)
    assert (valley.below, valley.above) == (1000, 1000)


def test_few_data_tell_nothing():
    counts = np.zeros((2, 120), int)
    counts[0, [5, 110]] = 99
    assert find_valleys(counts, EDGES) == [None, None]


def test_a_handful_far_away_is_no_hump():
    counts = np.zeros((1, 120), int)
    counts[0, :20], counts[0, 110] = 5000, 1500
    assert find_valleys(counts, EDGES) == [None]


def test_excess_mass_is_known_for_blocks():
    # Two thirds of the axis hold everything: at price 0 one interval takes all, at the density of the blocks none does.
    shares = np.concatenate([np.ones(40), np.zeros(40), np.ones(40)])[None] / 80
    excess, _ = excess_mass(shares)
    # One interval: max(1 - p, 1/2 - p/3), two: 1 - 2p/3; they differ most, by 1/4, at p = 3/4.
    assert excess[0] == pytest.approx(0.25, abs=0.01)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        find_valleys(np.zeros((2, 10), int), EDGES)
