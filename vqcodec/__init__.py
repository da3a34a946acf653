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
from vqcodec._version import __version__
from vqcodec.types import ImageInfo, Limits

if TYPE_CHECKING:
    from vqcodec import torch as torch
    from vqcodec.batch.jobs import FileResult
    from vqcodec.batch.run import BatchReport, compress_batch, decompress_batch
    from vqcodec.codec import Codec
    from vqcodec.installation import features
    from vqcodec.loading import load
    from vqcodec.pillow_plugin import register_pillow_plugin
    from vqcodec.probing import probe, verify
    from vqcodec.thumbnails import Thumbnailer
    from vqcodec.weights.zoo import ModelInfo, list_models

__all__ = [
    "BatchReport",
    "Codec",
    "FileResult",
    "ImageInfo",
    "Limits",
    "ModelInfo",
    "Thumbnailer",
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
    "BatchReport": "vqcodec.batch.run",
    "Codec": "vqcodec.codec",
    "FileResult": "vqcodec.batch.jobs",
    "ModelInfo": "vqcodec.weights.zoo",
    "Thumbnailer": "vqcodec.thumbnails",
    "compress_batch": "vqcodec.batch.run",
    "decompress_batch": "vqcodec.batch.run",
    "features": "vqcodec.installation",
    "list_models": "vqcodec.weights.zoo",
    "load": "vqcodec.loading",
    "probe": "vqcodec.probing",
    "register_pillow_plugin": "vqcodec.pillow_plugin",
    "verify": "vqcodec.probing",
}
_TENSORS = "torch"
"""The module `vqcodec.torch`, which needs no import of its own."""


if not TYPE_CHECKING:  # for which any name would exist

    def __getattr__(name: str) -> Any:
        """Import the module that holds a public name (PEP 562)."""
        if name in _HOME:
            return getattr(importlib.import_module(_HOME[name]), name)
        if name == _TENSORS:
            return importlib.import_module(f"vqcodec.{name}")
        raise AttributeError(f"module 'vqcodec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
