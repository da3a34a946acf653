"""Reading weights files: transforms in 8 and 16 bits beside the exact integers of the coded path.

    coding.*      integer prior, codewords, table codes: the bits depend on every one of them
    g_s.*, log_gain                              what turns latents to pixels
    g_a.*, h_a.*                                 the encoder's own business
    realism.*                                    optional: a second g_s, tuned for looks (see `--realism`)

Weights of the transforms' convolutions are in 8 bits (`vqcodec.weights.packing`).
Fingerprints are the first 8 bytes of SHA-256 over the sorted tensors (name, dtype, shape, data):
`bitstream_id` over coding.*, `decoder_id` over g_s.* and log_gain, `realism_id` over realism.*.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from vqcodec.errors import ModelNotFound
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import Transforms
from vqcodec.weights.packing import unpack

FORMATS = ("vqcodec-weights-1", "vqcodec-weights-4")
"""Names of the one format: the first is written, the second goes with the next default model."""
CODING = "coding."
REALISM = "realism."
_IDS = {"bitstream_id": (CODING,), "decoder_id": ("g_s.", "log_gain"), "realism_id": (REALISM,)}
"""Beginnings of the names of the tensors that each fingerprint covers."""


@dataclass(frozen=True)
class Weights:
    """A loaded weights file.

    Attributes:
        realism: the perceptual decoder's parameters, by their names in g_s; empty if there is none.
        realism_id: their fingerprint, empty like them.
    """

    name: str
    config: ModelConfig
    transforms: Transforms
    coding: dict[str, np.ndarray]
    bitstream_id: bytes
    decoder_id: bytes
    realism: dict[str, torch.Tensor] = field(default_factory=dict)
    realism_id: bytes = b""


def fingerprint(tensors: Mapping[str, np.ndarray]) -> bytes:
    """First 8 bytes of SHA-256 over a canonical serialisation of named arrays."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        shape = ",".join(str(n) for n in array.shape)
        digest.update(f"{name}:{array.dtype.name}:{shape}\n".encode())
        digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
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
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") not in FORMATS:
                raise ModelNotFound(f"{path}: not a weights file of format {FORMATS[0]}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        damaged = [key for key, found in identities(tensors).items() if metadata[key] != found.hex()]
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelNotFound(f"{path}: cannot load weights: {str(error).splitlines()[0]}") from error
    if damaged:
        raise ModelNotFound(f"{path}: weights do not match their own fingerprints; the file is damaged")
    return tensors, metadata


# Tensors made in inference mode take no part in gradients, which `vqcodec.compress.feedback` wants.
@torch.inference_mode(False)
def load_weights(path: str | os.PathLike[str], device: str = "cpu") -> Weights:
    """Read a weights file and check it against its own fingerprints.

    Raises:
        ModelNotFound: missing, unreadable, of another format, incomplete, or damaged.
    """
    tensors, metadata = read_tensors(path)
    groups: dict[str, dict[str, np.ndarray]] = {CODING: {}, REALISM: {}, "": {}}
    for name, tensor in tensors.items():
        prefix = next(p for p in groups if name.startswith(p))
        groups[prefix][name.removeprefix(prefix)] = tensor
    try:
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
        with torch.device("meta"):
            transforms = Transforms(config)
        transforms.load_state_dict(
            {n: torch.from_numpy(t) for n, t in unpack(groups[""]).items()}, assign=True
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelNotFound(f"{path}: cannot load weights: {reason}") from error
    # torch's stubs leave memory_format out.
    transforms.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    transforms.eval().requires_grad_(False)
    realism = {n: torch.from_numpy(t).to(device) for n, t in unpack(groups[REALISM]).items()}
    # Checked by read_tensors; hashing them again would add to every start.
    ids = {key: bytes.fromhex(metadata[key]) for key in _IDS if realism or key != "realism_id"}
    name = metadata.get("name", Path(path).stem)
    return Weights(name, config, transforms, groups[CODING], realism=realism, **ids)
