"""Convolutions that can train with the rounding of the engine's layers in 8 bits.

    inputs   integers times a step for each channel: 0 to 255 behind a ReLU, -127 to 127 elsewhere
    weights  weight * step = integer in [-64, 64] times a scale for each output

Gradients pass straight through, but to inputs that are clipped (cf. Jacob et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vqcodec.engine.operations import BYTE_MAX, SIGNED_ZERO, SUM8_MAX, WEIGHT8_MAX

TINY = 1e-30
"""Least scale of a weight, which may be 0 throughout."""


class RoundedConv(nn.Conv2d):
    """A zero-padded convolution, in real numbers until it is `rounded` and knows its steps.

    Attributes:
        rounded: whether inputs and weights are on their grids.
        step: real values (I,) of one unit of each input; 0 while nobody has measured them. No part of the
            state_dict: whoever trains keeps them.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, signed: bool = False) -> None:
        """Usual start; `signed` where inputs are not behind a ReLU."""
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.signed, self.rounded = signed, False
        self.step: Tensor
        # On the CPU even under device "meta", where models are built from a file's tensors.
        self.register_buffer("step", torch.zeros(inputs, device="cpu"), persistent=False)

    def on_grid(self, x: Tensor) -> Tensor:
        """Inputs (B, I, H, W) on their grid, as they are while not `rounded`."""
        if not self.rounded:
            return x
        low, high = (1 - SIGNED_ZERO, SIGNED_ZERO - 1) if self.signed else (0, BYTE_MAX)
        return _rounded(x, self.step, 1, low, high)

    def weight_on_grid(self) -> Tensor:
        """The weight (O, I, k, k) on its grid, as it is while not `rounded`."""
        if not self.rounded:
            return self.weight
        step = self.step[:, None, None]
        folded = self.weight * step
        size = folded.detach().abs().flatten(1)
        scale = torch.maximum(size.amax(1) / WEIGHT8_MAX, size.sum(1) / (SUM8_MAX - 1)).clamp_min(TINY)
        return _rounded(folded, scale, 0, -WEIGHT8_MAX, WEIGHT8_MAX) / step

    def forward(self, x: Tensor) -> Tensor:
        """x (B, I, H, W) -> (B, O, H, W)."""
        return self._conv_forward(self.on_grid(x), self.weight_on_grid(), self.bias)


def rounded_layers(network: nn.Module) -> Iterator[tuple[str, RoundedConv]]:
    """Names and layers of all such convolutions of a network."""
    for name, layer in network.named_modules():
        if isinstance(layer, RoundedConv):
            yield name, layer


def _rounded(x: Tensor, scale: Tensor, axis: int, low: int, high: int) -> Tensor:
    """Multiples of the scales along an axis, from `low` to `high` of them."""
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(x, scale, zero, axis, low, high)
