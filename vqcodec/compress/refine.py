"""The encoder's search beyond the greedy choice: move the latent until rate and error stop falling.

The quantiser takes y = g_a(x) for its target and prices an error at w |y - y_hat|^2, whatever g_s makes of it
and whatever later passes have to pay for it. Here both are asked for: with g the gradient at y_hat of

    D(y_hat) + sum of the free energies of the passes,      D = lambda(t) 255^2 SSE ln 2 in nats,

the target moves a part b of the way to where a quadratic of the quantiser's own curvature has its minimum,

    y <- y + b (y_hat - g / 2w - y),

and everything is quantised again: proximal gradient descent with the quantiser as the proximal step. Were
the quantiser's price the true one, nothing would move. The hyper-latent stays that of g_a(x). Whatever comes
out is an ordinary file; the search is the encoder's own business and need not be exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vqcodec.model.blocks import BLOCK
from vqcodec.model.codebook import SLOPE
from vqcodec.model.precision import transforms_in
from vqcodec.model.prior import put_together
from vqcodec.model.vqvae import lambda_of_level
from vqcodec.tiling import Window, cut, within
from vqcodec.weights.checkpoint import Weights
from vqcodec.weights.restore import restore

EFFORT_STEPS = {5: 5, 6: 7, 7: 11, 8: 18, 9: 30}
"""Quantisations after the first one, by effort; `vqcodec.compress.feedback` does more with fewer."""
FIRST_PARTS, LAST_PARTS = (0.35, 0.8), (0.06, 0.02)
"""The part b at the first and last step, of short and of long searches; it falls geometrically. Constant
parts end up oscillating; a long search gains a fifth more when it starts too boldly (measured)."""
LONG = 20
"""Steps from which a search is long; between, the parts go over into each other."""
WINDOW = 24
"""Side in blocks of the pieces that are refined one by one; it bounds memory (about 0.4 GB with the halo)."""
HALO = 4
"""Blocks around a piece that are refined with it and then dropped: blocks overlap, and g_s looks further."""
ALIGNMENT = 4
"""Pieces begin where a position of the hyper-latent and the rows and columns of all passes do."""


def parts(steps: int) -> Iterator[float]:
    """The parts b of a search of `steps` steps."""
    long = min((steps - 1) / (LONG - 1), 1)
    first, last = (a * (b / a) ** long for a, b in (FIRST_PARTS, LAST_PARTS))
    for i in range(steps):
        yield first * (last / first) ** (i / max(steps - 1, 1))


def windows(count: int) -> list[Window]:
    """Pieces of `count` latent positions, see `WINDOW`, `HALO` and `ALIGNMENT`."""
    return cut(count, WINDOW, ALIGNMENT, HALO)


def trusted(places: tuple[slice, slice], shape: tuple[int, int]) -> Tensor:
    """Mask (1, 1, h, w) of a piece of a latent of `shape`: 0 in its outermost blocks inside the picture.

    There the neighbours are missing that g_s needs, and the error says nothing.
    """
    axes = []
    for place, count in zip(places, shape, strict=True):
        axis = torch.ones(place.stop - place.start)
        axis[0] = float(place.start == 0)
        axis[-1] = float(place.stop == count) * axis[-1]
        axes.append(axis)
    return torch.outer(*axes)[None, None]


def _pixels(place: slice) -> slice:
    return slice(place.start * BLOCK, place.stop * BLOCK)


class Refiner:
    """Searches with the real-valued twin of one set of weights."""

    def __init__(self, weights: Weights, device: str = "cpu", bf16: bool = False) -> None:
        """Build the twin.

        Args:
            bf16: see `vqcodec.model.precision`.

        Raises:
            ModelNotFound: the weights' coding arrays do not fit their configuration.
        """
        with torch.inference_mode(False):
            self.model = restore(weights).to(device).eval().requires_grad_(False)
        self.model.set_exact(True)
        self._bf16 = bf16
        if bf16:
            self.model.quantizer.gradient_dtype = torch.bfloat16

    def refine(self, x: Tensor, y: Tensor, level: Tensor, effort: int) -> Tensor:
        """A better target than y (1, M, h, w) for the picture x (1, 3, 16h, 16w) at level (1,) in [0, 1].

        Args:
            effort: one of `EFFORT_STEPS`.
        """
        steps = EFFORT_STEPS[effort]
        # Callers run in inference mode, whose tensors take no part in gradients; copies made outside it do.
        with torch.inference_mode(False):
            x, y = x.clone(), y.clone()
        result = y.clone()
        for rows, wide in windows(y.shape[2]):
            for columns, broad in windows(y.shape[3]):
                mask = trusted((wide, broad), (y.shape[2], y.shape[3])).to(y.device)
                pixels = x[:, :, _pixels(wide), _pixels(broad)]
                outer = (slice(None), slice(None), wide, broad)
                refined = self._window(pixels, result[outer], y[outer], level, steps, mask)
                result[:, :, rows, columns] = refined[:, :, within(rows, wide), within(columns, broad)]
        return result

    def _window(
        self, x: Tensor, target: Tensor, y: Tensor, level: Tensor, steps: int, mask: Tensor
    ) -> Tensor:
        best, least = target, math.inf
        for part in (*parts(steps), 0.0):
            y_hat, gradient, cost = self._evaluate(x, target, y, level, mask)
            if cost < least:
                best, least = target, cost
            target = target + part * mask * (y_hat - gradient / (2 * SLOPE) - target)
        return best

    def _evaluate(
        self, x: Tensor, target: Tensor, y: Tensor, level: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, float]:
        """Quantised latent, gradient of the objective there, and J in nats: error plus rate."""
        h, w = target.shape[-2:]
        seen: list[Tensor] = []

        def watch(value: Tensor) -> Tensor:
            seen.append(value.detach().requires_grad_())
            return seen[-1]

        with torch.inference_mode(False), torch.enable_grad():
            y_hat, hyper, passes = self.model.quantise(target, level, hyper_of=y, watch=watch)
            pixels = mask.clone().repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
            with transforms_in(self._bf16, x.device.type):
                decoded = self.model.synthesise(y_hat, level)
            error = (decoded - x).mul(pixels).square().sum() / 3
            distortion = lambda_of_level(level) * 255**2 * error * math.log(2)
            energy = torch.stack([p.energy.sum() for p in passes]).sum()
            gradients = torch.autograd.grad(distortion.sum() + energy, seen)
        rate = hyper.rate.sum() + torch.stack([p.rate.sum() for p in passes]).sum()
        cost = float(distortion.detach().sum() + rate.detach())
        slices = len(self.model.prior.slices)
        by_pass = [torch.cat(gradients[n : n + slices], 1) for n in range(0, len(gradients), slices)]
        gradient = put_together(by_pass)[:, :, :h, :w]
        return y_hat.detach(), gradient, cost
