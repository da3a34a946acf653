"""The state of a run in one safetensors file: weights, their average, optimiser, settings and progress.

Names are "model.NAME", "ema.NAME" and "optim.KEY.NAME" for the parameter NAME.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.config import TrainConfig
from vqcodec.training.running import write_tensors

FILE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps for every parameter, beside the number of its steps."""


def save_state(
    path: Path,
    config: TrainConfig,
    model: VQVAE,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> None:
    """Write the state to `path`; an older one stays until the new one is whole."""
    tensors = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
    tensors |= {f"ema.{n}": p for n, p in ema.items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optim.{key}.{name}"] = value
    meta = {"config": json.dumps(config.to_dict()), "progress": json.dumps(progress)}
    write_tensors(tensors, path, meta)


@torch.no_grad()
def read_state(
    path: Path, model: VQVAE, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Take over the state of a run of the same model; returns its progress."""
    tensors = load_file(path, device=str(next(model.parameters()).device))
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[f"model.{name}"])
        ema[name].copy_(tensors[f"ema.{name}"])
        if f"optim.step.{name}" in tensors:
            state = {"step": tensors[f"optim.step.{name}"]}
            for key in MOMENTS:
                # The fused optimiser walks memory, not indices: the moments need the parameter's layout.
                state[key] = torch.empty_like(parameter).copy_(tensors[f"optim.{key}.{name}"])
            optimizer.state[parameter] = state
    progress: dict[str, Any] = json.loads(read_metadata(path)["progress"])
    return progress


def read_metadata(path: Path) -> dict[str, str]:
    """String map in the header of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def config_of_state(path: Path) -> dict[str, Any]:
    """Settings stored in a state file, with the model's as `ModelConfig`."""
    values: dict[str, Any] = json.loads(read_metadata(path)["config"])
    values["model"] = ModelConfig.from_dict(values["model"])
    return values
