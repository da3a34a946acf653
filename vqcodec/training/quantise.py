"""Float transforms -> integers, without training: `python -m vqcodec.training.quantise IN -o OUT --data DIR`.

Weights are rounded with a scale for each output. Activations get a step for each channel, from what the float
model does with crops of training pictures at qualities all over the dial.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vqcodec.engine.operations import WORD_MAX
from vqcodec.errors import ModelNotFound
from vqcodec.model.config import ModelConfig
from vqcodec.model.decoder import SynthesisTransform
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops, load_images
from vqcodec.training.ranges import HEADROOM, Ranges, Steps
from vqcodec.weights.checkpoint import CODING, REALISM, Arrays
from vqcodec.weights.integers import to_integers
from vqcodec.weights.layout import to_layers
from vqcodec.weights.restore import restore_coding
from vqcodec.weights.writing import add_realism, save_weights

Array = NDArray[np.float32]
TRANSFORMS = ("g_a.", "h_a.", "g_s.")
SIDE, BATCHES, PICTURES = 256, 12, 128
"""Side and number of the batches of four crops that are looked at, and pictures that they are cut from."""
SAMPLE_MAX = 8.0
"""Bound of samples in opponent colour, which are within .9 in pictures."""
STRANGEST = 0.7
"""Largest latent of any picture, as a part of the sum of its filter's magnitudes: samples are within 1/2, and
blocks overlap."""


Batches = Iterable[tuple[Tensor, Tensor]]
"""Pictures (B, 3, H, W) in [0, 1] and places on the dial (B,) to look at."""


@torch.inference_mode()
def quantise(model: VQVAE, batches: Batches) -> Arrays:
    """All arrays of a model's transforms, by their names in a weights file."""
    g_a, h_a, g_s, latent = Ranges(), Ranges(), Ranges(), np.zeros(model.config.channels)
    for x, t in batches:
        with g_a.watch(model.g_a), h_a.watch(model.h_a), g_s.watch(model.g_s):
            y_hat = model.quantise(model.analyse(x, t), t)[0] / model.gain(t)
            model.g_s(y_hat, t)
        latent = np.maximum(latent, y_hat.abs().amax((0, 2, 3)).cpu().numpy())
    filters = np.abs(model.g_a.shortcut.detach().cpu().numpy()).sum((1, 2, 3))
    latent = np.maximum(HEADROOM / 2 * latent, STRANGEST * filters)
    steps = {"g_s.latent.step": (latent / WORD_MAX).astype(np.float32)} | _synthesis_steps(g_s)
    steps |= _analysis_steps(g_a) | _hyper_steps(h_a)
    bounds = _bounds("g_a.", g_a) | _bounds("h_a.", h_a) | _bounds("g_s.", g_s)
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


def read_float(path: Path) -> tuple[VQVAE, SynthesisTransform | None, Arrays, dict[str, str]]:
    """A weights file as they were in floating point: model, perceptual decoder, coding arrays and string map.

    Raises:
        ModelNotFound: it is none.
    """
    try:
        with safe_open(path, framework="np") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = VQVAE(ModelConfig.from_dict(json.loads(notes["config"])))
        real = {name: torch.from_numpy(_unpacked(tensors, name)) for name in tensors if ".scale" not in name}
        parts = {name: t for name, t in real.items() if name.startswith((*TRANSFORMS, "log_gain"))}
        model.load_state_dict(parts, strict=False)
        tuned = {name.removeprefix(REALISM): t for name, t in real.items() if name.startswith(REALISM)}
        decoder = copy.deepcopy(model.g_s) if tuned else None
        if decoder:
            decoder.load_state_dict({**model.g_s.state_dict(), **tuned})
        coding = {n.removeprefix(CODING): a for n, a in tensors.items() if n.startswith(CODING)}
        restore_coding(model, coding)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelNotFound(f"{path}: no weights file in floating point: {error}") from error
    model.set_exact(True)
    return model.eval().requires_grad_(False), decoder, coding, notes


def _unpacked(tensors: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    scale = tensors.get(f"{name}.scale")
    real = tensors[name].astype(np.float32)
    return real if scale is None else real * scale[:, None, None, None]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m vqcodec.training.quantise", description=__doc__)
    parser.add_argument("source", metavar="IN", type=Path, help="a weights file in floating point")
    parser.add_argument("--data", required=True, help="pictures to look at (the training set)")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        model, decoder, coding, notes = read_float(arguments.source)
        pictures = load_images(arguments.data, SIDE, most=PICTURES)
    except (ModelNotFound, FileNotFoundError) as error:
        parser.error(str(error))
    transforms = quantise(model, some_batches(pictures, SIDE, model.config.tunes))
    kept = {key: note for key, note in notes.items() if key in ("name", "training")}
    ids = save_weights(arguments.output, model.config, transforms, coding, kept)
    if decoder:
        step = transforms["g_s.latent.step"]
        tuned = quantise_decoder(model, decoder, some_batches(pictures, SIDE, model.config.tunes), step)
        add_realism(arguments.output, tuned, arguments.output)
    size = arguments.output.stat().st_size
    print(f"{arguments.output} {size} bytes, {ids[0].hex()} {ids[1].hex()}")


if __name__ == "__main__":
    main()
