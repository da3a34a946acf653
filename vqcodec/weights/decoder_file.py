"""The decoder's half of a weights file, packed for the web: about half its size, every tensor exactly.

    tensors coding.*, g_s.*, log_gain, realism.* --filter--> bytes --deflate--> uint8 (n,), safetensors

The string map says of each tensor what it was (`tensors`, JSON: name -> type, shape, filter) and has the
fingerprints, which a reader checks after unpacking. Filters make bytes more alike, modulo 256:

    planes  all first bytes of the elements, then all second ones, ...; elements of one byte stay as they are
    turned  the last axis stands first
    rows    differences along the second axis
    twin    differences from the tensor g_s.X, for a tensor realism.X; planes of them

`web/src/model/packed.js` unpacks it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import ModelNotFound
from vqcodec.files import write_atomic
from vqcodec.weights.checkpoint import REALISM, Arrays, read_tensors

FORMAT = "vqcodec-decoder-1"
INDEX = "models.json"
"""Beside the files: which of them decodes files of a bitstream_id."""
_PARTS = ("coding.", "g_s.", "log_gain", REALISM)
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED)
_KEPT = ("name", "bitstream_id", "decoder_id", "realism_id", "config")


def pack_decoder(path: str | os.PathLike[str]) -> tuple[str, bytes]:
    """A decoder's weights file of a model: its name, which the fingerprints are, and its bytes.

    Raises:
        ModelNotFound: the model's file cannot be read, or is damaged.
    """
    tensors, metadata = read_tensors(path)
    index: dict[str, tuple[str, list[int], str]] = {}
    packed: Arrays = {}
    for name in sorted(name for name in tensors if name.startswith(_PARTS)):
        tensor = np.ascontiguousarray(tensors[name])
        twin = tensors.get(f"g_s.{name.removeprefix(REALISM)}") if name.startswith(REALISM) else None
        # Looking for repeats takes five times as long, and changes little of which filter is best.
        choices = [
            (kind, data, _deflated(data, zlib.Z_HUFFMAN_ONLY)) for kind, data in _filtered(tensor, twin)
        ]
        kind, data, least = min(choices, key=lambda choice: len(choice[2]))
        index[name] = tensor.dtype.name, list(tensor.shape), kind
        made = [least, *(_deflated(data, strategy) for strategy in _STRATEGIES)]
        packed[name] = np.frombuffer(min(made, key=len), np.uint8)
    notes = {key: metadata[key] for key in _KEPT if key in metadata}
    notes |= {"format": FORMAT, "tensors": json.dumps(index, separators=(",", ":"))}
    ids = (metadata.get(key) for key in ("bitstream_id", "decoder_id", "realism_id"))
    return "-".join(part for part in ids if part) + ".safetensors", _serialised(packed, notes)


def export_decoder(model: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Write a model's decoder file to a folder, and name it in the folder's index; returns its path.

    Raises:
        ModelNotFound: the model's file cannot be read; or the index is none.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)  # packing takes seconds
    name, data = pack_decoder(model)
    index = folder / INDEX
    try:
        known = dict(json.loads(index.read_text(encoding="utf-8"))) if index.exists() else {}
    except ValueError as error:
        raise ModelNotFound(f"{index}: not an index of models") from error
    write_atomic(folder / name, data)
    known[name.split("-")[0].removesuffix(".safetensors")] = name
    write_atomic(index, json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
    return folder / name


def _serialised(tensors: Arrays, notes: dict[str, str]) -> bytes:
    """A safetensors file; the library's own writer puts notes in another order each time."""
    header: dict[str, Any] = {"__metadata__": notes}
    start = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "U8", "shape": [tensor.size], "data_offsets": [start, start + tensor.size]}
        start += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join(
        (len(text).to_bytes(8, "little"), text, *(tensor.tobytes() for tensor in tensors.values()))
    )


def _filtered(tensor: NDArray[np.generic], twin: NDArray[np.generic] | None) -> Iterator[tuple[str, bytes]]:
    """What each filter makes of a tensor."""
    yield "planes", _planes(tensor)
    if tensor.dtype.itemsize == 1 and tensor.ndim > 1:
        bytes_ = tensor.view(np.uint8)
        yield "turned", np.ascontiguousarray(np.moveaxis(bytes_, -1, 0)).tobytes()
        yield "rows", np.diff(bytes_, axis=1, prepend=np.zeros_like(bytes_[:, :1])).tobytes()
    if twin is not None and tensor.dtype.kind == "i" and twin.dtype == tensor.dtype:
        yield "twin", _planes(np.subtract(tensor, twin))


def _planes(tensor: NDArray[np.generic]) -> bytes:
    width = tensor.dtype.itemsize
    little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
    return np.frombuffer(little.tobytes(), np.uint8).reshape(-1, width).T.tobytes()


def _deflated(data: bytes, strategy: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
    return stream.compress(data) + stream.flush()
