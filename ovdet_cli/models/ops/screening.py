"""Which regions any text could lift above a score: products in half precision, with a bound on what they may be off.

Of 128 regions of a picture and 21,000 texts few reach a threshold; bfloat16 finds out which in a fifth of the time that
exact products take. What is left out could not have reached it, so that nothing changes but the time.
"""

# R regions, S sets of features a region has, C texts, D embedding width

import platform
from collections.abc import Callable, Iterator
from functools import cache, cached_property

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

_WORTH_IT = 40_000_000
"""Multiplications below which the exact products are as fast."""
_FIRST = 2048
"""Texts that come first: where most regions reach the score anyway, these show it."""
_AT_ONCE = 1 << 24
"""Products that are in memory together: 32 MB."""
# What a product of two vectors may be off in bfloat16, over their lengths: 2^-9 for each of the two (8 bits, rounded),
# 2^-9 for the product, rounded too, and 2^-11 for sums of up to 4096 numbers in float32 and what all cause together.
_OFF = 3 * 2.0**-9 + 2.0**-11
_MOST_WIDE = 4096


class TextTable:
    """Texts as a cosine classifier multiplies with them: (P, D) of unit length, or (S, P, D) as they came."""

    def __init__(self, texts: Tensor) -> None:
        self.texts = F.normalize(texts, dim=1) if texts.dim() == 2 else texts

    def of_set(self, number: int) -> Tensor:
        """The texts (C, D) of a set of features."""
        return self.texts if self.texts.dim() == 2 else self.texts[number]

    @cached_property
    def longest(self) -> Tensor:
        """The length of the longest text of each set, (S,) or (1,) where all share them."""
        lengths: Tensor = self.texts.norm(dim=-1).amax(dim=-1)
        return lengths.reshape(-1)

    @cached_property
    def _halves(self) -> Tensor:
        return self.texts.bfloat16()

    def highest(self, halves_RSD: Tensor, begin: int, end: int) -> Tensor:
        """The highest products (R, S) of features in bfloat16 with the texts from `begin` to `end`."""
        # Texts first: the maximum down a column is several times faster than along a row of bfloat16.
        if self.texts.dim() == 2:
            flat = halves_RSD.flatten(0, 1)
            return (self._halves[begin:end] @ flat.T).amax(dim=0).float().view(halves_RSD.shape[:2])
        sets = (texts[begin:end] @ halves_RSD[:, s].T for s, texts in enumerate(self._halves))
        return torch.stack([products.amax(dim=0).float() for products in sets], dim=1)


_tables: WeakIdKeyDictionary = WeakIdKeyDictionary()


def table_of(texts: Tensor) -> TextTable:
    """The table of some texts: for many pictures made once, and gone when they are."""
    if not torch.is_inference_mode_enabled():
        return TextTable(texts)
    version = 0 if texts.is_inference() else texts._version
    if (known := _tables.get(texts)) is None or known[0] != version:
        known = _tables[texts] = (version, TextTable(texts))
    return known[1]


@cache
def has_fast_halves() -> bool:
    """Whether the processor multiplies bfloat16 itself: by other means that is slower than float32."""
    tell = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return platform.machine() in ("x86_64", "AMD64") and tell is not None and bool(tell())


def is_worth_it(features_RSD: Tensor, num_texts: int) -> bool:
    """Whether to ask `may_reach` before the exact products."""
    return (
        features_RSD.device.type == "cpu"
        and features_RSD.dtype == torch.float32
        and features_RSD.numel() * num_texts >= _WORTH_IT
        and features_RSD.shape[2] <= _MOST_WIDE
        and has_fast_halves()
    )


def may_reach(features_RSD: Tensor, table: TextTable, reaches: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Which regions (bool (R,)) some text may lift high enough; all that one does are among them.

    reaches: (rows of regions, the highest product (., S) that they may have in each set) -> which of these are high
    enough if one text has all of them.
    """
    halves = features_RSD.bfloat16()
    lengths_RS = torch.linalg.vector_norm(features_RSD, dim=2)
    rows = torch.arange(len(features_RSD))
    best_RS = torch.full(lengths_RS.shape, float("-inf"))
    found_R = torch.zeros(len(rows), dtype=torch.bool)
    for begin, end in _parts(table.texts.shape[-2], halves.shape[0] * halves.shape[1]):
        own = halves if len(rows) == len(halves) else halves[rows]
        most_RS = table.highest(own, begin, end) + _OFF * table.longest * lengths_RS[rows]
        best_RS[rows] = torch.maximum(best_RS[rows], most_RS)
        is_high = reaches(rows, best_RS[rows])
        found_R[rows[is_high]] = True
        rows = rows[~is_high]
        if not len(rows):
            break
    return found_R


def _parts(count: int, num_vectors: int) -> Iterator[tuple[int, int]]:
    """Pieces of many texts, each four times as long as the one before while memory allows."""
    begin, size, most = 0, _FIRST, max(_AT_ONCE // max(num_vectors, 1), 1)
    while begin < count:
        size = min(size, most)
        # A short rest is no piece of its own.
        end = count if count - begin <= min(2 * size, most) else begin + size
        yield begin, end
        begin, size = end, 4 * size
