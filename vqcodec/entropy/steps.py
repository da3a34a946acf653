"""Fixed-point steps of what is coded, and what the encoder pays for errors; torch-free, for all to import."""

from __future__ import annotations

VALUE_STEP = 1 / 128
"""Fixed-point step of means, codewords and latents; fine, since at low rates most channels are their mean."""
HYPER_STEP = 1 / 32
"""Fixed-point step of z."""
SLOPE = 6.0
"""Weight w of a squared error in training: that of an ideal quantiser with unit steps at high rate."""
GREEDY_SLOPES = {1: 9.0, 2: 7.2}
"""Weight w by size of group, where it differs, for an encoder that chooses codewords greedily. Small groups
hold the strong channels that later passes are predicted from, so errors there cost more than they show
(`vqcodec.compress.refine` sees those costs itself)."""


def greedy_slope(size: int) -> float:
    """Weight w of a squared error for greedily chosen codewords of groups of `size` channels."""
    return GREEDY_SLOPES.get(size, SLOPE)
