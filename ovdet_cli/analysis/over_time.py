"""When posts with a label came: units by label, account and bin of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
import pyarrow as pa

from ovdet_cli.analysis.labels import LabelTable
from ovdet_cli.analysis.store import Store
from ovdet_cli.analysis.time_bins import BinSize, bin_size, local_bins
from ovdet_cli.errors import UsageError

OTHERS = "(others)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Labels, accounts and bins of a cube, the richest that has no more cells than the page can carry.
_MOST_CELLS = 60_000
_MOST_BINS = 20_000
_SECONDS = {"hour": 3600, "day": 86400, "week": 604800, "month": 2629800}
_CUBES = ((200, 50, 120), (200, 20, 120), (100, 20, 60), (60, 10, 60), (40, 5, 40), (30, 0, 40))


def from_microseconds(time_us: int) -> datetime:
    """The instant, aware, UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Bins:
    """Stretches of time: bin i is from edge i to before edge i + 1; edges aware, UTC."""

    size: BinSize
    edges: list[datetime]

    @property
    def starts(self) -> list[datetime]:
        """Where each begins."""
        return self.edges[:-1]


def make_bins(store: Store, zone: tzinfo, size: BinSize | None = None) -> Bins | None:
    """Bins that hold all units' times, and table bin_of (unit_id, bin).

    None where no unit has a time, or all fall into one bin.

    A few units far from all others (a wrong clock) do not stretch them: the bins begin and end where the 0.1 and 99.9
    percentiles lie, the outliers falling into the first and last one, if the whole span were many times longer.

    Raises:
        UsageError: of that size there would be too many.
    """
    first, last, low, high = store.rows(
        """SELECT min(time_us), max(time_us), quantile_disc(time_us, 0.001), quantile_disc(time_us, 0.999)
        FROM unit WHERE time_us IS NOT NULL"""
    )[0]
    store.put("bin_of", pa.table({"unit_id": pa.array([], pa.int32()), "bin": pa.array([], pa.int32())}))
    if first is None:
        return None
    if last - first > 5 * max(high - low, 3_600_000_000):
        first, last = low, high
    begin, end = from_microseconds(first), from_microseconds(last)
    size = size or bin_size(begin, end, count=store.number("SELECT count(*) FROM unit WHERE time_us IS NOT NULL"))
    if (end - begin).total_seconds() > _MOST_BINS * _SECONDS[size]:
        raise UsageError(f"--bins {size}: the posts span {(end - begin).days:,} days, which is too many {size}s")
    edges = local_bins(begin, end, zone, size)
    if len(edges) < 3:  # all at one time
        return None
    starts = np.array([to_microseconds(edge) for edge in edges[:-1]], np.int64)
    times = store.columns("SELECT unit_id, time_us FROM unit WHERE time_us IS NOT NULL")
    bins = np.maximum(np.searchsorted(starts, times["time_us"], side="right") - 1, 0)
    store.put("bin_of", pa.table({"unit_id": pa.array(times["unit_id"]), "bin": pa.array(bins, pa.int32())}))
    return Bins(size, edges)


def units_by_bin(store: Store, bins: Bins) -> np.ndarray:
    """int64 (B,): analysed units in each bin."""
    counts = np.zeros(len(bins.starts), np.int64)
    for place, count in store.rows("SELECT bin, count(*) FROM bin_of GROUP BY bin"):
        counts[place] = count
    return counts


def bin_table(store: Store, bins: Bins, zone: tzinfo) -> pa.Table:
    """start, units, label, with_label: how many units of each bin hold each label; bins without any are left out."""
    starts = [edge.astimezone(zone).isoformat(timespec="minutes") for edge in bins.starts]
    store.put(
        "bin_start", pa.table({"bin": pa.array(range(len(starts)), pa.int32()), "start": pa.array(starts, pa.string())})
    )
    return store.table(
        """SELECT start, total.units, l.name AS label, count(*) AS with_label
        FROM presence JOIN bin_of USING (unit_id) JOIN label l USING (label_id) JOIN bin_start USING (bin)
        JOIN (SELECT bin, count(*) AS units FROM bin_of GROUP BY bin) total USING (bin)
        GROUP BY bin, start, total.units, label ORDER BY bin, with_label DESC, label"""
    )


