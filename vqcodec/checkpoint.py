"""The weights file: transforms in half precision beside the exact integers of the coded path.

    coding.*      integer prior, codewords, table codes: the bits depend on every one of them
    g_s.*, log_gain                              what turns latents to pixels
    g_a.*, h_a.*                                 the encoder's own business

Fingerprints are the first 8 bytes of SHA-256 over the sorted tensors (name, dtype, shape, data):
`bitstream_id` over coding.*, `decoder_id` over g_s.* and log_gain.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vqcodec.errors import ModelNotFound
from vqcodec.model.vqvae import ModelConfig, Transforms

FORMAT = "vqcodec-weights-2"
CODING = "coding."
_DECODER = ("g_s.", "log_gain")
_FULL_PRECISION = ("log_gain", "g_s.deviation", "g_a.lapping", "g_s.lapping")


@dataclass(frozen=True)
class Weights:
    """A loaded weights file."""

    name: str
    config: ModelConfig
    transforms: Transforms
    coding: dict[str, np.ndarray]
    bitstream_id: bytes
    decoder_id: bytes


def fingerprint(tensors: Mapping[str, np.ndarray]) -> bytes:
    """First 8 bytes of SHA-256 over a canonical serialisation of named arrays."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        shape = ",".join(str(n) for n in array.shape)
        digest.update(f"{name}:{array.dtype.name}:{shape}\n".encode())
        digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
    return digest.digest()[:8]


def identities(tensors: Mapping[str, np.ndarray]) -> tuple[bytes, bytes]:
    """(bitstream_id, decoder_id) of a weights file's tensors."""
    coding = {n: t for n, t in tensors.items() if n.startswith(CODING)}
    decoder = {n: t for n, t in tensors.items() if n.startswith(_DECODER)}
    return fingerprint(coding), fingerprint(decoder)


def save_weights(
    path: str | os.PathLike[str],
    transforms: Transforms,
    coding: Mapping[str, np.ndarray],
    notes: Mapping[str, str],
) -> tuple[bytes, bytes]:
    """Write a weights file atomically; `notes` are further entries of its string map.

    Returns:
        bitstream_id and decoder_id.
    """
    tensors = {CODING + n: np.ascontiguousarray(a) for n, a in coding.items()}
    for name, tensor in transforms.state_dict().items():
        if not name.startswith(("g_a.", "g_s.", "h_a.", "log_gain")):
            continue
        kind = torch.float32 if name in _FULL_PRECISION else torch.float16
        tensors[name] = tensor.detach().to("cpu", kind).contiguous().numpy()
    bitstream_id, decoder_id = identities(tensors)
    metadata = {
        **notes,
        "format": FORMAT,
        "config": json.dumps(transforms.config.to_dict()),
        "bitstream_id": bitstream_id.hex(),
        "decoder_id": decoder_id.hex(),
    }
    temporary = Path(path).with_suffix(".tmp")
    save_file(tensors, temporary, metadata=metadata)
    # safetensors makes its files private; weights are read by whoever runs the codec.
    temporary.chmod(0o644)
    temporary.replace(path)
    return bitstream_id, decoder_id


def load_weights(path: str | os.PathLike[str], device: str = "cpu") -> Weights:
    """Read a weights file and check it against its own fingerprints.

    Raises:
        ModelNotFound: missing, unreadable, of another format, incomplete, or damaged.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") != FORMAT:
                raise ModelNotFound(f"{path}: not a weights file of format {FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
        ids = identities(tensors)
        if (metadata["bitstream_id"], metadata["decoder_id"]) != (ids[0].hex(), ids[1].hex()):
            raise ModelNotFound(f"{path}: weights do not match their own fingerprints; the file is damaged")
        with torch.device("meta"):
            transforms = Transforms(config)
        state = {n: torch.from_numpy(t).float() for n, t in tensors.items() if not n.startswith(CODING)}
        transforms.load_state_dict(state, assign=True)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelNotFound(f"{path}: cannot load weights: {reason}") from error
    # torch's stubs leave memory_format out.
    transforms.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    transforms.eval().requires_grad_(False)
    coding = {n.removeprefix(CODING): t for n, t in tensors.items() if n.startswith(CODING)}
    return Weights(metadata.get("name", Path(path).stem), config, transforms, coding, *ids)
