"""Efforts 5 to 9: move the quantiser's target until rate and error stop falling.

The quantiser takes y = g_a(x) for its target and prices an error at w |y - y_hat|^2, whatever g_s makes of it
and whatever later passes have to pay for it. Here both count: with g the gradient at y_hat of

    D(y_hat) + sum of the free energies of the passes,      D = lambda(t) 255^2 E ln 2 in nats,

with E the error by the tune (`vqcodec.compress.distortion`),

the target moves a part b of the way to where a quadratic has its minimum that is k times as steep as the
quantiser's own, with k by channel (`vqcodec.compress.feedback.curvature`),

    target <- target + b (y_hat - g / 2wk - target),

and everything is quantised again: proximal gradient descent with the quantiser as the proximal step. The
hyper-latent stays that of g_a(x). The result is an ordinary file; the search need not be exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from vqcodec.compress.distortion import Distortion
from vqcodec.compress.feedback import curvature, to_array, to_tensor
from vqcodec.devices import resolve_device
from vqcodec.model.codebook import SLOPE
from vqcodec.model.dial import lambda_of_level
from vqcodec.model.prior import put_together
from vqcodec.tiling import BLOCK, Place, at, windows
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.loaded import LoadedModel
from vqcodec.weights.restore import restore

FIRST_PARTS, LAST_PARTS = (0.35, 0.8), (0.06, 0.02)
"""The part b at the first and last step, of short and of long searches; it falls geometrically, because
constant parts end up oscillating."""
LONG = 20
"""Steps from which a search is long; between, the parts are interpolated."""
REFINE_SIDE = 24
"""Side in blocks of the windows that are refined one by one; it bounds memory."""
REFINE_HALO = 4
"""Blocks around a window that are refined with it and then dropped: g_s looks further than a window."""
REFINE_ALIGN = 4
"""Windows begin where a position of the hyper-latent and the rows and columns of all passes do."""


def parts(steps: int) -> Iterator[float]:
    """The parts b of a search of `steps` steps."""
    long = min((steps - 1) / (LONG - 1), 1)
    first, last = (a * (b / a) ** long for a, b in (FIRST_PARTS, LAST_PARTS))
    for i in range(steps):
        yield first * (last / first) ** (i / max(steps - 1, 1))


def trusted(place: Place, shape: tuple[int, int]) -> Tensor:
    """Mask (1, 1, h, w) that leaves out a window's border blocks, where g_s lacks context.

    Borders of the latent, of `shape`, are kept.
    """
    axes = []
    for part, count in zip(place, shape, strict=True):
        axis = torch.ones(part.stop - part.start)
        axis[0] = float(part.start == 0)
        axis[-1] = float(part.stop == count) * axis[-1]
        axes.append(axis)
    return torch.outer(*axes)[None, None]


class Refiner:
    """Searches with the model restored from its weights, whose prior has gradients."""

    # Tensors of a caller's inference mode would take no part in gradients.
    @torch.inference_mode(False)
    def __init__(self, model: LoadedModel) -> None:
        """Restore the model.

        Raises:
            ModelNotFound: the weights' coding arrays do not fit their configuration.
        """
        self.model = restore(model).to(resolve_device(model.device)[0]).eval().requires_grad_(False)
        self.model.set_exact(True)
        self._tune = model.tune

    @torch.inference_mode(False)
    def refine(self, pixels: np.ndarray, latent: np.ndarray, level: int, steps: int) -> np.ndarray:
        """A better target than the latent (h, w, M) for pixels (16h, 16w, 3) uint8 at a level 0..252.

        Args:
            steps: quantisations after the first one.
        """
        device = self.model.log_gain.device
        x, y = to_tensor(pixels, device) / 255, to_tensor(latent, device)
        t = torch.tensor([level / LEVEL_MAX], device=device)
        result = y.clone()
        shape = y.shape[2], y.shape[3]
        for window in windows(shape, REFINE_SIDE, REFINE_HALO, REFINE_ALIGN):
            outer = at(window.outer)
            mask = trusted(window.outer, shape).to(y.device)
            part = x[at(window.scaled(BLOCK).outer)]
            refined = self._window(part, result[outer], y[outer], t, steps, mask)
            result[at(window.inner)] = window.crop(refined)
        return to_array(result)

    def _window(self, x: Tensor, target: Tensor, y: Tensor, t: Tensor, steps: int, mask: Tensor) -> Tensor:
        best, least, distortion = target, math.inf, Distortion(self._tune)
        for part in (*parts(steps), 0.0):
            y_hat, gradient, cost = self._evaluate(x, target, y, t, mask, distortion)
            if cost < least:
                best, least = target, cost
            steepness = curvature(gradient * mask, (y_hat - y) * mask)
            target = target + part * mask * (y_hat - gradient / (2 * SLOPE * steepness) - target)
        return best

    def _evaluate(
        self, x: Tensor, target: Tensor, y: Tensor, t: Tensor, mask: Tensor, measure: Distortion
    ) -> tuple[Tensor, Tensor, float]:
        """Quantised latent, gradient of the objective there, and J in nats: error plus rate."""
        h, w = target.shape[-2:]
        seen: list[Tensor] = []

        def watch(value: Tensor) -> Tensor:
            seen.append(value.detach().requires_grad_())
            return seen[-1]

        with torch.enable_grad():
            y_hat, hyper, passes = self.model.quantise(target, t, hyper_of=y, watch=watch)
            pixels = mask.clone().repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
            decoded = self.model.synthesise(y_hat, t)
            error = measure(x, decoded, (decoded - x).mul(pixels).square().sum()) / 3
            distortion = lambda_of_level(t) * 255**2 * error * math.log(2)
            energy = torch.stack([p.energy.sum() for p in passes]).sum()
            gradients = torch.autograd.grad(distortion.sum() + energy, seen)
        rate = hyper.rate.sum() + torch.stack([p.rate.sum() for p in passes]).sum()
        cost = float(distortion.detach().sum() + rate.detach())
        slices = len(self.model.prior.slices)
        by_pass = [torch.cat(gradients[n : n + slices], 1) for n in range(0, len(gradients), slices)]
        gradient = put_together(by_pass)[:, :, :h, :w]
        return y_hat.detach(), gradient, cost
