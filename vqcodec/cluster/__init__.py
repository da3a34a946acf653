"""Datasets on a Ray cluster: the extra `vqcodec[ray]`.

    from vqcodec.cluster import compress_dataset

    report = compress_dataset("s3://bucket/photos", "s3://bucket/coded", quality=60, skip_existing=True)

docs/scale.md tells how to run it, what fails, and what it costs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqcodec.cluster.datasets import compress_dataset, decompress_dataset
    from vqcodec.cluster.run import DatasetReport, Setting

__all__ = ["DatasetReport", "Setting", "compress_dataset", "decompress_dataset"]

_HOME = {
    "DatasetReport": "vqcodec.cluster.run",
    "Setting": "vqcodec.cluster.run",
    "compress_dataset": "vqcodec.cluster.datasets",
    "decompress_dataset": "vqcodec.cluster.datasets",
}


if not TYPE_CHECKING:  # for which any name would exist

    def __getattr__(name: str) -> Any:
        """Import the module that holds a public name; they need pyarrow."""
        if name not in _HOME:
            raise AttributeError(f"module 'vqcodec.cluster' has no attribute {name!r}")
        try:
            return getattr(importlib.import_module(_HOME[name]), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "pyarrow":
                raise
            raise ModuleNotFoundError(
                "pyarrow is missing: pip install 'vqcodec[ray]'", name="pyarrow"
            ) from error
