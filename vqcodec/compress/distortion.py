"""What the encoder's searches take for the error of a decoded picture, by tune.

"psnr": the sum of squared errors S. "eyes": S mixed with e, SSIMULACRA2's weighted error, as in training but
with the picture's own first coding as the reference (S_0, e_0):

    a S + (1 - a) S_0 (e / e_0)^p
"""

from __future__ import annotations

from torch import Tensor

from vqcodec.metrics.ssimulacra2 import SMALLEST, weighted_error

SHARES = {"eyes": 0.6, "psnr": 1.0}
"""a by tune."""
POWER = 0.86
"""p: by it e grows along the dial as squared errors do."""
LEAST = 1e-3
"""Below this, e is an error of nothing that is seen."""


class Distortion:
    """The error of one window, whose first coding is the reference for those that follow."""

    def __init__(self, tune: str) -> None:
        self._share = SHARES[tune]
        self._first: tuple[float, float] | None = None

    def __call__(self, original: Tensor, decoded: Tensor, squares: Tensor) -> Tensor:
        """The error, in units of a sum of squared errors.

        Args:
            original, decoded: (1, 3, H, W) in [0, 1].
            squares: sum of the squared errors that count.
        """
        if self._share == 1 or min(original.shape[2:]) < SMALLEST:
            return squares
        error = weighted_error(original, decoded)[0]
        if self._first is None:
            self._first = float(squares.detach()), float(error.detach())
        first, first_error = self._first
        if first_error < LEAST:
            return squares
        return self._share * squares + (1 - self._share) * first * (error / first_error) ** POWER
