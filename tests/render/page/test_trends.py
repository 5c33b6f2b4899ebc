"""What rose and what fell, from the counts by time."""

from typing import Any

from ovdet_cli.render.page.trends import trends


def payload(found: list[list[int]], base: list[int]) -> dict[str, Any]:
    """Units by label and bin, of one account."""
    cells = [(label, bin_, n) for label, row in enumerate(found) for bin_, n in enumerate(row) if n]
    cube = {"label": [c[0] for c in cells], "bin": [c[1] for c in cells], "units": [c[2] for c in cells]}
    cube |= {"base_bin": list(range(len(base))), "base_units": base}
    return {"cube": cube, "bins": {"starts": ["2026-01-01"] * len(base)}}


def test_a_clear_change_is_told_and_noise_is_not() -> None:
    found = trends(payload([[10, 12, 60, 58], [50, 51, 49, 52], [40, 44, 9, 8]], [100, 100, 100, 100]))
    assert [(trend.label, trend.first, trend.second) for trend in found] == [(0, 0.11, 0.59), (2, 0.42, 0.085)]
    assert all(trend.q < 1e-6 for trend in found)


def test_one_of_many_noisy_labels_does_not_count() -> None:
    # p = 0.03 alone; of 40 labels one such is expected.
    rows = [[62, 82]] + [[70, 70]] * 39
    assert not trends(payload(rows, [200, 200]))
    assert trends(payload(rows[:1], [200, 200]))


def test_without_time_or_with_few_units_there_is_no_trend() -> None:
    assert not trends({"cube": None, "bins": None})
    assert not trends(payload([[1, 9]], [10, 10]))
    assert not trends(payload([[30]], [60]))


def test_the_halves_are_of_units_and_not_of_time() -> None:
    found = trends(payload([[40, 2, 2, 2]], [100, 30, 40, 30]))
    assert [(trend.first, trend.second) for trend in found] == [(0.4, 0.06)]
