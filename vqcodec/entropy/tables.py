"""Integer probability tables.

A table of K counts sums to 2**24 with every entry >= 1. The weights file stores one row of K bytes for
each value of each context number, codes on a logarithmic scale; those of a class (u0, u1, ...) add up,
and a shipped table of 256 unsigned integers turns the sum to weights:

    s_k = sum over i of row_i[u_i, k];  v_k = min(s_k - min s, 255);  w_k = POWERS[v_k]
    count_k = 1 + floor(w_k * (2**24 - K) / sum w);  the rest goes to the largest (the first of them on a tie)

All of it is 64-bit integer arithmetic, so every machine builds the same counts.
"""

from __future__ import annotations

import numpy as np

TOTAL_BITS = 24
TOTAL = 1 << TOTAL_BITS
CERTAIN_BITS = 13
CODE_NATS = 17.0 / 255
"""Step of the code: 256 codes span e**-17, a little below one count of 2**24."""


def make_powers() -> np.ndarray:
    """The table POWERS (256,) uint32 that an export ships: round(2**31 * exp(-v * CODE_NATS))."""
    return np.round(2.0**31 * np.exp(-CODE_NATS * np.arange(256))).astype(np.uint32)


def add_rows(
    rows: np.ndarray, bins: tuple[int, ...], groups: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (G, sum of bins, K) uint8 of some classes (n,) of groups (n,) added up.

    Returns:
        Their codes (n, K) uint8, and the least sums (n,) that were taken off.
    """
    total, start = np.zeros((len(groups), rows.shape[2]), dtype=np.int16), rows.shape[1]
    for count in reversed(bins):
        start -= count
        classes, number = np.divmod(classes, count)
        total += rows[groups, start + number]
    least = total.min(axis=-1)
    return np.minimum(total - least[:, None], 255).astype(np.uint8), least


def encode_logits(logits: np.ndarray) -> np.ndarray:
    """Logits (..., K) to codes uint8: 0 for the largest of a row; used at export only."""
    nats = logits.max(axis=-1, keepdims=True) - logits
    return np.clip(np.round(nats / CODE_NATS), 0, 255).astype(np.uint8)


def encode_probabilities(p: np.ndarray) -> np.ndarray:
    """Probabilities (..., K) to codes uint8; used at export only, where floats are harmless."""
    return encode_logits(np.log(np.maximum(p, 1e-30)))


def certain_words(codes: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The codeword int32 that is certain in each table of codes (n, K) uint8, or -1 in tables without one.

    It is certain where all other codewords together weigh at most 2**-CERTAIN_BITS of it.
    """
    most = int(powers[0]) + (int(powers[0]) >> CERTAIN_BITS)
    certain = powers.astype(np.int64)[codes].sum(-1) <= most
    return np.where(certain, codes.argmin(-1), -1).astype(np.int32)


def counts_from_codes(codes: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Codes (..., K) uint8 to counts (..., K) int64 that sum to 2**24, every entry >= 1."""
    weight = powers.astype(np.int64)[codes]
    counts = 1 + weight * (TOTAL - codes.shape[-1]) // weight.sum(axis=-1, keepdims=True)
    rest = TOTAL - counts.sum(axis=-1, keepdims=True)
    first_largest = counts.argmax(axis=-1)[..., None]
    np.put_along_axis(counts, first_largest, np.take_along_axis(counts, first_largest, -1) + rest, -1)
    return counts


def perplexity(counts: np.ndarray) -> np.ndarray:
    """exp(entropy) of counts (..., K) -> (...): how many equally likely codewords are as hard to guess."""
    total = counts.sum(axis=-1, keepdims=True)
    p = counts / np.maximum(total, 1)
    return np.exp(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=-1))
