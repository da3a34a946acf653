"""Reading weights files, all in integers and what scales them.

    coding.*      integer prior, codewords, table codes: the bits depend on every one of them
    g_s.*, log_gain                              what turns latents to pixels
    g_a.*, h_a.*                                 the encoder's own business
    realism.*                                    optional: what differs in a second g_s, tuned for looks

Tables over the dial (modulation, log_gain, biases of the prior) have a row per knot, (9, n), or in a model
with two tunes (2, 9, n). Layers of the transforms are those of `vqcodec.engine`; `vqcodec.weights.restore`
makes float models of them.

Fingerprints are the first 8 bytes of SHA-256 over the sorted tensors (name, dtype, shape, data):
`bitstream_id` over coding.*, `decoder_id` over g_s.* and log_gain, `realism_id` over realism.*.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from vqcodec.errors import ModelNotFound
from vqcodec.model.config import ModelConfig
from vqcodec.types import TUNES

FORMAT = "vqcodec-weights-1"
CODING = "coding."
REALISM = "realism."
Arrays = dict[str, NDArray[Any]]
_IDS = {"bitstream_id": (CODING,), "decoder_id": ("g_s.", "log_gain"), "realism_id": (REALISM,)}
"""Beginnings of the names of the tensors that each fingerprint covers."""


@dataclass(frozen=True)
class Weights:
    """A loaded weights file.

    Attributes:
        transforms: the arrays g_a.*, h_a.*, g_s.* and log_gain, by these names.
        coding: those of the coded path, without their prefix.
        realism: what a perceptual decoder has instead of arrays g_s.*; empty if there is none.
        realism_id: its fingerprint, empty like it.
    """

    name: str
    config: ModelConfig
    transforms: Arrays
    coding: Arrays
    bitstream_id: bytes
    decoder_id: bytes
    realism: Arrays = field(default_factory=dict)
    realism_id: bytes = b""

    def of_tune(self, tune: str) -> Weights:
        """The weights of one tune, as a model with no other; a model with one is the same for both."""
        if self.config.tunes == 1:
            return self
        number = TUNES.index(tune)
        transforms, coding, realism = (
            _of_tune(arrays, number) for arrays in (self.transforms, self.coding, self.realism)
        )
        config = replace(self.config, tunes=1)
        return replace(self, config=config, transforms=transforms, coding=coding, realism=realism)


def _of_tune(arrays: Arrays, number: int) -> Arrays:
    """Arrays with only one tune's tables over the dial."""
    tables = ("modulation", "log_gain", "bias")
    return {n: a[number] if n.endswith(tables) and a.ndim == 3 else a for n, a in arrays.items()}


def fingerprint(tensors: Mapping[str, np.ndarray]) -> bytes:
    """First 8 bytes of SHA-256 over a canonical serialisation of named arrays."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        shape = ",".join(str(n) for n in array.shape)
        digest.update(f"{name}:{array.dtype.name}:{shape}\n".encode())
        digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data)
    return digest.digest()[:8]


def identities(tensors: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The fingerprints of a weights file's tensors by their names; no realism_id without such tensors."""
    parts = {key: {n: t for n, t in tensors.items() if n.startswith(begin)} for key, begin in _IDS.items()}
    return {key: fingerprint(part) for key, part in parts.items() if part or key != "realism_id"}


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and string map of a weights file, checked against its fingerprints.

    Raises:
        ModelNotFound: missing, unreadable, of another format, or damaged.
    """
    try:
        Path(path).open("rb").close()  # safetensors takes what may not be read for missing
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") != FORMAT:
                raise ModelNotFound(f"{path}: not a weights file of format {FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        damaged = [key for key, found in identities(tensors).items() if metadata[key] != found.hex()]
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelNotFound(f"{path}: cannot load weights: {str(error).splitlines()[0]}") from error
    if damaged:
        raise ModelNotFound(f"{path}: weights do not match their own fingerprints; the file is damaged")
    return tensors, metadata


def load_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file and check it against its own fingerprints.

    Raises:
        ModelNotFound: missing, unreadable, of another format, or damaged.
    """
    tensors, metadata = read_tensors(path)
    groups: dict[str, Arrays] = {CODING: {}, REALISM: {}, "": {}}
    for name, tensor in tensors.items():
        prefix = next(p for p in groups if name.startswith(p))
        groups[prefix][name.removeprefix(prefix)] = tensor
    try:
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelNotFound(f"{path}: cannot load weights: {str(error).splitlines()[0]}") from error
    realism = {f"g_s.{name}": array for name, array in groups[REALISM].items()}
    # Checked by read_tensors; hashing them again would add to every start.
    ids = {key: bytes.fromhex(metadata[key]) for key in _IDS if realism or key != "realism_id"}
    name = metadata.get("name", Path(path).stem)
    return Weights(name, config, groups[""], groups[CODING], realism=realism, **ids)
