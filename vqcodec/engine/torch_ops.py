"""The operations of an engine in torch: on the CPU where the one in C was not built, and on CUDA devices.

Sums of integers are matrix products: of 8 bits in float32, below 2^24 and so exact in any order, of 16 bits
in float64. All that a device does besides rounds once an operation, so its results are the CPU's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vqcodec.engine import torch_elementwise as elementwise
from vqcodec.engine.forks import one_thread_after_forks
from vqcodec.engine.operations import BYTE_MAX, SUM8_MAX, WEIGHT8_MAX, Words


@dataclass(frozen=True)
class TorchLayer:
    """Weights (k*k, I, O) of a convolution as matrices for each of its taps, and the inputs' zero."""

    taps: Tensor
    kernel: int
    zero: int


class TorchOps:
    """See `vqcodec.engine.operations.Operations`; maps and vectors are contiguous tensors on a device.

    Maps may be those of B pictures, (H, W, B, C), and S and B of convolutions those of each, (B, C).
    """

    def __init__(self, device: str = "cpu", stays: bool = False) -> None:
        """Nothing is sent yet.

        Args:
            device: a name of torch's, of one that has float64.
            stays: results stay there; `leave` and `join` give tensors.
        """
        one_thread_after_forks()
        self.device, self._stays = torch.device(device), stays

    def enter(self, x: NDArray[Any]) -> Tensor:
        """A tensor on the device; on the CPU it shares the array's memory where that may be written."""
        return torch.from_numpy(np.require(x, requirements=["C", "W"])).to(self.device)

    def leave(self, x: Tensor) -> Any:
        """The numbers in numpy, when the device has them."""
        return x if self._stays else x.cpu().numpy()

    def join(self, parts: Sequence[Tensor]) -> Any:
        """Rows of a map, one part below the other, as `leave` gives them."""
        if self._stays:
            return torch.cat(list(parts))
        # Only now: a device is still at work on the first part when the last one is asked for.
        return np.concatenate([self.leave(part) for part in parts])

    def pack8(self, weight: NDArray[np.int8], zero: int) -> TorchLayer:
        """Weights (O, k, k, I).

        Raises:
            ValueError: a weight, or the sum of an output's, is out of bounds.
        """
        size = np.abs(weight.astype(np.int64))
        if size.max(initial=0) > WEIGHT8_MAX or size.sum((1, 2, 3)).max(initial=0) >= SUM8_MAX:
            raise ValueError("weights break the bounds of exact arithmetic")
        return self._packed(weight, zero, torch.float32)

    def pack16(self, weight: Words) -> TorchLayer:
        """Weights (O, k, k, I)."""
        return self._packed(weight, 0, torch.float64)

    def _packed(self, weight: NDArray[Any], zero: int, kind: torch.dtype) -> TorchLayer:
        outputs, kernel, _, inputs = weight.shape
        taps = self.enter(weight).to(kind).view(outputs, kernel * kernel, inputs)
        return TorchLayer(taps.permute(1, 2, 0).contiguous(), kernel, zero)

    def quantise8(self, h: Tensor, inverse: Tensor) -> Tensor:
        """clamp(rint(h * inverse), -128, 127) + 128."""
        return elementwise.quantise8(h, inverse)

    def quantise16(self, h: Tensor, inverse: Tensor) -> Tensor:
        """clamp(rint(h * inverse), -32767, 32767)."""
        return elementwise.quantise16(h, inverse)

    def conv8_relu(self, x: Tensor, layer: TorchLayer, scale: Tensor, bias: Tensor) -> Tensor:
        """clamp(rint(sum * S + B), 0, 255)."""
        return _bytes(_affine(self._sums(x, layer), scale, bias))

    def conv8(self, x: Tensor, layer: TorchLayer, scale: Tensor, bias: Tensor) -> Tensor:
        """sum * S + B."""
        return _affine(self._sums(x, layer), scale, bias)

    def conv8_add(
        self, x: Tensor, layer: TorchLayer, scale: Tensor, bias: Tensor, h: Tensor, n: int = 1
    ) -> None:
        """h + (sum * S + B), the latter shuffled by n, in place."""
        h.add_(elementwise.shuffle(_affine(self._sums(x, layer), scale, bias), n))

    def conv16(self, x: Tensor, layer: TorchLayer, scale: Tensor, bias: Tensor, n: int = 1) -> Tensor:
        """sum * S + B, shuffled by n; sums are modulo 2^32."""
        return elementwise.shuffle(_affine(_wrapped(self._sums(x, layer)), scale, bias), n)

    def conv16_add(self, x: Tensor, layer: TorchLayer, scale: Tensor, bias: Tensor, h: Tensor) -> None:
        """h + (sum * S + B), in place; sums are modulo 2^32."""
        h.add_(self.conv16(x, layer, scale, bias))

    def conv16_relu(
        self, x: Tensor, layer: TorchLayer, scale: Tensor, bias: Tensor, add: Tensor | None = None
    ) -> Tensor:
        """clamp(rint((sum * S + B) + add), 0, 255)."""
        out = _affine(_wrapped(self._sums(x, layer)), scale, bias)
        return _bytes(out if add is None else out.add_(add))

    def block(
        self,
        h: Tensor,
        inverse: Tensor,
        layer1: TorchLayer,
        scale1: Tensor,
        bias1: Tensor,
        layer2: TorchLayer,
        scale2: Tensor,
        bias2: Tensor,
    ) -> None:
        """A residual block in place."""
        hidden = self.conv8_relu(self.quantise8(h, inverse), layer1, scale1, bias1)
        self.conv8_add(hidden, layer2, scale2, bias2, h)

    def shuffle(self, x: Tensor, n: int) -> Tensor:
        """(H, W, n*n*C) -> (n*H, n*W, C)."""
        return elementwise.shuffle(x, n)

    def unshuffle(self, x: Tensor, n: int) -> Tensor:
        """(n*H, n*W, C) -> (H, W, n*n*C)."""
        return elementwise.unshuffle(x, n)

    def lap(self, x: Tensor, matrix: Tensor) -> Tensor:
        """Mix the 16 samples around every inner boundary of blocks, along columns, then along rows."""
        return elementwise.lap(x, matrix)

    def cells(self, u: Tensor) -> Tensor:
        """What the restoration sees: (H/2, W/2, 24)."""
        return elementwise.cells(u)

    def mend(self, u: Tensor, cells: Tensor, f: Tensor, kernels: Tensor, colour: Tensor) -> Tensor:
        """Pixels (H, W, 3) of the restored picture."""
        answers = self.filtered(elementwise.planes(cells[..., 9:21].contiguous())[0], kernels)
        change, *gates = elementwise.planes(f)
        for gate, answer in zip(gates, answers, strict=True):
            change = change + gate * answer
        return elementwise.to_rgb(elementwise.to_planes(u) + change, colour)

    def restore(self, *_step_by_step: Any) -> None:
        """No operation of its own."""

    def relu(self, h: Tensor) -> None:
        """max(h, 0) in place."""
        h.clamp_(min=0)

    def to_words(self, x: Tensor) -> Tensor:
        """The same numbers in 16 bits."""
        return x.to(torch.int16)

    def to_floats(self, x: Tensor) -> Tensor:
        """The same numbers in float32."""
        return x.to(torch.float32)

    def filtered(self, pixels: Tensor, kernels: Tensor) -> Tensor:
        """Sums (K, 3, H, W) of planes (3, H, W) times each of the kernels (3, K, 5, 5), borders repeated.

        Or (K, 3, B, H, W) of (3, B, H, W).
        """
        colours, *batch, height, width = pixels.shape
        reach, kind = kernels.shape[2] // 2, exact_kind(self.device)
        planes = F.pad(pixels.to(kind).view(1, -1, height, width), (reach,) * 4, mode="replicate")
        # Of the two bytes of a pixel float32 adds up the products exactly.
        high = (planes / 256).floor_()
        columns = F.unfold(torch.cat([high, planes - 256 * high]), kernels.shape[2:])
        weight = kernels.to(kind).flatten(2)
        count = weight.shape[2]
        if batch:
            weight = weight[:, None]
        sums = torch.matmul(weight, columns.view(2, colours, *batch, count, height * width)).to(torch.int32)
        total = (256 * sums[0] + sums[1]).to(torch.float32)
        return total.view(colours, *batch, -1, height, width).movedim(-3, 0)

    def _sums(self, x: Tensor, layer: TorchLayer) -> Tensor:
        """Exact sums (h, w, O) of an integer map (h, w, I), in float32 or float64."""
        h, w, *batch, inputs = x.shape
        pictures = math.prod(batch)
        taps = layer.taps
        if taps.dtype != torch.float64:
            taps = taps.to(exact_kind(self.device))
        values = x.to(taps.dtype).sub_(layer.zero)
        if layer.kernel == 1:
            return torch.mm(values.view(-1, inputs), taps[0]).view(h, w, *batch, -1)
        # Rows with a margin on both sides lie one after the other: a tap is one product of a shifted whole.
        padded = values.new_zeros(h + 3, w + 2, *batch, inputs)
        padded[1 : h + 1, 1:-1] = values
        flat, count = padded.view(-1, inputs), h * (w + 2) * pictures
        total = values.new_zeros(count, taps.shape[2])
        for number, tap in enumerate(taps):
            start = (number // 3 * (w + 2) + number % 3) * pictures
            total.addmm_(flat[start : start + count], tap)
        return total.view(h, w + 2, *batch, taps.shape[2])[:, :w].contiguous()


def exact_kind(device: torch.device) -> torch.dtype:
    """The type whose matrix products are exact for sums below 2^24: float32, or else float64.

    A user may have asked torch for coarser products of float32, or for mixed precision; float64 is left
    alone by both. Asked at every product, and nothing is set: the settings are the user's.
    """
    try:
        coarser = torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # set in the newer way, backend by backend
        coarser = True
    return torch.float64 if coarser or torch.is_autocast_enabled(device.type) else torch.float32


def _wrapped(sums: Tensor) -> Tensor:
    return sums.to(torch.int64).to(torch.int32).to(torch.float32)


def _affine(sums: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return sums.to(torch.float32).mul_(scale).add_(bias)


def _bytes(x: Tensor) -> Tensor:
    return x.round_().clamp_(0, BYTE_MAX).to(torch.uint8)
