"""A tiny model for tests: seeded, started and trained for a moment on generated pictures.

All that the default model has is here too: bands of three sizes, both context numbers, seven passes, slices.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from vqcodec.codec import Codec
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import Crops
from vqcodec.training.export import export
from vqcodec.training.perceptual.players import FROZEN
from vqcodec.training.quantise import quantise, quantise_decoder, some_batches
from vqcodec.training.trainer import Trainer
from vqcodec.weights.checkpoint import Arrays, load_weights
from vqcodec.weights.loaded import LoadedModel
from vqcodec.weights.restore import restore
from vqcodec.weights.writing import add_realism, save_weights

Pixels = NDArray[np.uint8]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
"""Those of this machine on which the transforms can run."""


def load_codec(path: Path, device: str = "cpu") -> Codec:
    """A codec of a weights file."""
    return Codec.of(LoadedModel.load(path, device))


TINY = ModelConfig(
    channels=16,
    bands=((1, 4, 16), (2, 4, 16), (4, 8, 16)),
    context_levels=(8, 3),
    context_channels=8,
    hyper_channels=8,
    hyper_bands=((4, 8, 16),),
    analysis=(8, 8, 1, 1),
    synthesis=(8, 8, 1, 1),
    restoration=(4, 2),
    prior_features=8,
    prior_width=16,
    first_channels=6,
    slices=(1, 2),
    slice_width=8,
)


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Slopes, waves, a few flat boxes and some noise, uint8 (height, width, 3); the same on every machine."""
    random = np.random.default_rng(seed)
    rows = np.arange(height)[:, None, None] / 64
    columns = np.arange(width)[None, :, None] / 64
    slope = random.uniform(-1, 1, (2, 3))
    wave = random.uniform(1, 12, 2)
    value = slope[0] * rows + slope[1] * columns + 0.3 * np.sin(wave[0] * rows + wave[1] * columns)
    value = value - value.mean()
    for _ in range(6):
        top, left = random.integers(height), random.integers(width)
        box = value[top : top + random.integers(1, 64), left : left + random.integers(1, 64)]
        box += random.uniform(-0.8, 0.8, 3)
    value = 128 + 80 * value + random.normal(0, 3, value.shape)
    return value.clip(0, 255).astype(np.uint8)


def pictures(count: int = 6, side: int = 192) -> list[Pixels]:
    """Several of them for training."""
    return [picture(side, side, seed) for seed in range(count)]


def settings(**changes: object) -> TrainConfig:
    """Settings of a run on the CPU that takes seconds."""
    values = {
        "steps": 30,
        "batch": 4,
        "crop": 64,
        "late_crop": 96,
        "warmup": 5,
        "log_every": 10,
        "revive_every": 10,
        "device": "cpu",
        "bf16": False,
        "model": TINY,
    }
    return TrainConfig(**(values | changes))  # type: ignore[arg-type]


def tiny_model(steps: int = 12, config: ModelConfig = TINY) -> VQVAE:
    """A model after the Lloyd start and a few steps, half of them on the integer grids."""
    trainer = Trainer(settings(steps=steps, model=config))
    crops = Crops(pictures(), seed=0, tunes=config.tunes)
    trainer.start(crops)
    for step in range(steps):
        trainer.model.set_exact(step >= steps // 2)
        trainer._set_rate(step / steps)
        trainer.train_step(*crops.batch(4, 64))
    return trainer.model.eval()


def two_tunes() -> VQVAE:
    """A model with two tunes, whose tables over the dial have nothing to do with each other."""
    model = tiny_model(4, replace(TINY, tunes=2))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("level_bias", "modulation.table", "log_gain")):
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def write_tiny(path: Path, model: VQVAE | None = None) -> tuple[bytes, bytes]:
    """Export a tiny model to a weights file; returns bitstream_id and decoder_id."""
    model = tiny_model() if model is None else model
    crops = Crops(pictures(), seed=1, tunes=model.config.tunes)
    arrays = export(model, crops, batches=8, side=64)
    return save_weights(path, model.config, tiny_integers(model), arrays, {"name": "tiny"})


def tiny_integers(model: VQVAE) -> Arrays:
    """Its transforms as a weights file has them."""
    return quantise(model, some_batches(pictures(), 64, model.config.tunes))


@torch.no_grad()
def open_restoration_(model: VQVAE, seed: int, spread: float) -> None:
    """Gates and kernels at random: what is learned in a few steps hardly shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.g_s.restoration.named_parameters():
        # What is drawn is no factor of small differences: it is added to the picture as it is.
        share = 0.05 if name.startswith("draw.") else 1.0
        parameter.add_(share * spread * torch.randn(parameter.shape, generator=generator))


def random_prior_(model: VQVAE, seed: int, spread: float = 1.0) -> None:
    """Give every weight of the prior a random value, so that no layer is near its quiet start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.prior.named_parameters():
            fan = parameter[0].numel() if name.endswith("weight") else 4.0
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(spread * noise / fan**0.5)


def add_random_realism(source: Path, path: Path) -> None:
    """Copy a weights file with a perceptual decoder that is anything but the fidelity decoder."""
    torch.manual_seed(0)
    weights = load_weights(source)
    model = restore(weights).requires_grad_(False)
    for name, parameter in model.g_s.named_parameters():
        if not any(part in name for part in FROZEN):
            parameter.add_(0.05 * torch.randn_like(parameter))
    step = weights.transforms["g_s.latent.step"]
    add_realism(source, quantise_decoder(model, model.g_s, some_batches(pictures(), 64), step), path)


_ALEXNET = [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]
_VGG = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
HEADS = {"alexnet": (64, 192, 384, 256, 256), "vgg16": (64, 128, 256, 512, 512)}
"""Networks under LPIPS, and the channels of the five maps that it compares."""
THINNER = 8
"""What channels are divided by where networks are to take a small part of the time."""


def random_network(name: str, thinner: int = 1) -> dict[str, torch.Tensor]:
    """Tensors of the right shapes for LPIPS whose activations neither vanish nor explode.

    Args:
        thinner: what the channels of all maps are divided by, where nothing depends on them.
    """
    torch.manual_seed(len(name))
    shapes = _ALEXNET if name == "alexnet" else [(o, i, 3) for i, o in itertools.pairwise(_VGG)]
    tensors = {}
    for n, (outputs, inputs, k) in enumerate(shapes):
        o, i = outputs // thinner, inputs // thinner if n else inputs
        tensors[f"conv{n}.weight"] = torch.randn(o, i, k, k).half() * (2 / (i * k * k)) ** 0.5
        tensors[f"conv{n}.bias"] = torch.full((o,), 0.1).half()
    for n, channels in enumerate(HEADS[name]):
        tensors[f"lin{n}.weight"] = torch.rand(1, channels // thinner, 1, 1).half()
    return tensors


def write_perceptual(folder: Path, thinner: int = 1) -> None:
    """Random weights for LPIPS and DISTS; `thinner` as for `random_network`."""
    for name in HEADS:
        save_file(random_network(name, thinner), folder / f"{name}.safetensors")
    channels = 3 + sum(HEADS["vgg16"]) // thinner
    weights = {n: torch.rand(1, channels, 1, 1) for n in ("alpha", "beta")}
    save_file(weights, folder / "dists.safetensors")
