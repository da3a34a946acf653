"""The prior in exact integer arithmetic: decoded indices -> means and context classes.

It replays `vqcodec.model.prior` on integers. Convolutions are float32 products of integers (|weight| <= 127,
|input| <= 255) whose sums stay below 2**24, so they are exact in any order; all else is integer. Means,
codewords and latents are in steps of 1/128, z in 1/32, companded context in 1/16, activations 0..255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vqcodec.entropy.coding_order import PASSES, PHASES, PassState, Slice
from vqcodec.errors import ModelNotFound

SUM_LIMIT = 1 << 24
INPUT_MAX = 255
COMPANDED_MAX = 127
LATENT_MAX = 131_071
INTEGER_MAX = 1 << 30
"""Bound of outputs that are not clamped to a byte; none that matters comes near it."""
LINEAR_SHIFT = 7
LEVELS_PER_KNOT = 8
Arrays = dict[str, np.ndarray]
State = PassState[np.ndarray]
Product = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Matrix product in float32. Any will do, for the sums are exact: torch callers bring torch's, because two
thread pools that wait for each other's cores double the time of an encode."""


@dataclass(frozen=True)
class IntegerConv:
    """acc = W x + bias(prior_level); out = (acc * multiplier + 2**(shift-1)) >> shift, per output channel.

    Attributes:
        weight: (O, k*k*I) float32 holding integers, columns ordered (row, column, input channel).
        bias: (9, O) int64 at every eighth prior level 0..64, or one row that is the same at all of them.
        multiplier, shift: (O,) int64.
        kernel: 1 or 3.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    kernel: int
    product: Product = np.matmul

    @classmethod
    def from_arrays(cls, arrays: Arrays, name: str, product: Product = np.matmul) -> IntegerConv:
        """Read `name.weight` (O, I, k, k) int8 and its companions; checks the bound on sums."""
        weight = arrays[f"{name}.weight"]
        bias = arrays[f"{name}.bias"].astype(np.int64)
        sums = np.abs(weight.astype(np.int64)).sum((1, 2, 3)) * INPUT_MAX + np.abs(bias).max(0)
        shift = arrays[f"{name}.shift"].astype(np.int64)
        if sums.max() >= SUM_LIMIT or shift.min() < 1 or shift.max() > 62:
            raise ModelNotFound(f"integer prior: layer {name} breaks the bounds of exact arithmetic")
        kernel = weight.shape[2]
        flat = weight.transpose(0, 2, 3, 1).reshape(weight.shape[0], -1).astype(np.float32)
        multiplier = arrays[f"{name}.multiplier"].astype(np.int64)
        return cls(np.ascontiguousarray(flat), bias, multiplier, shift, kernel, product)

    def only(self, rows: np.ndarray) -> IntegerConv:
        """The same for some of the outputs."""
        parts = (self.weight[rows], self.bias[:, rows], self.multiplier[rows], self.shift[rows])
        return IntegerConv(*parts, self.kernel, self.product)

    def level_bias(self, prior_level: int) -> np.ndarray:
        """Bias (O,) at a prior level 0..64: linear between its knots, rounded half up."""
        if len(self.bias) == 1:
            return self.bias[0]
        knot, part = divmod(prior_level, LEVELS_PER_KNOT)
        after = self.bias[min(knot + 1, len(self.bias) - 1)]
        return (self.bias[knot] * (LEVELS_PER_KNOT - part) + after * part + LEVELS_PER_KNOT // 2) >> 3

    def __call__(self, x: np.ndarray, prior_level: int, corner: tuple[int, int] | None = None) -> np.ndarray:
        """x (h, w, I) float32 integers -> (h, w, O) int64, zero-padded; `corner` as for `windows`."""
        columns = windows(x, corner) if self.kernel == 3 else x
        h, w, inputs = columns.shape
        acc = self.product(columns.reshape(h * w, inputs), self.weight.T).astype(np.int64)
        acc += self.level_bias(prior_level)
        acc *= self.multiplier
        acc += np.int64(1) << (self.shift - 1)
        acc >>= self.shift
        return acc.reshape(h, w, -1)


def windows(x: np.ndarray, corner: tuple[int, int] | None) -> np.ndarray:
    """The 3x3 neighbourhoods (h, w, 9 I), 0 outside, of all positions of x (h, w, I), or only of every second
    row and column from `corner` on.
    """
    h, w, channels = x.shape
    padded = np.zeros((h + 2, w + 2, channels), dtype=x.dtype)
    padded[1:-1, 1:-1] = x
    (top, left), step = (corner, 2) if corner is not None else ((0, 0), 1)
    shifted = [padded[top + i : i + h : step, left + j : j + w : step] for i in range(3) for j in range(3)]
    return np.concatenate(shifted, axis=2)


def activate(x: np.ndarray) -> np.ndarray:
    """Clamped ReLU to 0..255, as float32 for the next product."""
    return np.clip(x, 0, INPUT_MAX).astype(np.float32)


class IntegerPrior:
    """Means and context classes of each slice of each pass, channels last: (h, w, channels)."""

    def __init__(
        self,
        arrays: Arrays,
        slices: list[Slice],
        context_levels: tuple[int, ...],
        product: Product = np.matmul,
    ) -> None:
        """slices: of all bands, in order; context_levels: bins of each context number.

        Raises:
            ModelNotFound: a layer breaks the bounds of exact arithmetic.
            ValueError: the slices are others than those that the layers look at.
        """
        self.slices, self.context_levels = slices, context_levels
        channels, groups = slices[-1].channels.stop, slices[-1].groups.stop

        def conv(name: str) -> IntegerConv:
            return IntegerConv.from_arrays(arrays, name, product)

        self.hyper1, self.hyper2, self.hyper3 = (conv(f"prior.hyper{n}") for n in (1, 2, 3))
        self.enter = [conv(f"prior.enter.{p}") for p in range(len(PASSES))]
        self.middle = [conv(f"prior.middle.{p}") for p in range(len(PASSES))]
        rows = [piece.rows(channels, groups, len(context_levels)) for piece in slices]
        whole = [conv(f"prior.leave.{p}") for p in range(len(PHASES))]
        self.leave = [[layer.only(own) for own in rows] for layer in whole]
        """By phase and slice."""
        looks = range((len(slices) - 1) * len(PHASES))
        self.look = [conv(f"prior.look.{n}") for n in looks]
        self.tell = [conv(f"prior.tell.{n}") for n in looks]
        for n, layer in enumerate(self.look):
            inputs = slices[1 + n // len(PHASES)].channels.start + len(self.middle[0].weight)
            if layer.weight.shape[1] != inputs:
                raise ValueError("the slices do not fit the layers that look at them")
        self.linear = [arrays[f"prior.linear.{p}"].astype(np.int64) for p in range(len(PASSES) - 1)]
        self.compand = compand_table(arrays).astype(np.float32)

    def hyper(self, z: np.ndarray, prior_level: int) -> np.ndarray:
        """z (h, w, Z) in steps of 1/32 -> features (2h, 2w, F) float32 integers 0..255."""
        h = activate(self.hyper1(z.astype(np.float32), prior_level))
        h = activate(self.hyper2(h, prior_level))
        rows, columns, channels = h.shape
        # Pixel shuffle: channel c*4 + 2*i + j goes to row 2*y + i, column 2*x + j.
        h = h.reshape(rows, columns, channels // 4, 2, 2).transpose(0, 3, 1, 4, 2)
        return activate(self.hyper3(np.ascontiguousarray(h.reshape(2 * rows, 2 * columns, -1)), prior_level))

    def open(self, p: int, features: np.ndarray, maps: list[np.ndarray], prior_level: int) -> State:
        """The state of pass p before its first slice.

        Args:
            maps: the phases (H, W, M) int64 that it looks at, 0 where not decoded yet, |y| <= LATENT_MAX.
        """
        place, inputs, local = PASSES[p], features, None
        if maps:
            channels = (self.enter[p].weight.shape[1] // 9 - features.shape[2]) // len(maps)
            inputs = np.concatenate([*(self._companded(y[:, :, :channels]) for y in maps), features], 2)
            local = _interpolate(maps, self.linear[p - 1], place.corner)
        h = activate(self.enter[p](inputs, prior_level, place.corner))
        h = activate(self.middle[p](h, prior_level))
        return PassState(place, h, local)

    def predict(self, n: int, state: State, prior_level: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean (h, w, C) int32 in steps of 1/128 and class (h, w, G) int32 of the pass's slice n.

        `state.known` holds all slices before it, |r| <= LATENT_MAX; the state's hidden units are updated.
        """
        phase, piece = state.place.phase, self.slices[n]
        if n:
            layer = (n - 1) * len(PHASES) + phase
            state.companded += [self._companded(r) for r in state.known[len(state.companded) :]]
            seen = np.concatenate([*state.companded, state.hidden], 2)
            told = self.tell[layer](activate(self.look[layer](seen, prior_level)), prior_level)
            state.hidden = activate(told + state.hidden.astype(np.int64))
        out = np.clip(self.leave[phase][n](state.hidden, prior_level), -INTEGER_MAX, INTEGER_MAX)
        mean, context = out[:, :, : piece.width].astype(np.int32), out[:, :, piece.width :]
        if state.local is not None:
            local = state.local[:, :, piece.channels]
            mean[:, :, : local.shape[2]] += local
        numbers = np.split(context, len(self.context_levels), 2)
        classes = np.zeros(numbers[0].shape, dtype=np.int32)
        for number, bins in zip(numbers, self.context_levels, strict=True):
            classes = classes * bins + np.clip(number, 0, bins - 1).astype(np.int32)
        return mean, classes

    def learn(self, state: State, known: np.ndarray) -> None:
        """Let the slices that follow see the codewords (h, w, C) of one."""
        state.known.append(known)

    def _companded(self, y: np.ndarray) -> np.ndarray:
        """16 * asinh(y / 128), rounded, by table."""
        return np.sign(y).astype(np.float32) * self.compand[np.abs(y)]


def compand_table(arrays: Arrays) -> np.ndarray:
    """16 asinh(y / 128) of y = 0, 1, ..., LATENT_MAX: how many steps in the weights file are at most y.

    Raises:
        ValueError: more steps than the integers of the prior hold.
    """
    steps = arrays["prior.compand"]
    if len(steps) > COMPANDED_MAX:
        raise ValueError("companded latents are too large")
    # The weights hold where the companded value steps up; a look-up is faster.
    return np.searchsorted(steps, np.arange(LATENT_MAX + 1), side="right")


def _interpolate(maps: list[np.ndarray], weight: np.ndarray, corner: tuple[int, int] | None) -> np.ndarray:
    """Linear mean from 3x3 neighbourhoods: weight (C, maps, 3, 3) in steps of 1/128."""
    n = len(weight)
    total = np.int64(1 << (LINEAR_SHIFT - 1))
    for number, y in enumerate(maps):
        near = windows(y[:, :, :n], corner)
        near = near.reshape(*near.shape[:2], 9, n)
        total = total + (near * weight[:, number].reshape(n, 9).T).sum(2)
    return (total >> LINEAR_SHIFT).astype(np.int32)
