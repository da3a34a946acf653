"""Float transforms -> integers, without training.

Weights are rounded with a scale for each output. Activations get a step for each channel, from what the float
model does with crops of training pictures at qualities all over the dial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vqcodec.engine.operations import WORD_MAX
from vqcodec.model.decoder import SynthesisTransform
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops
from vqcodec.training.ranges import HEADROOM, Ranges, Steps
from vqcodec.weights.checkpoint import Arrays
from vqcodec.weights.integers import to_integers
from vqcodec.weights.layout import to_layers

Array = NDArray[np.float32]
TRANSFORMS = ("g_a.", "h_a.", "g_s.")
SIDE, BATCHES = 256, 12
"""Side and number of the batches of four crops that are looked at."""
SAMPLE_MAX = 8.0
"""Bound of samples in opponent colour, which are within .9 in pictures."""
STRANGEST = 0.7
"""Largest latent of any picture, as a part of the sum of its filter's magnitudes: samples are within 1/2, and
blocks overlap."""


Batches = Iterable[tuple[Tensor, Tensor]]
"""Pictures (B, 3, H, W) in [0, 1] and places on the dial (B,) to look at."""


@dataclass(frozen=True)
class Watched:
    """What passed through the three transforms, and the largest magnitudes (M,) of the decoded latent."""

    g_a: Ranges
    h_a: Ranges
    g_s: Ranges
    latent: NDArray[np.float64]


@torch.no_grad()
def watched(model: VQVAE, batches: Batches) -> Watched:
    """Send pictures through a model in floating point."""
    seen = Watched(Ranges(), Ranges(), Ranges(), np.zeros(model.config.channels))
    for x, t in batches:
        x, t = x.to(model.log_gain.device), t.to(model.log_gain.device)
        with seen.g_a.watch(model.g_a), seen.h_a.watch(model.h_a), seen.g_s.watch(model.g_s):
            y_hat = model.quantise(model.analyse(x, t), t)[0] / model.gain(t)
            model.g_s(y_hat, t)
        np.maximum(seen.latent, y_hat.abs().amax((0, 2, 3)).cpu().numpy(), out=seen.latent)
    return seen


@torch.inference_mode()
def quantise(model: VQVAE, batches: Batches) -> Arrays:
    """All arrays of a model's transforms, by their names in a weights file."""
    seen = watched(model, batches)
    filters = np.abs(model.g_a.shortcut.detach().cpu().numpy()).sum((1, 2, 3))
    latent = np.maximum(HEADROOM / 2 * seen.latent, STRANGEST * filters)
    steps = {"g_s.latent.step": (latent / WORD_MAX).astype(np.float32)} | _synthesis_steps(seen.g_s)
    steps |= _analysis_steps(seen.g_a) | _hyper_steps(seen.h_a)
    bounds = _bounds("g_a.", seen.g_a) | _bounds("h_a.", seen.h_a) | _bounds("g_s.", seen.g_s)
    bounds["g_a.linear"] = _bound(2 * float(filters.max()))
    names = (*TRANSFORMS, "log_gain")
    transforms = {name: array for name, array in tensors_of(model).items() if name.startswith(names)}
    return to_integers(to_layers(transforms), steps, bounds)


@torch.inference_mode()
def quantise_decoder(model: VQVAE, g_s: SynthesisTransform, batches: Batches, latent: Array) -> Arrays:
    """Arrays "g_s.X" of another decoder of a model's latents, whose steps (M,) are `latent`."""
    ranges = Ranges()
    for x, t in batches:
        y_hat = model.quantise(model.analyse(x, t), t)[0]
        with ranges.watch(g_s):
            g_s(y_hat / model.gain(t), t)
    steps = {"g_s.latent.step": latent} | _synthesis_steps(ranges)
    layers = to_layers({f"g_s.{name}": array for name, array in tensors_of(g_s).items()})
    return to_integers(layers, steps, _bounds("g_s.", ranges))


def some_batches(
    pictures: Sequence[NDArray[np.uint8]], side: int, tunes: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops of this side of pictures (H, W, 3), and places all over the dial, to look at."""
    crops = Crops(pictures, seed=2, tunes=tunes)
    for _ in range(BATCHES):
        yield crops.batch(4, side)


def tensors_of(network: nn.Module) -> Arrays:
    """Parameters and buffers of a network as arrays."""
    return {name: tensor.detach().float().cpu().numpy() for name, tensor in network.state_dict().items()}


def _bounds(prefix: str, ranges: Ranges) -> dict[str, float]:
    """Least scales of a transform's layers in 16 bits."""
    sources = {name: source for name, source in _LARGEST.items() if name.startswith(prefix)}
    return {
        name: _bound(HEADROOM * ranges.largest[source] if source else SAMPLE_MAX)
        for name, source in sources.items()
    }


def _bound(largest: float) -> float:
    """The scale with which outputs up to `largest` are sums of 32 bits."""
    return largest / 2.0**31


_LARGEST = {
    "g_a.reduce": "down",
    "g_a.last": "tail",
    "h_a.squeeze": "squeeze",
    "h_a.last": "tail",
    "g_s.first": "head",
    "g_s.expand": "up",
    "g_s.restoration.sense": "restoration.look",
    "g_s.linear": "",
}
"""Layers in 16 bits, and those of the float model whose outputs bound theirs; none where they are samples."""


def _synthesis_steps(ranges: Ranges) -> Steps:
    restoration = "g_s.restoration"
    return {
        **ranges.blocks("blocks_deep", "g_s.coarse"),
        **ranges.blocks("blocks_wide", "g_s.fine"),
        "g_s.expand.step": ranges.words("up"),
        "g_s.last.step": ranges.signed("tail"),
        f"{restoration}.mix.step": ranges.rectified("restoration.mix"),
        f"{restoration}.filter.step": ranges.rectified("restoration.draw"),
    }


def _analysis_steps(ranges: Ranges) -> Steps:
    return {
        **ranges.blocks("blocks_wide", "g_a.fine"),
        **ranges.blocks("blocks_deep", "g_a.coarse"),
        "g_a.reduce.step": ranges.words("down", 2),
        "g_a.last.step": ranges.words("tail"),
    }


def _hyper_steps(ranges: Ranges) -> Steps:
    return {"h_a.mix.step": ranges.rectified("mix"), "h_a.last.step": ranges.rectified("tail", 2)}
