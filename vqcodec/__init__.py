"""vqcodec: a neural image codec with its own file format.

    codec = vqcodec.load()
    data = codec.compress("photo.png", quality=50)
    image = codec.decompress(data)

Importing this package is cheap: names resolve on first use, and torch is imported by `load` only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vqcodec import errors
from vqcodec.types import ImageInfo, Limits

if TYPE_CHECKING:
    from vqcodec.batch import BatchReport, compress_batch, decompress_batch
    from vqcodec.codec import Codec
    from vqcodec.inspection import probe, verify
    from vqcodec.installation import features
    from vqcodec.jobs import FileResult
    from vqcodec.loading import load
    from vqcodec.pillow_plugin import register_pillow_plugin
    from vqcodec.zoo import ModelInfo, list_models

__version__ = "0.1.0"

__all__ = [
    "BatchReport",
    "Codec",
    "FileResult",
    "ImageInfo",
    "Limits",
    "ModelInfo",
    "__version__",
    "compress_batch",
    "decompress_batch",
    "errors",
    "features",
    "list_models",
    "load",
    "probe",
    "register_pillow_plugin",
    "verify",
]

_HOME = {
    "BatchReport": "vqcodec.batch",
    "Codec": "vqcodec.codec",
    "FileResult": "vqcodec.jobs",
    "ModelInfo": "vqcodec.zoo",
    "compress_batch": "vqcodec.batch",
    "decompress_batch": "vqcodec.batch",
    "features": "vqcodec.installation",
    "list_models": "vqcodec.zoo",
    "load": "vqcodec.loading",
    "probe": "vqcodec.inspection",
    "register_pillow_plugin": "vqcodec.pillow_plugin",
    "verify": "vqcodec.inspection",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name (PEP 562)."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'vqcodec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
