"""Which labels come together more often, or more seldom, than chance would have it: for a few dozen labels."""

# L labels

from dataclasses import dataclass

import numpy as np

from ovdet_cli.analysis.comparing import FALSE_DISCOVERY_RATE, adjust_for_many, fisher_p
from ovdet_cli.analysis.intervals import CONFIDENCE, normal_quantile

# Before the data are seen, the odds ratio of a pair lies between 1/7 and 7 in 95 % of cases (1.96 = log 7).
_PRIOR_VARIANCE = 1.0


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """Symmetric (L, L) arrays; nan on the diagonal but for counts.

    counts: int, units that hold both; on the diagonal, those that hold the label. lift: how many times more often than
    if they were independent; large by chance among rare labels, so it is no measure to rank by. log_odds: the logarithm
    of the odds ratio, half a unit added to each cell. association: the log odds nearest to 0 in their 95 % interval
    after shrinkage, 0 where that holds 0: what the data vouch for, so that rare pairs stay small; rank by it. q: the
    false discovery rate of Fisher's test over all pairs. verdict: "together", "apart" or "no clear link", text.
    """

    counts: np.ndarray
    lift: np.ndarray
    log_odds: np.ndarray
    association: np.ndarray
    q: np.ndarray
    verdict: np.ndarray


def associate(counts_LL: np.ndarray, units: int) -> Cooccurrence:
    """Lift and association of every pair of labels.

    counts_LL: int (L, L), units that hold both, the label's own on the diagonal. units: all units of the run that could
    be analysed. Units are taken as independent.

    Raises:
        ValueError: the counts are not those of any set of so many units.
    """
    counts = np.asarray(counts_LL, np.float64)
    own = np.diagonal(counts)
    both, only_row, only_column = counts, own[:, None] - counts, own[None, :] - counts
    neither = units - both - only_row - only_column
    if not np.array_equal(counts, counts.T) or min(part.min(initial=0) for part in (only_row, both, neither)) < 0:
        raise ValueError(f"these are no counts of pairs among {units} units")
    is_pair = ~np.eye(len(counts), dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        lift = np.where(is_pair, both * units / (own[:, None] * own), np.nan)
    # Haldane 1956 and Anscombe 1956: half a unit a cell, which also keeps empty cells finite; Woolf 1955: its variance.
    cells = np.stack([both, neither, only_row, only_column]) + 0.5
    logs, parts = np.log(cells), 1 / cells
    log_odds = (logs[0] + logs[1]) - (logs[2] + logs[3])
    variance = (parts[0] + parts[1]) + (parts[2] + parts[3])
    # The posterior of a normal prior around 0: its mean and its deviation.
    kept = _PRIOR_VARIANCE / (_PRIOR_VARIANCE + variance)
    margin = normal_quantile((1 + CONFIDENCE) / 2) * np.sqrt(kept * variance)
    association = np.copysign(np.maximum(np.abs(kept * log_odds) - margin, 0), log_odds) + 0.0
    q = _false_discovery_rates(both, own, units)
    is_clear = q < FALSE_DISCOVERY_RATE
    verdict = np.where(is_clear, np.where(log_odds > 0, "together", "apart"), "no clear link")
    log_odds, association = (np.where(is_pair, values, np.nan) for values in (log_odds, association))
    return Cooccurrence(counts.astype(np.int64), lift, log_odds, association, q, verdict)


def _false_discovery_rates(both: np.ndarray, own: np.ndarray, units: int) -> np.ndarray:
    """q (L, L) that each pair is independent; nan on the diagonal."""
    row, column = np.triu_indices(len(own), 1)
    p = fisher_p(both[row, column], own[row], own[column] - both[row, column], units - own[row])
    q = np.full(both.shape, np.nan)
    # A label of no unit, or of every unit, is independent of all others.
    q[row, column] = q[column, row] = adjust_for_many(np.where(np.isnan(p), 1.0, p))
    return q
