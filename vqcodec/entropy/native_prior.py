"""The integer prior by the C engine: means and classes of `vqcodec.entropy.integer_prior`, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vqcodec.entropy.coding_order import PASSES, PHASES, PassState, Slice
from vqcodec.entropy.integer_prior import Arrays, State, compand_table
from vqcodec.errors import ModelNotFound
from vqcodec.native.choice import threads

_ARRAYS = ("weight", "bias", "multiplier", "shift")
_EMPTY = np.empty((0, 0, 3, 3), dtype=np.int16)


class NativePrior:
    """As `IntegerPrior`; features and hidden units are uint8, what is companded is int8."""

    def __init__(
        self, native: Any, arrays: Arrays, slices: list[Slice], context_levels: tuple[int, ...]
    ) -> None:
        """native: the extension module; the others, and what is raised, as for `IntegerPrior`."""
        self.slices, self.context_levels, self._native = slices, context_levels, native
        channels, groups = slices[-1].channels.stop, slices[-1].groups.stop

        def layer(name: str, signed: int, rows: np.ndarray | None = None) -> Any:
            """signed: how many inputs come first that may be negative; None for all."""
            parts = [np.ascontiguousarray(arrays[f"{name}.{part}"]) for part in _ARRAYS]
            if rows is not None:
                parts = [np.take(part, rows, axis=1 if part.ndim == 2 else 0) for part in parts]
            try:
                return native.Layer(*parts, signed)
            except ArithmeticError as error:
                raise ModelNotFound(f"integer prior: layer {name}: {error}") from error

        inputs = {name: arrays[f"prior.{name}.weight"].shape[1] for name in ("hyper1", "hyper3")}
        self._hyper = [layer(f"prior.hyper{n}", inputs["hyper1"] * (n == 1)) for n in (1, 2, 3)]
        self._features = len(arrays["prior.hyper3.weight"])
        seen = [arrays[f"prior.enter.{p}.weight"].shape[1] - self._features for p in range(len(PASSES))]
        self._enter = [layer(f"prior.enter.{p}", count) for p, count in enumerate(seen)]
        self._middle = [layer(f"prior.middle.{p}", 0) for p in range(len(PASSES))]
        self._hidden = len(arrays["prior.middle.0.weight"])
        rows = [piece.rows(channels, groups, len(context_levels)) for piece in slices]
        self._leave = [[layer(f"prior.leave.{p}", 0, own) for own in rows] for p in range(len(PHASES))]
        looks = [
            (n, slices[1 + n // len(PHASES)].channels.start) for n in range((len(slices) - 1) * len(PHASES))
        ]
        for n, before in looks:
            if arrays[f"prior.look.{n}.weight"].shape[1] != before + self._hidden:
                raise ValueError("the slices do not fit the layers that look at them")
        self._look = [layer(f"prior.look.{n}", before) for n, before in looks]
        self._tell = [layer(f"prior.tell.{n}", 0) for n, _ in looks]
        self._linear = [np.ascontiguousarray(arrays[f"prior.linear.{p}"]) for p in range(len(PASSES) - 1)]
        self._compand = compand_table(arrays).astype(np.uint8)

    def hyper(self, z: np.ndarray, prior_level: int) -> np.ndarray:
        """z (h, w, Z) in steps of 1/32, -128 to 127 -> features (2h, 2w, F) uint8."""
        features = np.empty((2 * z.shape[0], 2 * z.shape[1], self._features), dtype=np.uint8)
        z = np.ascontiguousarray(z, dtype=np.int8)
        self._native.hyper(*self._hyper, z, prior_level, threads(), features)
        return features

    def open(self, p: int, features: np.ndarray, maps: Sequence[np.ndarray], prior_level: int) -> State:
        """The state of pass p before its first slice; the maps' last axis is contiguous."""
        place = PASSES[p]
        top, left, step = (0, 0, 1) if place.corner is None else (*place.corner, 2)
        rows, columns = (len(range(a, n, step)) for a, n in zip((top, left), features.shape, strict=False))
        linear = self._linear[p - 1] if maps else _EMPTY
        hidden = np.empty((rows, columns, self._hidden), dtype=np.uint8)
        local = np.empty((rows, columns, len(linear)), dtype=np.int32)
        phases = tuple(np.asarray(y, dtype=np.int32) for y in maps)
        whole = np.ascontiguousarray(features)
        where = (top, left, step), prior_level, threads()
        self._native.open_pass(
            self._enter[p], self._middle[p], phases, whole, linear, self._compand, *where, hidden, local
        )
        return PassState(place, hidden, local if maps else None)

    def predict(self, n: int, state: State, prior_level: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean (h, w, C) and class (h, w, G), int32, of the pass's slice n; the hidden units are updated."""
        phase, piece = state.place.phase, self.slices[n]
        layer = (n - 1) * len(PHASES) + phase
        look, tell = (self._look[layer], self._tell[layer]) if n else (None, None)
        shape = state.hidden.shape[:2]
        mean = np.empty((*shape, piece.width), dtype=np.int32)
        classes = np.empty((*shape, piece.groups.stop - piece.groups.start), dtype=np.int32)
        seen = tuple(state.companded) if n else ()
        settled, state.unsettled = state.unsettled, None
        local = None if state.local is None else np.ascontiguousarray(state.local)
        where = local, piece.channels.start, self.context_levels, prior_level, threads()
        leave = self._leave[phase][n]
        self._native.predict(look, tell, leave, settled, seen, state.hidden, *where, mean, classes)
        return mean, classes

    def learn(self, state: State, known: np.ndarray) -> None:
        """Let the slices that follow see the codewords (h, w, C) of one."""
        size = self._compand[np.minimum(np.abs(known), len(self._compand) - 1)].astype(np.int8)
        state.companded.append(np.ascontiguousarray(np.sign(known).astype(np.int8) * size))

    def settle(
        self,
        state: State,
        words: tuple[np.ndarray, ...],
        index: tuple[np.ndarray, ...],
        mean: np.ndarray,
        latent: np.ndarray,
    ) -> None:
        """Set the latent (h, w, C) int32 of a slice of this mean, and let the slices that follow see it.

        The latent is set when the next slice is predicted; that of the last slice at once.

        Args:
            words: codewords (G, K, d) int32 of its bands.
            index: indices (h, w, G) int32 of its bands; none of either for codewords of 0.
        """
        seen = np.empty(mean.shape, dtype=np.int8)
        state.companded.append(seen)
        state.unsettled = words, index, mean, latent, self._compand, seen
        if len(state.companded) == len(self.slices):
            self._native.settle(state.unsettled, threads())
            state.unsettled = None
