"""CompressAI's scale hyperprior behind the benchmarks' interface: what a neural codec in Python takes.

Weights are random, so only its time means something: networks do the same work whatever they hold, and the
entropy coder codes as many symbols. `pip install compressai`.
"""

from __future__ import annotations

import struct
import sys
import types
from typing import Any

import numpy as np

from benchmarks.anchors import Pixels
from benchmarks.processes import installed

NAME = "hyperprior"
MODEL, QUALITY = "bmshj2018_hyperprior", 3
SIDE = 64
"""Sides of pictures that the networks take are multiples of this."""
_HEAD = struct.Struct("<5I")


class Hyperprior:
    """Joint autoencoder and scale hyperprior (Balle et al. 2018, arXiv 1802.01436) with random weights."""

    name = NAME
    qualities = (float(QUALITY),)

    def __init__(self) -> None:
        import torch  # noqa: PLC0415  an extra, as compressai is

        torch.manual_seed(0)
        self._network = getattr(_zoo(), MODEL)(quality=QUALITY, pretrained=False).eval()
        self._network.update(force=True)

    @property
    def settings(self) -> dict[str, Any]:
        """Every option that changes the bytes."""
        return {"model": MODEL, "quality": QUALITY, "weights": "random"}

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what computes."""
        return {name: installed(name) or "none" for name in ("compressai", "torch")}

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """Turn uint8 RGB pixels (H, W, 3) into bytes that only `decode` reads; they have one quality."""
        import torch  # noqa: PLC0415

        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % SIDE), (0, -width % SIDE), (0, 0)), mode="edge")
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            coded = self._network.compress(x)
        (y,), (z,) = coded["strings"]
        return _HEAD.pack(height, width, *coded["shape"], len(y)) + y + z

    def decode(self, data: bytes) -> Pixels:
        """Turn what `encode` made into uint8 RGB pixels (H, W, 3)."""
        import torch  # noqa: PLC0415

        height, width, rows, columns, length = _HEAD.unpack_from(data)
        y, z = data[_HEAD.size :][:length], data[_HEAD.size + length :]
        with torch.inference_mode():
            x = self._network.decompress([[y], [z]], (rows, columns))["x_hat"][0]
            pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
        return np.ascontiguousarray(pixels.numpy()[:height, :width])


def available() -> bool:
    """Whether CompressAI and torch are installed."""
    return installed("compressai") is not None and installed("torch") is not None


def _zoo() -> Any:
    """`compressai.zoo`, also where torchvision, which no image codec of it uses, cannot be imported."""
    try:
        import torchvision.transforms  # noqa: PLC0415, F401
    except (ImportError, RuntimeError):  # the latter from a build for another torch
        for name in ("torchvision", "torchvision.transforms"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]
    from compressai import zoo  # noqa: PLC0415

    return zoo
