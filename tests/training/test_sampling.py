import numpy as np
import pytest

from ovdet_cli.training.sampling import MixedStream, class_factors, mixing_weights, repeat_factors
from tests.parity.reference import PACKAGED


@pytest.fixture(scope="module")
def official():
    with np.load(PACKAGED / "detic" / "train_ops.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("sched/")}


@pytest.fixture(scope="module")
def toy_classes(official):
    """The 4000 toy pictures: those that are stored, and plain ones of class 0 or 1 that complete the counts."""
    stored = dict(
        zip(
            official["sched/repeat/picture"].tolist(),
            [[int(c) for c in t.split(",")] for t in official["sched/repeat/classes_of_picture"]],
            strict=True,
        )
    )
    left = official["sched/repeat/class_pictures"] - sum(np.bincount(c, minlength=5) for c in stored.values())
    assert left[2:].tolist() == [0, 0, 0]
    rest = iter([[0]] * left[0] + [[1]] * left[1] + [[]] * (4000 - len(stored) - left.sum()))
    return [stored[i] if i in stored else next(rest) for i in range(4000)]


def test_repeat_factors_equal_the_official_ones(official, toy_classes):
    factors = repeat_factors(toy_classes, 5)
    np.testing.assert_allclose(factors[official["sched/repeat/picture"]], official["sched/repeat/factor"], rtol=1e-6)
    assert factors.sum() == pytest.approx(float(official["sched/repeat/factor_sum"]), rel=1e-6)


def test_class_factors_by_hand():
    assert class_factors(np.array([4000, 1000, 1, 0]), 4000, 0.001).tolist() == [1, 1, 2, 2]


def test_mixing_weights_equal_the_official_ones(official, toy_classes):
    sizes, ratio = official["sched/mix/sizes"].tolist(), official["sched/mix/ratio"].tolist()
    boxed, labelled = mixing_weights(sizes, ratio, [repeat_factors(toy_classes, 5), None])
    found = np.concatenate([boxed[official["sched/repeat/picture"]], labelled[:2]])
    np.testing.assert_allclose(found, official["sched/mix/weights"], rtol=1e-6)
    shares = np.array([boxed.sum(), labelled.sum()]) / (boxed.sum() + labelled.sum())
    np.testing.assert_allclose(shares, official["sched/mix/share"], rtol=1e-6)


def stream(seed=3, **options):
    weights = mixing_weights([40, 1000], [1, 4], [np.linspace(1, 3, 40), None])
    return MixedStream(weights, [8, 32], seed, **options)


def test_a_batch_is_a_function_of_seed_and_position():
    one, other = stream(), stream()
    for position in (7, 0, 10**9, 7):
        a, b = one.at(position), other.at(position)
        assert a.dataset == b.dataset
        assert np.array_equal(a.indices, b.indices)
        assert a.rng(2).random() == b.rng(2).random()
    assert a.rng(2).random() != a.rng(3).random()
    batches = [one.at(i) for i in range(50)]
    assert any(not np.array_equal(a.indices, stream(4).at(i).indices) for i, a in enumerate(batches))
    assert len({tuple(batch.indices) for batch in batches}) == 50


def test_one_to_four_in_pictures_is_one_to_one_in_batches():
    """Batches of 8 and 32: both kinds of step come equally often; within the boxes the weights decide."""
    batches = [stream().at(i) for i in range(2000)]
    boxed = [batch for batch in batches if batch.dataset == 0]
    assert {len(batch.indices) for batch in boxed} == {8}
    assert len(boxed) / 2000 == pytest.approx(0.5, abs=0.05)
    counts = np.bincount(np.concatenate([batch.indices for batch in boxed]), minlength=40)
    expected = np.linspace(1, 3, 40) / np.linspace(1, 3, 40).sum() * counts.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_groups_do_not_mix_and_keep_their_shares():
    is_landscape = np.arange(40) % 4 == 0
    batches = [stream(groups=[is_landscape, None]).at(i) for i in range(2000)]
    boxed = [batch.indices for batch in batches if batch.dataset == 0]
    assert all(len(set(is_landscape[indices])) == 1 for indices in boxed)
    weights = np.linspace(1, 3, 40)
    share = weights[is_landscape].sum() / weights.sum()
    assert np.mean([is_landscape[indices[0]] for indices in boxed]) == pytest.approx(share, abs=0.05)


def test_weights_of_zero_are_never_drawn():
    batches = [MixedStream([np.array([0.0, 1, 0]), np.zeros(3)], [4, 4], 0).at(i) for i in range(50)]
    assert {(batch.dataset, i) for batch in batches for i in batch.indices} == {(0, 1)}


@pytest.mark.parametrize(("weights", "sizes"), [([np.zeros(3)], [1]), ([np.ones(3)], [0]), ([np.array([np.nan])], [1])])
def test_wrong_settings_are_refused(weights, sizes):
    with pytest.raises(ValueError, match=r"weight|batches"):
        MixedStream(weights, sizes, 0)
