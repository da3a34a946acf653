"""Efforts 2 to 4: code again with targets that make up for the decoded picture's error.

The step is that of `vqcodec.compress.refine` without the rate's gradient, which needs the real-valued prior
and several times the time; efforts 5 to 9 end with such steps too. The result of the least error plus rate,
by the coded bytes, is kept.

Errors are steeper than the quantiser's own price w |y - y_hat|^2: in some channels twice, for eyes up to
twenty times. Steps are therefore shorter by the `curvature` of each channel.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vqcodec.compress.distortion import Distortion
from vqcodec.compress.search import TileSegments, rate_in_nats
from vqcodec.compress.source import PaddedPixels
from vqcodec.model.codebook import SLOPE
from vqcodec.model.dial import lambda_of_level
from vqcodec.model.vqvae import Transforms
from vqcodec.tiling import BLOCK, Place, windows, within
from vqcodec.types import LEVEL_MAX

FEEDBACK_SIDE = 48
"""Side in blocks of the windows that go through g_s and back at once; it bounds memory."""
FEEDBACK_HALO = 6
"""Blocks around a window whose errors are looked at with it."""
SMALLEST_ERROR = 1e-6
"""Mean square below which a channel has no error to speak of."""


class Feedback:
    """Errors of decoded latents of one picture at one level, and the better targets that follow."""

    def __init__(self, networks: Transforms, source: PaddedPixels, level: int, tune: str) -> None:
        """networks: the transforms in floating point; level 0..252; tune: of `Distortion`."""
        self._networks, self._source = networks, source
        self._distortions: dict[tuple[int, int], Distortion] = defaultdict(lambda: Distortion(tune))
        self._t = torch.tensor([level / LEVEL_MAX], device=networks.log_gain.device)
        self._price = float(lambda_of_level(self._t)) * 255**2 * math.log(2) / 3

    def search(
        self,
        code: Callable[[np.ndarray, np.ndarray], tuple[TileSegments, np.ndarray]],
        target: np.ndarray,
        y: np.ndarray,
        parts: tuple[float, ...],
    ) -> tuple[TileSegments, np.ndarray]:
        """Code a target (h, w, M) and then as many better ones as there are parts.

        Args:
            code: codes a target, given y too; returns segments and the latent that they decode to.
            target: the first one.
            y: the latent alike.

        Returns:
            What `code` returned for the target of the least cost, error plus rate.
        """
        target, best, least = target.copy(), None, math.inf
        for part in (*parts, 0.0):
            found, y_hat = code(target, y)
            cost = self.move(target, y_hat, y, part) + rate_in_nats(found)
            if best is None or cost < least:
                best, least = (found, y_hat), cost
        assert best is not None
        return best

    def move(self, target: np.ndarray, y_hat: np.ndarray, y: np.ndarray, part: float) -> float:
        """Move a target a part of the way, in place; return D(y_hat) in nats. All are (h, w, M)."""
        total = 0.0
        for window in windows(self._source.shape, FEEDBACK_SIDE, FEEDBACK_HALO):
            # Tensors of a caller's inference mode would take no part in gradients.
            with torch.inference_mode(False), torch.set_grad_enabled(part > 0):
                value = to_tensor(y_hat[window.outer], self._t.device).requires_grad_(part > 0)
                x, decoded = self._decoded(value, window.outer)
                squares = (decoded - x).square()
                distortion = self._distortions[window.outer[0].start, window.outer[1].start]
                error = distortion(x, decoded, squares.sum())
                if part > 0:
                    (gradient,) = torch.autograd.grad(self._price * error, value)
            if part > 0:
                missed = value.detach() - to_tensor(y[window.outer], self._t.device)
                step = gradient / (2 * SLOPE * curvature(gradient, missed))
                best = y_hat[window.outer] - to_array(step)
                rows, columns = within(window.inner, window.outer)
                target[window.inner] += part * (best[rows, columns] - target[window.inner])
            # The error of a window without its halo: as large a part of it as of the squares.
            squares, whole = squares.detach(), float(squares.detach().sum())
            inner = float(window.scaled(BLOCK).crop(squares).sum())
            total += inner * float(error.detach()) / whole if whole else 0.0
        return self._price * total

    def _decoded(self, y_hat: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """Original and decoded pixels (1, 3, H, W) of a piece, up to the picture's edge."""
        x = to_tensor(self._source.window(place), y_hat.device) / 255
        height, width = self._source.pixels.shape[:2]
        bottom, right = height - BLOCK * place[0].start, width - BLOCK * place[1].start
        decoded = self._networks.synthesise(y_hat, self._t)
        return x[:, :, :bottom, :right], decoded[:, :, :bottom, :right]


def curvature(gradient: Tensor, missed: Tensor) -> Tensor:
    """How many times as steep as the quantiser's price an objective is, by channel: (1, C, 1, 1), at least 1.

    A secant: the root mean square of its gradient over that of the price's own, 2w (y_hat - y).

    Args:
        gradient: of the objective at y_hat, (1, C, h, w).
        missed: y_hat - y, alike.
    """
    squares = missed.square().mean((0, 2, 3), keepdim=True).clamp(min=SMALLEST_ERROR)
    ratio = gradient.square().mean((0, 2, 3), keepdim=True) / (4 * SLOPE**2 * squares)
    return ratio.sqrt().clamp(min=1)


def to_tensor(x: np.ndarray, device: torch.device) -> Tensor:
    """(h, w, C) -> (1, C, h, w) float32 on a device."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32)).to(device)


def to_array(x: Tensor) -> np.ndarray:
    """(1, C, h, w) on a device -> (h, w, C) float32."""
    return np.ascontiguousarray(x[0].detach().permute(1, 2, 0).cpu().numpy())
