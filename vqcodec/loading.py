"""From a model's name to a ready `Codec`: weights and device; and a cache of loaded models."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from typing import Any

from vqcodec.codec import Codec
from vqcodec.devices import check_device as check_device
from vqcodec.devices import resolve_device as resolve_device
from vqcodec.errors import ModelMismatch
from vqcodec.types import PRECISIONS
from vqcodec.weights import zoo

GPU_BATCH = 8


def load(
    model: str | os.PathLike[str] = zoo.DEFAULT_MODEL,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    precision: str = "auto",
) -> Codec:
    """Load a model.

    Args:
        model: a name on the search path (see `vqcodec.weights.zoo`), or the path of a .safetensors file.
        device: "auto" (a CUDA device if there is one, else the CPU), "cpu", "cuda", "cuda:N" or "mps". One
            that is not there falls back to the CPU with a RuntimeWarning.
        batch_size: tiles of a picture that go through a network at once, about 0.3 GB of memory each; None
            means 1 on a CPU, which gains nothing by more, and 8 elsewhere.
        precision: of the transforms: "float32", "bfloat16", or "auto", which is bfloat16 on a CPU with
            matrix units for it, and faster there. Indices decode alike in either; pixels of float32 differ by
            1 of 255 at most between machines.

    Raises:
        ModelNotFound: no such model, or a damaged file.
        ValueError: an unknown kind of device or precision, or a `batch_size` below 1.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    path = zoo.find_model(model)
    chosen, note = resolve_device(device)
    if note:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    from vqcodec.model.precision import in_bfloat16  # noqa: PLC0415  torch is imported here and not before
    from vqcodec.weights.loaded import LoadedModel  # noqa: PLC0415

    batch = batch_size or (1 if chosen == "cpu" else GPU_BATCH)
    return Codec.of(LoadedModel.load(path, chosen, batch, in_bfloat16(precision, chosen)))


class ModelCache:
    """Models loaded with the same options, each once; safe to use from several threads.

    Pickling keeps the options only: another process loads its own.
    """

    def __init__(self, **options: Any) -> None:
        """options: device, batch_size and precision, as for `load`."""
        self._options = options
        self._loaded: dict[str, Codec] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return functools.partial(ModelCache, **self._options), ()

    def get(self, model: str | os.PathLike[str]) -> Codec:
        """The codec of a model's name or path; raises what `load` raises."""
        key = os.fspath(model)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load(model, **self._options)
            return self._loaded[key]

    def for_file(self, bitstream_id: str, model: str | os.PathLike[str] | None = None) -> Codec:
        """The codec of `model` if given, else of the first installed model with a file's fingerprint.

        A file never names a path: only models on the search path are considered.

        Raises:
            ModelMismatch: no installed model has it; the message names those that are installed.
        """
        if model:
            return self.get(model)
        info = zoo.find_by_id(bytes.fromhex(bitstream_id))
        if info is None:
            have = ", ".join(f"{known.name} {known.bitstream_id}" for known in zoo.list_models()) or "none"
            raise ModelMismatch(f"the file needs model {bitstream_id}, installed: {have}")
        return self.get(info.path)
