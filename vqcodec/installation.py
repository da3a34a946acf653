"""What this installation can do: versions, devices, models."""

from __future__ import annotations

from typing import Any

from vqcodec._version import __version__
from vqcodec.bitstream.header import MAJOR
from vqcodec.native.choice import engine
from vqcodec.weights import zoo

_LIBRARIES = ("torch", "numpy", "constriction", "pillow", "safetensors")


def features() -> dict[str, Any]:
    """Versions, devices and models of this installation; imports torch, which takes seconds.

    Returns:
        "format": the version of the file format.
        "engine": what runs the networks on the CPU: "native" with the CPU's instruction set, or "torch".
        "versions": of vqcodec and the libraries it stands on; None where one is missing.
        "devices": kinds of device that `load` can use here: "cpu", and "cuda" or "mps" where torch finds one.
        "models": names of the installed models.
    """
    import torch  # noqa: PLC0415  the command line asks for versions only

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return {
        "format": str(MAJOR),
        "engine": engine(),
        "versions": {"vqcodec": __version__} | {name: version(name) for name in _LIBRARIES},
        "devices": [kind for kind, available in there.items() if available],
        "models": [info.name for info in zoo.list_models()],
    }


def version(library: str) -> str | None:
    """Version of an installed library, or None."""
    from importlib import metadata  # noqa: PLC0415  slow, and hardly anything asks for versions

    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
