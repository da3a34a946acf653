"""Which device a name like "auto" or "cuda:1" stands for on this machine."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from vqcodec.types import check_kind

_DRIVERS = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
"""The library of NVIDIA's driver by `sys.platform`."""
_AMD_DRIVER = Path("/dev/kfd")


def check_device(device: str) -> tuple[str, str]:
    """Split "cuda:1" into ("cuda", "1"), without a look at what is there.

    Raises:
        TypeError: no text.
        ValueError: not auto, cpu, cuda, cuda:N or mps.
    """
    check_kind("device", device, str, "name")
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, not {device!r}")
    return kind, number


def may_have_card() -> bool:
    """Whether a driver for graphics cards is there that torch could use; asked without importing torch."""
    if _AMD_DRIVER.exists():
        return True
    try:
        return bool(ctypes.CDLL(_DRIVERS[sys.platform]).cuInit(0) == 0)
    except (KeyError, OSError, AttributeError):
        return False


def resolve_device(device: str) -> tuple[str, str | None]:
    """Choose a device that exists.

    Returns:
        Its name, and a line of explanation when it is not the one asked for.

    Raises:
        ValueError: not auto, cpu, cuda, cuda:N or mps.
    """
    kind, number = check_device(device)
    if kind == "cpu" or (kind == "auto" and not may_have_card()):
        return "cpu", None
    import torch  # noqa: PLC0415  takes seconds, and is not needed without a card

    cuda = torch.cuda.is_available()
    if kind == "auto":
        return ("cuda" if cuda else "cpu"), None
    there = cuda and int(number or 0) < torch.cuda.device_count()
    if kind == "mps":
        there = torch.backends.mps.is_available()
    return (device, None) if there else ("cpu", f"device {device} is not available, using the CPU")
