"""Efforts 2 to 4: code again with targets that make up for the decoded picture's error.

The step is that of `vqcodec.compress.refine` without the rate's gradient, which needs the real-valued prior
and several times the time; efforts 5 to 9 end with such steps too. The result of the least error plus rate,
by the coded bytes, is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vqcodec.compress.search import TileSegments, rate_in_nats
from vqcodec.compress.source import PaddedPixels
from vqcodec.model.codebook import SLOPE
from vqcodec.model.precision import transforms_in
from vqcodec.model.vqvae import Transforms, lambda_of_level
from vqcodec.tiling import BLOCK, Place, at, windows

EFFORT_STEPS = {5: 5, 6: 7, 7: 11, 8: 18, 9: 30}
"""Steps of `vqcodec.compress.refine` by effort, before any part b here."""
AFTER_REFINING = (0.1, 0.05)
"""The parts b after `vqcodec.compress.refine`, whose rate is an estimate without class offsets."""
PARTS: dict[int, tuple[float, ...]] = {
    2: (0.25,),
    3: (0.35, 0.2, 0.12),
    4: (0.4, 0.25, 0.15, 0.1, 0.06),
    **dict.fromkeys(EFFORT_STEPS, AFTER_REFINING),
}
"""The parts b by effort; falling ones gain more than constant ones."""
FEEDBACK_SIDE = 48
"""Side in blocks of the windows that go through g_s and back at once; it bounds memory."""
FEEDBACK_HALO = 6
"""Blocks around a window whose errors are looked at with it."""


class Feedback:
    """Errors of decoded latents of one picture at one level, and the better targets that follow."""

    def __init__(self, transforms: Transforms, source: PaddedPixels, t: Tensor, bf16: bool = False) -> None:
        """t (1,) in [0, 1]; bf16: see `vqcodec.model.precision`."""
        self._transforms, self._source, self._t = transforms, source, t
        self._bf16 = bf16
        self._price = float(lambda_of_level(t)) * 255**2 * math.log(2) / 3

    def search(
        self,
        code: Callable[[Tensor, Tensor], tuple[TileSegments, Tensor]],
        target: Tensor,
        y: Tensor,
        parts: tuple[float, ...],
    ) -> tuple[TileSegments, Tensor]:
        """Code a target (1, M, h, w) and then as many better ones as there are parts.

        Args:
            code: codes a target, given y too; returns segments and the latent that they decode to.
            target: the first one.
            y: the latent alike.

        Returns:
            What `code` returned for the target of the least cost, error plus rate.
        """
        target, best, least = target.clone(), None, math.inf
        for part in (*parts, 0.0):
            found, y_hat = code(target, y)
            cost = self.move(target, y_hat, part) + rate_in_nats(found)
            if best is None or cost < least:
                best, least = (found, y_hat), cost
        assert best is not None
        return best

    def move(self, target: Tensor, y_hat: Tensor, part: float) -> float:
        """Move a target a part of the way, in place; return D(y_hat) in nats. Both are (1, M, h, w)."""
        total = 0.0
        for window in windows(self._source.shape, FEEDBACK_SIDE, FEEDBACK_HALO):
            # Callers run in inference mode, whose tensors take no part in gradients; copies do.
            with torch.inference_mode(False), torch.set_grad_enabled(part > 0):
                value = y_hat[at(window.outer)].clone().requires_grad_(part > 0)
                squares = self._squares(value, window.outer)
                if part > 0:
                    (gradient,) = torch.autograd.grad(self._price * squares.sum(), value)
            inner = at(window.inner)
            if part > 0:
                best = y_hat[inner] - window.crop(gradient) / (2 * SLOPE)
                target[inner] += part * (best - target[inner])
            total += float(window.scaled(BLOCK).crop(squares.detach()).sum())
        return self._price * total

    def _squares(self, y_hat: Tensor, place: Place) -> Tensor:
        """Squared errors (1, 3, 16h, 16w) of a piece; none of what lies behind the picture's edge."""
        x = self._source.window(place)
        with transforms_in(self._bf16, x.device.type):
            decoded = self._transforms.synthesise(y_hat, self._t)
        squares = (decoded - x).square()
        height, width = self._source.pixels.shape[:2]
        squares[:, :, height - BLOCK * place[0].start :] = 0
        squares[:, :, :, width - BLOCK * place[1].start :] = 0
        return squares
