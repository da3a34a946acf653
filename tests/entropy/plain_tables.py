"""Tables all at once, and what their symbols cost: what lazy tables and integer prices are held against."""

from __future__ import annotations

import numpy as np

from vqcodec.entropy.tables import TOTAL_BITS


def combine_rows(rows: np.ndarray, bins: tuple[int, ...]) -> np.ndarray:
    """Rows (..., sum of bins, K) uint8 to the codes (..., product of bins, K) uint8 of all classes.

    Classes count up with the last context number first.
    """
    total = np.zeros((*rows.shape[:-2], 1, rows.shape[-1]), dtype=np.int16)
    start = 0
    for count in bins:
        part = rows[..., start : start + count, :].astype(np.int16)
        start += count
        total = (total[..., :, None, :] + part[..., None, :, :]).reshape(*rows.shape[:-2], -1, rows.shape[-1])
    total -= total.min(axis=-1, keepdims=True)
    return np.minimum(total, 255).astype(np.uint8)


def nats_from_counts(counts: np.ndarray) -> np.ndarray:
    """-ln(count / 2**24) as float32: what a symbol costs."""
    return (TOTAL_BITS * np.log(2.0) - np.log(counts)).astype(np.float32)
