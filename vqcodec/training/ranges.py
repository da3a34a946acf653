"""Steps of integer activations, from what passes through a float network on pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from vqcodec.engine.operations import BYTE_MAX, SIGNED_ZERO, WORD_MAX

Steps = dict[str, NDArray[np.float32]]
HEADROOM = 8.0
"""Range of activations in 16 bits and of sums in 32, times the largest that was seen."""
MARGIN = 1.1
"""The same for activations in 8 bits: what is clipped costs more than finer steps give back."""
LEAST = 1e-3
"""Range of a channel, at least, as a part of the largest channel's: some are hardly ever awake."""


class Ranges:
    """What passed through a float network: largest inputs of its layers by channel, and largest outputs."""

    def __init__(self) -> None:
        self.top: dict[str, NDArray[np.float32]] = {}
        self.largest: dict[str, float] = defaultdict(float)

    @contextmanager
    def watch(self, network: nn.Module) -> Iterator[None]:
        """Look at all convolutions of a network while it runs."""
        layers = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
        handles = [layer.register_forward_hook(partial(self._see, name)) for name, layer in layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, name: str, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        top = inputs[0].detach().float().abs().amax((0, 2, 3)).cpu().numpy()
        self.top[name] = np.maximum(self.top[name], top) if name in self.top else top
        self.largest[name] = max(self.largest[name], float(output.detach().abs().max()))

    def signed(self, name: str) -> NDArray[np.float32]:
        """Steps (I,) of a layer's inputs with a sign in 8 bits."""
        return self._step(MARGIN * self._top(name), SIGNED_ZERO - 1)

    def rectified(self, name: str, n: int = 1) -> NDArray[np.float32]:
        """Steps of a layer's inputs that passed a ReLU in 8 bits; inputs are squares of n*n positions."""
        return self._step(MARGIN * self._top(name, n), BYTE_MAX)

    def words(self, name: str, n: int = 1) -> NDArray[np.float32]:
        """Steps of a layer's inputs in 16 bits."""
        return self._step(HEADROOM * self._top(name, n), WORD_MAX)

    def blocks(self, source: str, name: str) -> Steps:
        """Steps of the residual blocks `source.0`, ..., which are called `name.0`, ... in the result."""
        steps, number = {}, 0
        while f"{source}.{number}.conv1" in self.top:
            steps[f"{name}.{number}.conv1.step"] = self.signed(f"{source}.{number}.conv1")
            steps[f"{name}.{number}.conv2.step"] = self.rectified(f"{source}.{number}.conv2")
            number += 1
        return steps

    def _top(self, name: str, n: int = 1) -> NDArray[np.float64]:
        return np.asarray(self.top[name].reshape(-1, n * n).max(1), np.float64)

    @staticmethod
    def _step(ranges: NDArray[np.float64], units: int) -> NDArray[np.float32]:
        return (np.maximum(ranges, LEAST * ranges.max() + 1e-9) / units).astype(np.float32)
