"""Pairs with the largest sum of gains: an exact assignment, without a further dependency."""

# R rows, C columns

import numpy as np


def assign(gains_RC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of the pairs of positive gain, each row and column once at most, with the largest sum.

    int64 (P,) each, by row. A pair that must not be has a gain of 0 or less, also -inf.
    """
    gains = np.maximum(gains_RC, 0)
    if not gains.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = _lone_pairs(gains)
    # Most objects are far from all others: only the rest is a problem.
    left_rows = np.setdiff1d(np.flatnonzero(gains.any(axis=1)), rows)
    left_columns = np.setdiff1d(np.flatnonzero(gains.any(axis=0)), columns)
    if len(left_rows) and len(left_columns):
        part = gains[np.ix_(left_rows, left_columns)]
        pairs = _shortest_paths(-part) if len(left_rows) <= len(left_columns) else _shortest_paths(-part.T)[::-1]
        is_gain = part[pairs[0], pairs[1]] > 0
        rows = np.concatenate([rows, left_rows[pairs[0][is_gain]]])
        columns = np.concatenate([columns, left_columns[pairs[1][is_gain]]])
    order = np.argsort(rows)
    return rows[order], columns[order]


def _lone_pairs(gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of which neither has another choice."""
    is_gain = gains > 0
    is_lone = is_gain & (is_gain.sum(axis=1, keepdims=True) == 1) & (is_gain.sum(axis=0, keepdims=True) == 1)
    rows, columns = np.nonzero(is_lone)
    return rows, columns


def _shortest_paths(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) that give every row a column at the least sum; no more rows than columns.

    Shortest augmenting paths, one row after another: D. F. Crouse, "On implementing 2D rectangular assignment
    algorithms" (IEEE TAES 52, 2016). As good as SciPy's linear_sum_assignment: the sums are the same.
    """
    num_rows, num_columns = costs.shape
    row_price, column_price = np.zeros(num_rows), np.zeros(num_columns)
    column_of, row_of = np.full(num_rows, -1), np.full(num_columns, -1)
    for row in range(num_rows):
        shortest = np.full(num_columns, np.inf)
        before = np.full(num_columns, -1)  # the row from which each column is reached
        is_open = np.ones(num_columns, bool)
        visited = [row]
        at, length = row, 0.0
        while True:
            reached = length + costs[at] - row_price[at] - column_price
            is_shorter = is_open & (reached < shortest)
            shortest[is_shorter], before[is_shorter] = reached[is_shorter], at
            open_lengths = np.where(is_open, shortest, np.inf)
            length = open_lengths.min()
            nearest = np.flatnonzero(open_lengths == length)
            free = nearest[row_of[nearest] < 0]
            column = int(free[0] if len(free) else nearest[0])
            is_open[column] = False
            if row_of[column] < 0:
                break
            at = int(row_of[column])
            visited.append(at)
        row_price[row] += length
        others = np.array(visited[1:], np.int64)
        row_price[others] += length - shortest[column_of[others]]
        closed = ~is_open
        column_price[closed] -= length - shortest[closed]
        while True:  # back along the path, every row on it changes its column
            at = int(before[column])
            row_of[column] = at
            column_of[at], column = column, int(column_of[at])
            if at == row:
                break
    return np.arange(num_rows), column_of
