"""Writing weights files; used by training only. What they hold is told in `vqcodec.weights.checkpoint`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from safetensors.numpy import save

from vqcodec.errors import ModelNotFound
from vqcodec.files import write_atomic
from vqcodec.model.config import ModelConfig
from vqcodec.weights.checkpoint import CODING, FORMAT, REALISM, Arrays, identities, read_tensors

G_S, H_A = "g_s.", "h_a."


def save_weights(
    path: str | os.PathLike[str],
    config: ModelConfig,
    transforms: Arrays,
    coding: Arrays,
    notes: Mapping[str, str],
) -> tuple[bytes, bytes]:
    """Write a weights file.

    Args:
        transforms, coding: as in `vqcodec.weights.checkpoint.Weights`.
        notes: further entries of its string map.

    Returns:
        bitstream_id and decoder_id.
    """
    tensors = transforms | {CODING + name: array for name, array in coding.items()}
    return _write(path, tensors, {**notes, "config": json.dumps(config.to_dict())})


def add_realism(source: str | os.PathLike[str], decoder: Arrays, path: str | os.PathLike[str]) -> None:
    """Copy a weights file with another decoder as its perceptual one, replacing one that it had.

    Args:
        decoder: arrays g_s.*, of which those are stored that are not the fidelity decoder's own.

    Raises:
        ModelNotFound: the file cannot be read, or g_s has no arrays of these names, types and shapes.
    """
    tensors, metadata = read_tensors(source)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(REALISM)}
    for name, array in decoder.items():
        twin = tensors.get(name)
        if not name.startswith(G_S) or twin is None or _kind(twin) != _kind(array):
            raise ModelNotFound(f"{source}: its g_s has no array like {name}")
        if not np.array_equal(twin, array):
            tensors[REALISM + name.removeprefix(G_S)] = array
    _write(path, tensors, metadata)


def replace_decoder(
    source: str | os.PathLike[str],
    config: ModelConfig,
    decoder: Arrays,
    log_gain: np.ndarray,
    path: str | os.PathLike[str],
) -> bytes:
    """Copy a weights file with another g_s, which may be larger: the same bits, other pixels.

    Args:
        config, decoder: the sizes of its model, and its arrays g_s.*.
        log_gain: the gains that it was trained for, tune after tune.

    Returns:
        decoder_id.

    Raises:
        ModelNotFound: the file cannot be read, or latents, gains or its perceptual decoder are others.
    """
    tensors, metadata = read_tensors(source)
    old = ModelConfig.from_dict(json.loads(metadata["config"]))
    if replace(old, synthesis=config.synthesis, restoration=config.restoration) != config:
        raise ModelNotFound(f"{source}: its latents are of other sizes")
    if not np.array_equal(tensors["log_gain"].ravel(), log_gain.ravel()):
        raise ModelNotFound(f"{source}: its gains are others, the decoder was trained for other latents")
    # What the perceptual decoder had in common with the old one becomes its own.
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(G_S)}
    tuned = {G_S + n.removeprefix(REALISM): t for n, t in tensors.items() if n.startswith(REALISM)}
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith((G_S, REALISM))}
    if tuned:
        tuned = own | tuned
        if {n: _kind(t) for n, t in tuned.items()} != {n: _kind(t) for n, t in decoder.items()}:
            raise ModelNotFound(f"{source}: its perceptual decoder is of other sizes")
        different = {n: t for n, t in tuned.items() if not np.array_equal(t, decoder[n])}
        kept |= {REALISM + name.removeprefix(G_S): tensor for name, tensor in different.items()}
    return _write(path, kept | decoder, metadata | {"config": json.dumps(config.to_dict())})[1]


def replace_coding(
    source: str | os.PathLike[str],
    config: ModelConfig,
    transforms: Arrays,
    coding: Arrays,
    path: str | os.PathLike[str],
) -> bytes:
    """Copy a weights file with another prior, codebooks and tables for the same latents: other bits.

    Args:
        config, transforms, coding: of the model that has them; of its transforms h_a alone is taken.

    Returns:
        bitstream_id.

    Raises:
        ModelNotFound: the file cannot be read, or its latents are others.
    """
    tensors, metadata = read_tensors(source)
    if not np.array_equal(tensors["log_gain"].ravel(), transforms["log_gain"].ravel()):
        raise ModelNotFound(f"{source}: its gains are others, the prior was trained for other latents")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith((CODING, H_A))}
    new = {CODING + name: array for name, array in coding.items()}
    new |= {name: array for name, array in transforms.items() if name.startswith(H_A)}
    return _write(path, kept | new, metadata | {"config": json.dumps(config.to_dict())})[0]


def _kind(array: np.ndarray) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    return array.dtype, array.shape


def _write(path: str | os.PathLike[str], tensors: Arrays, notes: dict[str, str]) -> tuple[bytes, bytes]:
    """Write a file with its format and fingerprints; returns bitstream_id and decoder_id."""
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    ids = identities(tensors)
    stated = {key: value.hex() for key, value in ids.items()}
    write_atomic(path, save(tensors, metadata=notes | stated | {"format": FORMAT}))
    return ids["bitstream_id"], ids["decoder_id"]
