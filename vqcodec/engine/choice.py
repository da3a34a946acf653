"""The engine that runs the transforms: torch on a CUDA device, else the one in C where it was built."""

from __future__ import annotations

from vqcodec.devices import resolve_device
from vqcodec.engine.operations import Operations
from vqcodec.native.choice import kernels, threads


def make_operations(device: str = "cpu") -> Operations:
    """Operations on a CUDA device, or on the CPU by the engine and the threads `vqcodec.native.choice` tells.

    Args:
        device: one that exists, or "auto": a CUDA device where there is one and no engine in C, whose start
            takes no seconds. The CPU stands in for "mps", which has no float64, and so no exact sums of
            products of 16 bits.

    Raises:
        VQCodecError: the environment asks for an engine that is not there.
    """
    if device == "auto":
        device = "cpu" if kernels() is not None else resolve_device(device)[0]
    on_card = device.startswith("cuda")
    if on_card or kernels() is None:
        from vqcodec.engine.torch_ops import TorchOps  # noqa: PLC0415  imports torch

        return TorchOps(device if on_card else "cpu")
    from vqcodec.engine.native_ops import NativeOps  # noqa: PLC0415  not there where it was not built

    return NativeOps(threads())
