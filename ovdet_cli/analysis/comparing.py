"""What rose and what fell between two sets of units, for all labels at once.

Two time spans, or two runs over different files, are independent sets; two runs over the same files are paired. The
tests are exact at every size of count: conditional tails are summed term by term, since the usual normal approximation
is wrong by orders of magnitude where thousands of labels push the cut to p near 1e-5 and one set is the larger one
(21 of 100 against 5 expected: Poisson's tail is 50 times the normal one).

- Independent: Fisher's test; paired: McNemar's, exact from the discordant units. Both as mid-p with the smaller tail
  doubled: close to the nominal level where the exact tests are far below it, and nearly as powerful as unconditional
  tests (Lydersen, Fagerland and Laake 2009, Stat. Med. 28:1159; Fagerland, Lydersen and Laake 2013, BMC Med. Res.
  Methodol. 13:91).
- Many labels: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289. Of the labels called risen or fallen at most 5 %
  are expected to be chance. Its variant for any dependence (Benjamini and Yekutieli 2001) would divide the level by
  ln(21,000) + 0.6 = 10 and is not needed: labels of one feed are mostly independent or rise together, for which the
  plain procedure holds, and for two-sided tests it does so in practice (Reiner-Benaim 2007, Biom. J. 49:107).
- Labels so rare that no split of their units could be significant by itself are not counted among the tests (Tarone
  1990, Biometrics 46:515; Gilbert 2005, J. R. Stat. Soc. C 54:143). That looks at totals only, never at the split.

All of it takes units as drawn independently: one account that posts a label a hundred times is a hundred units.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ovdet_cli.analysis.intervals import Interval, newcombe, newcombe_paired

# The expected share of chance among the labels that are called risen or fallen.
FALSE_DISCOVERY_RATE = 0.05
# Terms that a tail's sum advances at a time, and labels at a time: 16 MB of ratios.
_STEPS, _LABELS_AT_ONCE = 64, 32_768

Ratio = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Comparison:
    """One entry a label, float64 but for verdict.

    a, b: shares of units. difference: b - a, with its 95 % interval from low to high. p: of that label alone. q: the
    false discovery rate at which it would just be called risen or fallen; nan, as p, where a set has no units.
    verdict: "rose", "fell" or "no clear change", text. The interval is of one label by itself: among many labels some
    exclude 0 by chance, so the verdict goes by q.
    """

    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    q: np.ndarray
    verdict: np.ndarray


def compare_independent(ka: ArrayLike, na: ArrayLike, kb: ArrayLike, nb: ArrayLike) -> Comparison:
    """Compares ka of na units with kb of nb other units; whole numbers, scalars or one a label.

    Raises:
        ValueError: a count is negative or above its number of units.
    """
    ka, na, kb, nb = _as_counts(ka, na, kb, nb)
    if ((ka > na) | (kb > nb)).any():
        raise ValueError("a label is in more units than there are")
    p = fisher_p(ka, na, kb, nb)
    # The most lopsided splits of the same total: as many as possible in one set.
    total = ka + kb
    most_a, most_b = np.minimum(total, na), np.minimum(total, nb)
    least = np.minimum(fisher_p(most_a, na, total - most_a, nb), fisher_p(total - most_b, na, most_b, nb))
    return _judge(ka, na, kb, nb, newcombe(ka, na, kb, nb), p, least)


def compare_paired(both: ArrayLike, only_a: ArrayLike, only_b: ArrayLike, units: ArrayLike) -> Comparison:
    """Compares two looks at the same units: those that hold the label in both, only in a, only in b, of all units.

    Raises:
        ValueError: a count is negative, or the three together are above the number of units.
    """
    both, only_a, only_b, units = _as_counts(both, only_a, only_b, units)
    if (both + only_a + only_b > units).any():
        raise ValueError("a label is in more units than there are")
    p = np.where(units > 0, mcnemar_p(only_a, only_b), np.nan)
    least = mcnemar_p(only_a + only_b, np.zeros_like(only_a))
    interval = newcombe_paired(both, only_a, only_b, units)
    return _judge(both + only_a, units, both + only_b, units, interval, p, least)


def fisher_p(ka: ArrayLike, na: ArrayLike, kb: ArrayLike, nb: ArrayLike) -> np.ndarray:
    """Two-sided mid-p of Fisher's test that ka of na and kb of nb have one share; nan where a set is empty.

    Given the total k, ka is hypergeometric: P(x) = C(na, x) C(nb, k-x) / C(na+nb, k).
    """
    ka, na, kb, nb = _as_counts(ka, na, kb, nb)
    # The set with more than its part counts upwards, so that one sum serves both tails.
    is_a = ka * nb >= kb * na
    x, n = np.where(is_a, ka, kb), np.where(is_a, na, nb)
    y, m = np.where(is_a, kb, ka), np.where(is_a, nb, na)
    log_p = _log_choose(n, x) + _log_choose(m, y) - _log_choose(n + m, x + y)

    def ratio(places: np.ndarray, steps: np.ndarray) -> np.ndarray:
        up, down = x[places] + steps, y[places] - steps
        return np.maximum(n[places] - up, 0) * np.maximum(down, 0) / ((up + 1) * (m[places] - down + 1))

    p = _doubled_mid_p(log_p, ratio)
    return np.where((na > 0) & (nb > 0), p, np.nan)


def mcnemar_p(only_a: ArrayLike, only_b: ArrayLike) -> np.ndarray:
    """Two-sided mid-p of McNemar's test: the discordant units fall on either side like a fair coin. 1 without any."""
    a, b = _as_counts(only_a, only_b)
    x, y = np.maximum(a, b), np.minimum(a, b)
    log_p = _log_choose(x + y, x) - (x + y) * math.log(2)

    def ratio(places: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return np.maximum(y[places] - steps, 0) / (x[places] + steps + 1)

    return _doubled_mid_p(log_p, ratio)


def adjust_for_many(p: ArrayLike, is_counted: ArrayLike = True) -> np.ndarray:
    """Benjamini-Hochberg's q of each p: min over p' >= p of (tests * p' / rank of p'); nan stays nan.

    is_counted: which are tests at all; the others get 1.
    """
    p = np.asarray(p, np.float64)
    is_test = np.broadcast_to(is_counted, p.shape) & ~np.isnan(p)
    own = p[is_test]
    order = np.argsort(-own, kind="stable")
    ranks = np.arange(len(own), 0, -1)
    q = np.where(np.isnan(p), np.nan, 1.0)
    adjusted = np.empty(len(own))
    adjusted[order] = np.minimum(np.minimum.accumulate(own[order] * len(own) / ranks), 1)
    q[is_test] = adjusted
    return q


def _judge(
    ka: np.ndarray, na: np.ndarray, kb: np.ndarray, nb: np.ndarray, interval: Interval, p: np.ndarray, least: np.ndarray
) -> Comparison:
    """least: the smallest p that the label's total allows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = ka / na, kb / nb
    q = adjust_for_many(p, least < FALSE_DISCOVERY_RATE)
    is_clear = q < FALSE_DISCOVERY_RATE
    verdict = np.where(is_clear & (b > a), "rose", np.where(is_clear & (b < a), "fell", "no clear change"))
    return Comparison(a, b, b - a, interval.low, interval.high, p, q, verdict)


def _doubled_mid_p(log_p: np.ndarray, ratio: Ratio) -> np.ndarray:
    """min(1, 2 (P(beyond) + P(observed)/2)). ratio(places, steps): P(x+1)/P(x) at `steps` beyond what was observed."""
    flat = np.ravel(log_p)
    beyond = np.zeros(flat.shape)
    for start in range(0, len(flat), _LABELS_AT_ONCE):
        places = np.arange(start, min(start + _LABELS_AT_ONCE, len(flat)))
        last = np.ones(len(places))
        step = 0
        while len(places):
            terms = np.cumprod(ratio(places[:, None], np.arange(step, step + _STEPS)), axis=1) * last[:, None]
            beyond[places] += terms.sum(axis=1)
            step += _STEPS
            # The ratios fall, so what is left is below a geometric series of the last two terms.
            final, before = terms[:, -1], terms[:, -2]
            with np.errstate(invalid="ignore", divide="ignore"):
                rest = np.where(final > 0, final**2 / (before - final), 0)
            is_open = ~((rest >= 0) & (rest < 1e-12 * (beyond[places] + 0.5)))
            places, last = places[is_open], final[is_open]
    # On the mean's own side a tail is at least a half, whatever is left of the other.
    return np.minimum(2 * np.exp(flat) * (beyond + 0.5), 1).reshape(np.shape(log_p))


_log_factorial = np.frompyfunc(lambda n: math.lgamma(n + 1), 1, 1)


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    whole, one, other = (_log_factorial(values).astype(np.float64) for values in (n, k, n - k))
    return whole - one - other


def _as_counts(*values: ArrayLike) -> list[np.ndarray]:
    """The counts as float64, broadcast to one shape of at least one dimension."""
    arrays = [np.asarray(value, np.float64) for value in values]
    if any((array < 0).any() or not np.isfinite(array).all() for array in arrays):
        raise ValueError("a count is negative or not a number")
    return list(np.broadcast_arrays(*(np.atleast_1d(array) for array in arrays)))
