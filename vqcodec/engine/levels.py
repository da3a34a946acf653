"""What depends on the quality level, in float64 operations that are rounded alike on every machine.

numpy's exp, sums and matrix products are not: they differ by processor and library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.types import LEVEL_MAX

Level = int | tuple[int, ...]
"""0..252, or that of each picture of a batch."""
LN2 = 0.6931471805599453
_TERMS = 16
"""Of the exponential series on [-LN2 / 2, LN2 / 2]: more than float64 shows."""


def between_knots(table: NDArray[Any], level: int) -> NDArray[np.float64]:
    """The row at a level 0..252 of a table (knots, n) whose knots are spread evenly over the dial."""
    last = len(table) - 1
    knot, rest = divmod(level * last, LEVEL_MAX)
    part = rest / LEVEL_MAX
    row: NDArray[np.float64] = table[knot].astype(np.float64)
    return row * (1 - part) + table[min(knot + 1, last)].astype(np.float64) * part


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e to the power of x, |x| < 700."""
    halvings = np.rint(x * (1 / LN2))
    rest = x - halvings * LN2
    total = np.ones_like(rest)
    for n in range(_TERMS, 0, -1):
        total = total * rest / n + 1
    return np.ldexp(total, halvings.astype(np.int32))
