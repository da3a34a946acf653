"""Writing weights files; used by training only. What they hold is told in `vqcodec.weights.checkpoint`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from safetensors.numpy import save

from vqcodec.errors import ModelNotFound
from vqcodec.files import write_atomic
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import Transforms
from vqcodec.weights.checkpoint import CODING, FORMATS, REALISM, identities, read_tensors
from vqcodec.weights.packing import is_packed, pack, unpack

_FULL_PRECISION = ("log_gain", "g_s.deviation", "g_a.lapping", "g_s.lapping")


def save_weights(
    path: str | os.PathLike[str],
    transforms: Transforms,
    coding: Mapping[str, np.ndarray],
    notes: Mapping[str, str],
) -> tuple[bytes, bytes]:
    """Write a weights file; `notes` are further entries of its string map.

    Returns:
        bitstream_id and decoder_id.
    """
    tensors = {CODING + n: np.ascontiguousarray(a) for n, a in coding.items()}
    tensors |= _arrays(transforms, ("g_a.", "g_s.", "h_a.", "log_gain"))
    return _write(path, tensors, {**notes, "config": json.dumps(transforms.config.to_dict())})


def add_realism(
    source: str | os.PathLike[str], tuned: Mapping[str, torch.Tensor], path: str | os.PathLike[str]
) -> None:
    """Copy a weights file with `tuned` as its perceptual decoder, replacing one that it had.

    Args:
        tuned: parameters by their names in g_s; the others are shared with the fidelity decoder.

    Raises:
        ModelNotFound: the file cannot be read, or g_s has no parameters of these names and shapes.
    """
    tensors, metadata = read_tensors(source)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(REALISM)}
    for name, parameter in tuned.items():
        twin = tensors.get("g_s." + name)
        if twin is None or twin.shape != parameter.shape:
            raise ModelNotFound(f"{source}: g_s has no parameter like {name}")
        tensors |= _stored(REALISM + name, parameter)
    _write(path, tensors, metadata)


def replace_decoder(
    source: str | os.PathLike[str], transforms: Transforms, path: str | os.PathLike[str]
) -> bytes:
    """Copy a weights file with the g_s of `transforms`, which may be larger: the same bits, other pixels.

    Returns:
        decoder_id.

    Raises:
        ModelNotFound: the file cannot be read, or latents, gains or its perceptual decoder are others.
    """
    tensors, metadata = read_tensors(source)
    config = transforms.config
    old = ModelConfig.from_dict(json.loads(metadata["config"]))
    if replace(old, synthesis=config.synthesis, restoration=config.restoration) != config:
        raise ModelNotFound(f"{source}: its latents are of other sizes")
    if not np.array_equal(tensors["log_gain"], _stored("log_gain", transforms.log_gain)["log_gain"]):
        raise ModelNotFound(f"{source}: its gains are others, the decoder was trained for other latents")
    decoder = _arrays(transforms, ("g_s.",))
    realism = {name: tensor for name, tensor in tensors.items() if name.startswith(REALISM)}
    for name, tensor in unpack(realism).items():
        twin = decoder.get("g_s." + name.removeprefix(REALISM))
        if twin is None or twin.shape != tensor.shape:
            raise ModelNotFound(f"{source}: its perceptual decoder is of other sizes")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("g_s.")}
    return _write(path, kept | decoder, metadata | {"config": json.dumps(config.to_dict())})[1]


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


def _write(
    path: str | os.PathLike[str], tensors: dict[str, np.ndarray], notes: dict[str, str]
) -> tuple[bytes, bytes]:
    """Write a file with its format and fingerprints; returns bitstream_id and decoder_id."""
    ids = identities(tensors)
    stated = {key: value.hex() for key, value in ids.items()}
    write_atomic(path, save(tensors, metadata=notes | stated | {"format": FORMATS[0]}))
    return ids["bitstream_id"], ids["decoder_id"]
