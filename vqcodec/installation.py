"""What this installation can do, found out without the seconds that importing torch takes."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from vqcodec import __version__
from vqcodec.bitstream.header import MAJOR
from vqcodec.weights import zoo

_LIBRARIES = ("torch", "numpy", "constriction", "pillow", "safetensors")


def features() -> dict[str, Any]:
    """Versions, devices and models of this installation; never imports torch.

    Returns:
        "format": the version of the file format.
        "versions": of vqcodec and the libraries it stands on; None where one is missing.
        "devices": kinds of device for `load`: "cpu", "cuda" if torch is built for it and an NVIDIA driver
            shows a device, "mps" on Apple's own processors. That a device works, only `load` finds out.
        "models": names of the installed models.
    """
    return {
        "format": str(MAJOR),
        "versions": {"vqcodec": __version__} | {name: _version(name) for name in _LIBRARIES},
        "devices": devices(),
        "models": [info.name for info in zoo.list_models()],
    }


def devices() -> list[str]:
    """The "devices" of `features`."""
    found = ["cpu"]
    if _torch_has_cuda() and _cuda_is_visible() and _nvidia_devices():
        found.append("cuda")
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.append("mps")
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch_has_cuda() -> bool:
    """Whether the installed torch was built for CUDA, as the file its build leaves behind says."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^cuda\b[^=]*=\s*['\"]", text, re.MULTILINE) is not None


def _cuda_is_visible() -> bool:
    """CUDA_VISIBLE_DEVICES hides every device when it is empty or starts with an invalid number."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible is None or (visible.strip() != "" and not visible.strip().startswith("-"))


def _nvidia_devices() -> int:
    """Number of devices the NVIDIA driver knows; its management library starts no CUDA in this process."""
    count = ctypes.c_uint(0)
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        if library.nvmlInit_v2() != 0:
            return 0
        library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return 0
    return count.value
