"""What a run of the perceptual stage writes, goes on with, and starts from.

One safetensors file with the decoder, its average, the discriminator, both optimisers, settings and progress.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vqcodec.errors import ModelNotFound
from vqcodec.training.grow import adds
from vqcodec.training.perceptual.players import Players
from vqcodec.training.state import progress_of_state, read_metadata, write_state
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore_realism, restore_transforms
from vqcodec.weights.zoo import find_model

STATE = "perceptual.safetensors"


def save(players: Players) -> None:
    """Write everything that is needed to go on to `perceptual.safetensors` in `out`, atomically."""
    parts: dict[str, Mapping[str, Tensor]] = {"tuned": players.tuned, "ema": players.ema}
    parts["discriminator"] = players.discriminator.state_dict()
    for number, optimizer in enumerate(players.optimizers):
        for place, values in optimizer.state_dict()["state"].items():
            parts[f"optim{number}.{place}"] = values
    progress = {"step": players.step, "seconds": players.seconds}
    write_state(players.out / STATE, players.config, progress, parts)


def stored_settings(state: Path) -> dict[str, Any]:
    """Settings of a state of this stage.

    Raises:
        ModelNotFound: it is none, or damaged.
        FileNotFoundError: there is none.
    """
    try:
        settings: dict[str, Any] = json.loads(read_metadata(state)["config"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelNotFound(f"{state} is no training state ({error})") from error
    if "model" in settings:
        raise ModelNotFound(f"{state} is a state of the first stage")
    return settings


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@torch.no_grad()
def load(players: Players) -> None:
    """Inverse of `save`.

    Raises:
        KeyError, RuntimeError, SafetensorError: the state is of another model, or damaged.
    """
    path = players.out / STATE
    tensors = load_file(path, device=str(players.device))
    for name, parameter in players.tuned.items():
        parameter.copy_(tensors[f"tuned.{name}"])
        players.ema[name].copy_(tensors[f"ema.{name}"])
    players.discriminator.load_state_dict(under("discriminator.", tensors))
    for number, optimizer in enumerate(players.optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in under(f"optim{number}.", tensors).items():
            place, key = name.split(".")
            state.setdefault(int(place), {})[key] = tensor
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    progress = progress_of_state(path)
    players.step, players.seconds = progress["step"], progress["seconds"]


@torch.no_grad()
def start_from(players: Players, model: str, moved: bool = False) -> None:
    """Go on with the perceptual decoder of another model, or with that of a state and its discriminator.

    Residual blocks that it lacks add nothing at first.

    Args:
        moved: what this model's g_s differs from the other's is added: that has learnt to read other latents.

    Raises:
        ModelNotFound: there is no such model, or it has no perceptual decoder, or one of other sizes.
    """
    path = find_model(model)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ModelNotFound(f"{path} is not a safetensors file: {error}") from error
    base: dict[str, Tensor] = {}
    if discriminator := under("discriminator.", tensors):
        if moved:
            raise ModelNotFound(f"{path} is a state, which has no g_s to compare with")
        players.discriminator.load_state_dict(discriminator)
        tuned = under("ema.", tensors)
    else:
        weights = load_weights(path)
        tuned = restore_realism(weights)
        base = restore_transforms(weights).g_s.state_dict() if moved else base
    if not tuned:
        raise ModelNotFound(f"{path} has no perceptual decoder")
    for name, parameter in players.tuned.items():
        if name in tuned and tuned[name].shape == parameter.shape:
            parameter.copy_(tuned[name] + (parameter - base[name] if moved else 0))
        elif name in tuned or not name.startswith("blocks_"):
            raise ModelNotFound(f"{path}: its perceptual decoder has no parameter like {name}")
        elif adds("g_s." + name):
            parameter.zero_()
        players.ema[name].copy_(parameter)
