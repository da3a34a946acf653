"""From a model's name to a ready `Codec`: weights and device; and a cache of loaded models."""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.codec import Codec
from vqcodec.devices import check_device as check_device
from vqcodec.devices import resolve_device as resolve_device
from vqcodec.errors import ModelMismatch
from vqcodec.weights import zoo
from vqcodec.weights.loaded import LoadedModel


def load(model: str | os.PathLike[str] = zoo.DEFAULT_MODEL, *, device: str = "auto") -> Codec:
    """Load a model.

    Args:
        model: a name on the search path (see `vqcodec.weights.zoo`), or the path of a .safetensors file.
        device: where the networks run: "cpu", "cuda", "cuda:N", "mps", or "auto": a CUDA device if there is
            one, but the CPU for effort 1 and for decoding if the engine in C was built, which is quicker than
            the start of torch. One that is not there falls back to the CPU with a RuntimeWarning. Files and
            pixels are the same on all; the entropy coder, its prior and the choice of codewords always run on
            the CPU. On "mps", which lacks float64, so do the transforms, and only efforts above 1 search
            there.

    Raises:
        ModelNotFound: no such model, or a damaged file.
        ValueError: an unknown kind of device.
    """
    check_device(device)
    _watch_forks()
    path = zoo.find_model(model)
    if device != "auto":  # which is settled where a device is needed, for only that should wait for torch
        device, note = resolve_device(device)
        if note:
            warnings.warn(note, RuntimeWarning, stacklevel=2)
    return Codec.of(LoadedModel.load(path, device), functools.partial(_again, path.absolute(), device))


@functools.cache
def _again(path: Path, device: str, tune: str) -> Codec:
    """A codec that came pickled: once in a process, however many tasks it comes with."""
    return load(path, device=device).tuned(tune)


@functools.cache
def _watch_forks() -> None:
    """See to it, from the first model on, that children made by fork can use torch."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    # The parent's OpenMP threads do not exist here, and the runtime would wait for them. The engine in C
    # looks after its own.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


class ModelCache:
    """Models loaded with the same options, each once; safe to use from several threads.

    Pickling keeps the options only: another process loads its own.
    """

    def __init__(self, **options: Any) -> None:
        """options: device, as for `load`."""
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
        """The codec of `model` if given, else of the first installed model with a file's fingerprint, or
        of the usual one if the file needs none.

        A file never names a path: only models on the search path are considered.

        Raises:
            ModelMismatch: no installed model has it; the message names those that are installed.
        """
        if model:
            return self.get(model)
        if bytes.fromhex(bitstream_id) == NO_MODEL:
            return self.get(zoo.DEFAULT_MODEL)
        info = zoo.find_by_id(bytes.fromhex(bitstream_id))
        if info is None:
            have = ", ".join(f"{known.name} {known.bitstream_id}" for known in zoo.list_models()) or "none"
            raise ModelMismatch(f"the file needs model {bitstream_id}, installed: {have}")
        return self.get(info.path)
