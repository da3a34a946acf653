"""The engine that runs the transforms: the one in C where it was built, else torch."""

from __future__ import annotations

from vqcodec.engine.operations import Operations
from vqcodec.native.choice import kernels, threads


def make_operations() -> Operations:
    """Operations of the engine that `vqcodec.native.choice` tells, on as many threads as it says.

    Raises:
        VQCodecError: the environment asks for an engine that is not there.
    """
    if kernels() is None:
        from vqcodec.engine.torch_ops import TorchOps  # noqa: PLC0415  imports torch

        return TorchOps()
    from vqcodec.engine.native_ops import NativeOps  # noqa: PLC0415  not there where it was not built

    return NativeOps(threads())
