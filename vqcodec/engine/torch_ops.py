"""The operations of an engine in torch, for machines on which the one in C was not built.

Sums of integers are matrix products: of 8 bits in float32, below 2^24 and so exact in any order, of 16 bits
in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.engine.elementwise import Elementwise
from vqcodec.engine.operations import (
    BYTE_MAX,
    SIGNED_ZERO,
    SUM8_MAX,
    WEIGHT8_MAX,
    WORD_MAX,
    Bytes,
    Floats,
    Words,
)


@dataclass(frozen=True)
class TorchLayer:
    """Weights (k*k, I, O) of a convolution as matrices for each of its taps, and the inputs' zero."""

    taps: Tensor
    kernel: int
    zero: int


class TorchOps(Elementwise):
    """See `vqcodec.engine.operations.Operations`; arrays are numpy's, on the CPU."""

    def pack8(self, weight: NDArray[np.int8], zero: int) -> TorchLayer:
        """Weights (O, k, k, I).

        Raises:
            ValueError: a weight, or the sum of an output's, is out of bounds.
        """
        size = np.abs(weight.astype(np.int64))
        if size.max(initial=0) > WEIGHT8_MAX or size.sum((1, 2, 3)).max(initial=0) >= SUM8_MAX:
            raise ValueError("weights break the bounds of exact arithmetic")
        return _packed(weight, zero, _exact_kind())

    def pack16(self, weight: Words) -> TorchLayer:
        """Weights (O, k, k, I)."""
        return _packed(weight, 0, torch.float64)

    def quantise8(self, h: Floats, inverse: Floats) -> Bytes:
        """clamp(rint(h * inverse), -128, 127) + 128."""
        scaled = torch.from_numpy(h) * torch.from_numpy(inverse)
        return scaled.round_().clamp_(-SIGNED_ZERO, SIGNED_ZERO - 1).add_(SIGNED_ZERO).to(torch.uint8).numpy()

    def quantise16(self, h: Floats, inverse: Floats) -> Words:
        """clamp(rint(h * inverse), -32767, 32767)."""
        scaled = torch.from_numpy(h) * torch.from_numpy(inverse)
        return scaled.round_().clamp_(-WORD_MAX, WORD_MAX).to(torch.int16).numpy()

    def conv8_relu(self, x: Bytes, layer: TorchLayer, scale: Floats, bias: Floats) -> Bytes:
        """clamp(rint(sum * S + B), 0, 255)."""
        return _bytes(_affine(_sums(x, layer), scale, bias))

    def conv8(self, x: Bytes, layer: TorchLayer, scale: Floats, bias: Floats) -> Floats:
        """sum * S + B."""
        return _affine(_sums(x, layer), scale, bias).numpy()

    def conv8_add(self, x: Bytes, layer: TorchLayer, scale: Floats, bias: Floats, h: Floats) -> None:
        """h + (sum * S + B), in place."""
        torch.from_numpy(h).add_(_affine(_sums(x, layer), scale, bias))

    def conv16(self, x: Words, layer: TorchLayer, scale: Floats, bias: Floats) -> Floats:
        """sum * S + B; sums are modulo 2^32."""
        return _affine(_wrapped(_sums(x, layer)), scale, bias).numpy()

    def conv16_relu(
        self, x: Words, layer: TorchLayer, scale: Floats, bias: Floats, add: Floats | None = None
    ) -> Bytes:
        """clamp(rint((sum * S + B) + add), 0, 255)."""
        out = _affine(_wrapped(_sums(x, layer)), scale, bias)
        return _bytes(out if add is None else out.add_(torch.from_numpy(add)))

    def filtered(self, pixels: Words, kernels: Words) -> Floats:
        """Sums (K, H, W, 3) of pixels times each of the kernels."""
        height, width = pixels.shape[:2]
        reach = kernels.shape[2] // 2
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(_exact_kind())
        planes = F.pad(planes[None], (reach,) * 4, mode="replicate")
        # Of the two bytes of a pixel float32 adds up the products exactly.
        high = (planes / 256).floor_()
        columns = F.unfold(torch.cat([high, planes - 256 * high]), kernels.shape[2:])
        weight = torch.from_numpy(kernels).to(planes.dtype).flatten(2)
        sums = torch.matmul(weight, columns.view(2, 3, -1, height * width)).to(torch.int32)
        total = (256 * sums[0] + sums[1]).to(torch.float32)
        return total.view(3, -1, height, width).permute(1, 2, 3, 0).contiguous().numpy()

    def block(
        self,
        h: Floats,
        inverse: Floats,
        layer1: TorchLayer,
        scale1: Floats,
        bias1: Floats,
        layer2: TorchLayer,
        scale2: Floats,
        bias2: Floats,
    ) -> None:
        """A residual block in place."""
        hidden = self.conv8_relu(self.quantise8(h, inverse), layer1, scale1, bias1)
        self.conv8_add(hidden, layer2, scale2, bias2, h)


def _exact_kind() -> torch.dtype:
    """The type whose products are exact: a user may have asked torch for faster, coarser ones of float32."""
    return torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64


def _packed(weight: NDArray[Any], zero: int, kind: torch.dtype) -> TorchLayer:
    outputs, kernel, _, inputs = weight.shape
    taps = torch.from_numpy(np.ascontiguousarray(weight)).to(kind).reshape(outputs, kernel * kernel, inputs)
    return TorchLayer(taps.permute(1, 2, 0).contiguous(), kernel, zero)


def _sums(x: NDArray[Any], layer: TorchLayer) -> Tensor:
    """Exact sums (h, w, O) of an integer map (h, w, I), in the type of the layer's weights."""
    h, w, inputs = x.shape
    values = torch.from_numpy(x).to(layer.taps.dtype).sub_(layer.zero)
    if layer.kernel == 1:
        return torch.mm(values.view(-1, inputs), layer.taps[0]).view(h, w, -1)
    # Rows with a margin on both sides lie one after the other: each tap is one product of a shifted whole.
    padded = torch.zeros(h + 3, w + 2, inputs, dtype=values.dtype)
    padded[1 : h + 1, 1:-1] = values
    flat, count = padded.view(-1, inputs), h * (w + 2)
    total = torch.zeros(count, layer.taps.shape[2], dtype=values.dtype)
    for number, tap in enumerate(layer.taps):
        start = number // 3 * (w + 2) + number % 3
        total.addmm_(flat[start : start + count], tap)
    return total.view(h, w + 2, -1)[:, :w].contiguous()


def _wrapped(sums: Tensor) -> Tensor:
    return sums.to(torch.int64).to(torch.int32).to(torch.float32)


def _affine(sums: Tensor, scale: Floats, bias: Floats) -> Tensor:
    return sums.to(torch.float32).mul_(torch.from_numpy(scale)).add_(torch.from_numpy(bias))


def _bytes(x: Tensor) -> Bytes:
    return x.round_().clamp_(0, BYTE_MAX).to(torch.uint8).numpy()
