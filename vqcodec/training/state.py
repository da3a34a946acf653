"""What a run writes and starts from: states, and the models in states and weights files.

A state is one safetensors file with weights, their average, optimiser, settings and progress. Tensor names
are "model.NAME", "ema.NAME" and "optim.KEY.NAME" for the parameter NAME, and "step.LAYER" once layers round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from vqcodec.errors import ModelNotFound
from vqcodec.files import TEMPORARY, write_atomic
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.config import RunConfig
from vqcodec.weights.checkpoint import FORMAT, load_weights
from vqcodec.weights.restore import restore
from vqcodec.weights.zoo import find_model

FILE = "state.safetensors"


def write_state(
    path: Path, config: RunConfig, progress: Mapping[str, Any], parts: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Write a state atomically: the tensors PART.NAME of all parts, settings and progress."""
    tensors = {
        f"{part}.{name}": tensor.detach().contiguous().clone()
        for part, named in parts.items()
        for name, tensor in named.items()
    }
    meta = {"config": json.dumps(config.to_dict()), "progress": json.dumps(progress)}
    tag = f"{path.stem}-"
    for left in path.parent.glob(f".{tag}*{TEMPORARY}"):  # by a run that was killed; a state has one writer
        left.unlink(missing_ok=True)
    write_atomic(path, save(tensors, meta), tag=tag)


def read_metadata(path: Path) -> dict[str, str]:
    """String map in the header of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def progress_of_state(path: Path) -> dict[str, Any]:
    """How far the run is: "step", "seconds" and others."""
    return dict(json.loads(read_metadata(path)["progress"]))


def config_of_state(path: Path) -> dict[str, Any]:
    """Settings stored in a state file, with the model's as `ModelConfig`.

    Raises:
        TypeError: the model has a size or setting that is unknown.
    """
    values: dict[str, Any] = json.loads(read_metadata(path)["config"])
    values["model"] = ModelConfig.from_dict(values["model"])
    return values


def load_state(
    path: Path, weights: str = "ema", kind: type[VQVAE] = VQVAE
) -> tuple[VQVAE, dict[str, object]]:
    """Model of class `kind` with the EMA (or "model") weights of a state, and the run's settings.

    Raises:
        ModelNotFound: it cannot be read, or is no training state.
    """
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such file")
    try:
        config = config_of_state(path)
        model = kind(config["model"])
        tensors = load_file(path)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(tensors[f"{weights}.{name}"])
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise ModelNotFound(f"{path}: not a training state: {error}") from error
    return model.eval(), config | progress_of_state(path)


def load_start(source: str) -> VQVAE:
    """The model to start training from: a training state, a weights file, or the name of a model.

    Raises:
        ModelNotFound: there is none, or it is of another kind.
    """
    path = Path(source)
    try:
        if path.is_file() and read_metadata(path).get("format") != FORMAT:
            return load_state(path)[0]
    except (SafetensorError, ModelNotFound) as error:
        raise ModelNotFound(f"{source}: neither a training state nor a weights file") from error
    return restore(load_weights(find_model(source)))
