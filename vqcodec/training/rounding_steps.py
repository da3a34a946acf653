"""Steps of inputs, without which no layer trains with rounding (`vqcodec.model.rounding`)."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.model.rounding import rounded_layers
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.quantise import Batches, watched

_SHARED = {"restoration.gates": "restoration.draw"}
"""Layers with the inputs of another, which is the one that is called."""


@torch.no_grad()
def measure_steps(model: VQVAE, batches: Batches) -> None:
    """Give every layer that trains with rounding the steps that an export after these pictures gives it."""
    seen = watched(model, batches)
    for network, ranges in ((model.g_a, seen.g_a), (model.h_a, seen.h_a), (model.g_s, seen.g_s)):
        for name, layer in rounded_layers(network):
            known = _SHARED.get(name, name)
            step = ranges.signed(known) if layer.signed else ranges.rectified(known)
            layer.step.copy_(torch.from_numpy(step))


def steps_of(model: VQVAE) -> dict[str, Tensor]:
    """The steps (I,) of all these layers by name; 0 before they are measured."""
    return {name: layer.step for name, layer in rounded_layers(model)}