@dataclass(frozen=True, eq=False)
class Cube:
    """Units that hold a label, by account and bin, sparse; base_* all units.

    label: places in the label table. bin: -1 where a unit has no time.
    """

    accounts: list[str]
    label: np.ndarray
    account: np.ndarray
    bin: np.ndarray
    units: np.ndarray
    base_account: np.ndarray
    base_bin: np.ndarray
    base_units: np.ndarray


def make_cube(store: Store, table: LabelTable) -> Cube:
    """As many labels and accounts as the page can carry; the rest of the accounts are the last one."""
    num_bins = store.number("SELECT coalesce(max(bin) + 1, 0) FROM bin_of")
    whole = _whole_cube(store, table.label_ids[: _CUBES[0][0]].tolist(), _CUBES[0][1])
    for labels, accounts, most_bins in _CUBES:
        cube = _smaller(whole, labels, accounts)
        if num_bins <= most_bins and len(cube.units) <= _MOST_CELLS:
            return cube
    while len(cube.units) > _MOST_CELLS:
        labels //= 2
        cube = _smaller(whole, labels, accounts)
    return cube


def _whole_cube(store: Store, label_ids: list[int], num_accounts: int) -> Cube:
    top = store.rows(
        "SELECT account FROM unit WHERE account IS NOT NULL GROUP BY account ORDER BY count(*) DESC, account LIMIT ?",
        num_accounts,
    )
    names = [row[0] for row in top]
    ranks = {"name": pa.array(names, pa.string()), "rank": pa.array(range(len(names)), pa.int32())}
    store.put("account_rank", pa.table(ranks))
    places = {"label_id": pa.array(label_ids, pa.int32()), "place": pa.array(range(len(label_ids)), pa.int32())}
    store.put("label_place", pa.table(places))
    store.run(
        """CREATE OR REPLACE TABLE cell_of AS SELECT u.unit_id, coalesce(r.rank, ?)::INTEGER AS account,
        coalesce(b.bin, -1)::INTEGER AS bin
        FROM unit u LEFT JOIN account_rank r ON r.name = u.account LEFT JOIN bin_of b USING (unit_id)""",
        len(names),
    )
    cells = store.columns(
        """SELECT place, account, bin, count(*) AS units FROM presence JOIN label_place USING (label_id)
        JOIN cell_of USING (unit_id) GROUP BY ALL ORDER BY ALL"""
    )
    base = store.columns("SELECT account, bin, count(*) AS units FROM cell_of GROUP BY ALL ORDER BY ALL")
    return Cube([*names, OTHERS], *cells.values(), *base.values())


def _smaller(cube: Cube, labels: int, accounts: int) -> Cube:
    """Only the first labels and accounts of a cube; the other accounts are one."""
    accounts = min(accounts, len(cube.accounts) - 1)
    is_kept = cube.label < labels
    names = [*cube.accounts[:accounts], OTHERS]
    cells = (cube.label[is_kept], np.minimum(cube.account[is_kept], accounts), cube.bin[is_kept])
    base = (np.minimum(cube.base_account, accounts), cube.base_bin)
    return Cube(names, *_summed(cells, cube.units[is_kept]), *_summed(base, cube.base_units))


def _summed(keys: Sequence[np.ndarray], counts: np.ndarray) -> list[np.ndarray]:
    """Different keys in order, an array a part, and the sums of their counts. Parts are -1 or more."""
    shape = tuple(int(part.max(initial=0)) + 2 for part in keys)
    joined = np.ravel_multi_index(tuple(part + 1 for part in keys), shape)
    different, place = np.unique(joined, return_inverse=True)
    parts = [part - 1 for part in np.unravel_index(different, shape)]
    return [*parts, np.bincount(place, counts, len(different)).astype(np.int64)]
