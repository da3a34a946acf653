"""The weights file: transforms in 8 and 16 bits beside the exact integers of the coded path.

    coding.*      integer prior, codewords, table codes: the bits depend on every one of them
    g_s.*, log_gain                              what turns latents to pixels
    g_a.*, h_a.*                                 the encoder's own business
    realism.*                                    optional: a second g_s, tuned for looks (see `--realism`)

Weights of the transforms' convolutions are in 8 bits (`vqcodec.weights.packing`), in files of format 2 in 16
as the rest.
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

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vqcodec.errors import ModelNotFound
from vqcodec.model.config import ModelConfig
from vqcodec.model.restoration import SAYS_NOTHING_AT_ZERO
from vqcodec.model.vqvae import Transforms
from vqcodec.weights.packing import SCALE, is_packed, pack, unpack

FORMAT = "vqcodec-weights-4"
FORMATS = ("vqcodec-weights-2", "vqcodec-weights-3", FORMAT)
"""What is read."""
CODING = "coding."
REALISM = "realism."
_DECODER = ("g_s.", "log_gain")
_ADDS = tuple(f"g_s.restoration.{layer}." for layer in SAYS_NOTHING_AT_ZERO)
_FULL_PRECISION = ("log_gain", "g_s.deviation", "g_a.lapping", "g_s.lapping")


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
    tensors |= _arrays(transforms, ("g_a.", "g_s.", "h_a.", "log_gain"))
    bitstream_id, decoder_id = identities(tensors)
    metadata = {
        **notes,
        "format": FORMAT,
        "config": json.dumps(transforms.config.to_dict()),
        "bitstream_id": bitstream_id.hex(),
        "decoder_id": decoder_id.hex(),
    }
    _write(path, tensors, metadata)
    return bitstream_id, decoder_id


def _arrays(transforms: Transforms, prefixes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Tensors of these names as a weights file holds them."""
    arrays: dict[str, np.ndarray] = {}
    for name, tensor in transforms.state_dict().items():
        if name.startswith(prefixes):
            arrays |= _stored(name, tensor)
    return arrays


def _stored(name: str, tensor: torch.Tensor) -> dict[str, np.ndarray]:
    """A parameter of the transforms as a weights file holds it: one tensor, or two."""
    array = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    if is_packed(name, array.shape):
        return pack(name, array)
    return {name: array if name in _FULL_PRECISION else array.astype(np.float16)}


def _write(path: str | os.PathLike[str], tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    temporary = Path(path).with_suffix(".tmp")
    save_file(tensors, temporary, metadata=metadata)
    # safetensors makes its files private; weights are read by whoever runs the codec.
    temporary.chmod(0o644)
    temporary.replace(path)


def add_realism(
    source: str | os.PathLike[str], tuned: Mapping[str, torch.Tensor], path: str | os.PathLike[str]
) -> None:
    """Copy a weights file with `tuned` as its perceptual decoder, replacing one that it had.

    Args:
        tuned: parameters by their names in g_s.

    Raises:
        ModelNotFound: the file cannot be read, or g_s has no parameters of these names and shapes.
    """
    tensors, metadata = _read(source)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(REALISM)}
    added: dict[str, np.ndarray] = {}
    for name, parameter in tuned.items():
        twin = tensors.get("g_s." + name)
        if twin is None or twin.shape != parameter.shape:
            raise ModelNotFound(f"{source}: g_s has no parameter like {name}")
        added |= _stored(REALISM + name, parameter)
    _write_realism(path, tensors, added, metadata)


def _write_realism(
    path: str | os.PathLike[str],
    tensors: dict[str, np.ndarray],
    realism: dict[str, np.ndarray],
    metadata: dict[str, str],
) -> None:
    """What a perceptual decoder does not have of the restoration, it was tuned without: zero there."""
    for name, tensor in tensors.items():
        if name.startswith(_ADDS) and not name.endswith(SCALE):
            closed = _stored(REALISM + name.removeprefix("g_s."), torch.zeros(tensor.shape))
            realism = closed | realism
    notes = {"realism_id": fingerprint(realism).hex(), "format": FORMAT}
    _write(path, tensors | realism, metadata | notes)


def replace_decoder(
    source: str | os.PathLike[str], transforms: Transforms, path: str | os.PathLike[str]
) -> bytes:
    """Copy a weights file with the g_s of `transforms`, which may be larger: the same bits, other pixels.

    Returns:
        decoder_id.

    Raises:
        ModelNotFound: the file cannot be read, or latents, gains or its perceptual decoder are others.
    """
    tensors, metadata = _read(source)
    config = transforms.config
    old = ModelConfig.from_dict(json.loads(metadata["config"]))
    decoder_sizes = {name: getattr(config, name) for name in ("synthesis", "restoration", "guided")}
    if replace(old, **decoder_sizes) != config:
        raise ModelNotFound(f"{source}: its latents are of other sizes")
    if not np.array_equal(tensors["log_gain"], _stored("log_gain", transforms.log_gain)["log_gain"]):
        raise ModelNotFound(f"{source}: its gains are others, the decoder was trained for other latents")
    decoder = _arrays(transforms, ("g_s.",))
    realism = {name: tensor for name, tensor in tensors.items() if name.startswith(REALISM)}
    for name, tensor in unpack(realism).items():
        twin = decoder.get("g_s." + name.removeprefix(REALISM))
        if twin is None or twin.shape != tensor.shape:
            raise ModelNotFound(f"{source}: its perceptual decoder is of other sizes")
    kept = {n: t for n, t in tensors.items() if not n.startswith(("g_s.", REALISM))} | decoder
    decoder_id = identities(kept)[1]
    metadata |= {"config": json.dumps(config.to_dict()), "decoder_id": decoder_id.hex(), "format": FORMAT}
    if realism:
        _write_realism(path, kept, realism, metadata)
    else:
        _write(path, kept, metadata)
    return decoder_id


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and string map of a weights file, checked against its fingerprints.

    Raises:
        ModelNotFound: missing, unreadable, of another format, or damaged.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") not in FORMATS:
                raise ModelNotFound(f"{path}: not a weights file of format {FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        realism = {name: tensor for name, tensor in tensors.items() if name.startswith(REALISM)}
        found = [*identities(tensors), *([fingerprint(realism)] if realism else [])]
        names = ("bitstream_id", "decoder_id", "realism_id")
        stated = [metadata[name] for name in names[: len(found)]]
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelNotFound(f"{path}: cannot load weights: {str(error).splitlines()[0]}") from error
    if stated != [identity.hex() for identity in found]:
        raise ModelNotFound(f"{path}: weights do not match their own fingerprints; the file is damaged")
    return tensors, metadata


# Tensors made in inference mode take no part in gradients, which `vqcodec.compress.feedback` wants.
@torch.inference_mode(False)
def load_weights(path: str | os.PathLike[str], device: str = "cpu") -> Weights:
    """Read a weights file and check it against its own fingerprints.

    Raises:
        ModelNotFound: missing, unreadable, of another format, incomplete, or damaged.
    """
    tensors, metadata = _read(path)
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
    # Checked by _read; hashing them again would add to every start.
    ids = [bytes.fromhex(metadata[name]) for name in ("bitstream_id", "decoder_id")]
    realism_id = bytes.fromhex(metadata["realism_id"]) if realism else b""
    name = metadata.get("name", Path(path).stem)
    return Weights(name, config, transforms, groups[CODING], ids[0], ids[1], realism, realism_id)
