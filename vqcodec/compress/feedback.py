"""The encoder's second look: what the decoder makes of the chosen words moves the target of the next choice.

The quantiser takes y = g_a(x) for its target and prices an error at w |y - y_hat|^2, channel by channel. But
errors of many channels meet in one pixel, where they add up or cancel. Once words are chosen, that is known:
with g the gradient at y_hat of

    D(y_hat) = lambda(t) 255^2 SSE ln 2        in nats, SSE / 3 over the pixels' three colours,

the target moves a part b of the way to where a quadratic of the quantiser's own curvature has its minimum,

    target <- target + b (y_hat - g / 2w - target),

and everything is coded again. It is the step of `vqcodec.compress.refine` without the rate's gradient, which
wants the
real-valued prior and several times the time; efforts 5 to 9 end with such steps too. The rate is that of the
coded bytes; whatever costs least is kept, so that a step that was of no use does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from vqcodec.compress.refine import EFFORT_STEPS
from vqcodec.compress.search import TileSegments, rate_in_nats
from vqcodec.compress.source import Analysis
from vqcodec.model.blocks import BLOCK
from vqcodec.model.codebook import SLOPE
from vqcodec.model.precision import transforms_in
from vqcodec.model.vqvae import Transforms, lambda_of_level
from vqcodec.tiling import Window, cut, within

AFTER_REFINING = (0.1, 0.05)
"""The parts b after `vqcodec.compress.refine`, which does not code: its rate is an estimate, and it has no
shifts. Worth .44 % of J for a fifteenth of the time of effort 5 (run 21, 3 dev crops at 3 levels)."""
PARTS: dict[int, tuple[float, ...]] = {
    2: (0.25,),
    3: (0.35, 0.2, 0.12),
    4: (0.4, 0.25, 0.15, 0.1, 0.06),
    **dict.fromkeys(EFFORT_STEPS, AFTER_REFINING),
}
"""The parts b by effort, falling: constant ones gain less, .3 and .3 4/5 of what .3 and .15 do.


On 5 dev crops at levels .1, .45 and .8, one step lowers J by 1.6 %, three by 2.5, five by 2.9, eight by no
more than that (run 21). `vqcodec.compress.refine` comes to 1.9 % in two steps and 3.7 in five, at .45, and
takes four times as long as this for as many steps."""
WINDOW = 48
"""Side in blocks of the pieces that go through g_s and back at once; it bounds memory."""
HALO = 6
"""Blocks around a piece whose errors are looked at with it."""


class Feedback:
    """Errors of decoded latents of one picture at one level, and where targets should go."""

    def __init__(self, transforms: Transforms, analysis: Analysis, level: Tensor, bf16: bool = False) -> None:
        """level (1,) in [0, 1]; bf16: see `vqcodec.model.precision`."""
        self._transforms, self._analysis, self._level = transforms, analysis, level
        self._bf16 = bf16
        self._price = float(lambda_of_level(level)) * 255**2 * math.log(2) / 3

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
        for inner, outer in self._windows():
            # Callers run in inference mode, whose tensors take no part in gradients; copies do.
            with torch.inference_mode(False), torch.set_grad_enabled(part > 0):
                value = y_hat[_at(outer)].clone().requires_grad_(part > 0)
                squares = self._squares(value, outer)
                if part > 0:
                    (gradient,) = torch.autograd.grad(self._price * squares.sum(), value)
            if part > 0:
                best = y_hat[_at(inner)] - gradient[_at(map(within, inner, outer))] / (2 * SLOPE)
                target[_at(inner)] += part * (best - target[_at(inner)])
            total += float(squares.detach()[_at(map(within, inner, outer, (BLOCK, BLOCK)))].sum())
        return self._price * total

    def _windows(self) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
        height, width = self._analysis.shape
        for rows, tall in _cut(height):
            for columns, wide in _cut(width):
                yield (rows, columns), (tall, wide)

    def _squares(self, y_hat: Tensor, places: tuple[slice, slice]) -> Tensor:
        """Squared errors (1, 3, 16h, 16w) of a piece; none of what lies behind the picture's edge."""
        x = self._analysis.window(*places)
        with transforms_in(self._bf16, x.device.type):
            decoded = self._transforms.synthesise(y_hat, self._level)
        squares = (decoded - x).square()
        rows, columns = places
        below, right = (
            max(BLOCK * place.stop - size, 0)
            for place, size in ((rows, self._analysis.height), (columns, self._analysis.width))
        )
        shown = squares[:, :, : squares.shape[2] - below, : squares.shape[3] - right]
        return torch.nn.functional.pad(shown, (0, right, 0, below))


def _cut(count: int) -> list[Window]:
    return cut(count, WINDOW, halo=HALO)


def _at(places: Iterable[slice]) -> tuple[slice, ...]:
    return (slice(None), slice(None), *places)
