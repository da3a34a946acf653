"""Size and work of a model: `python -m vqcodec.inspect.complexity [WEIGHTS]`.

Multiply-accumulates are those of convolutions and matrix products, counted while the parts run on a grey
picture, and divided by its pixels; 1 kMAC/px is 1000 of them per pixel.

encoder: g_a, h_a, prior, search          decoder: prior, g_s
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vqcodec.entropy.class_offsets import offset_counts
from vqcodec.entropy.coding_order import PASSES
from vqcodec.entropy.tile_coder import LEVELS_PER_CLASS
from vqcodec.errors import ModelNotFound
from vqcodec.model.blocks import BLOCK, LEVEL_KNOTS
from vqcodec.model.config import ModelConfig
from vqcodec.model.integer_conv import QuantizableConv
from vqcodec.model.vqvae import VQVAE
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.checkpoint import REALISM, load_weights
from vqcodec.weights.packing import is_packed

BUDGET = {"g_a": 40.0, "g_s": 40.0, "prior": 6.0}
"""kMAC/px that each part may take in the default model."""
FILE_BUDGET = 20_000_000
"""Bytes that the default weights file may take."""
PICTURE = 256
"""Side of the picture: large enough that what is done once per picture, not per pixel, vanishes."""
LOOK_UP_BYTES = 4 * 127 + 4 * 2**8
"""Companding table and table of powers, the same in every weights file."""


@dataclass(frozen=True)
class Part:
    """One part of the model.

    Attributes:
        parameters: trained numbers.
        kmac: thousand multiply-accumulates per pixel of the picture.
    """

    parameters: int
    kmac: float


def measure(config: ModelConfig) -> dict[str, Part]:
    """Parts by name: g_a, g_s, h_a, h_s, passes, prior (the last two together), search (codebooks)."""
    model = VQVAE(config).eval()
    level = torch.zeros(1)
    x = torch.zeros(1, 3, PICTURE, PICTURE)
    y = torch.zeros(1, config.channels, PICTURE // BLOCK, PICTURE // BLOCK)
    z = torch.zeros(1, config.hyper_channels, PICTURE // (4 * BLOCK), PICTURE // (4 * BLOCK))
    basis = torch.zeros(1, LEVEL_KNOTS)
    features = torch.zeros(1, config.prior_features, PICTURE // (2 * BLOCK), PICTURE // (2 * BLOCK))
    phase = torch.zeros(1, config.channels, PICTURE // (2 * BLOCK), PICTURE // (2 * BLOCK))
    prior = model.prior
    hyper = _parameters(prior.hyper1, prior.hyper2, prior.hyper3)
    parts = {
        "g_a": Part(_parameters(model.g_a), _kmac(lambda: model.g_a(x, level))),
        "g_s": Part(_parameters(model.g_s), _kmac(lambda: model.g_s(y, level))),
        "h_a": Part(_parameters(model.h_a), _kmac(lambda: model.h_a(y))),
        "h_s": Part(hyper, _kmac(lambda: prior.hyper(z, basis, False))),
    }
    passes = _kmac(lambda: _all_passes(model, features, phase, basis))
    parts["passes"] = Part(_parameters(prior) - hyper, passes)
    parts["prior"] = Part(_parameters(prior), parts["h_s"].kmac + passes)
    parts["search"] = Part(_parameters(model.quantizer, model.hyper_quantizer), _search_kmac(config))
    return parts


def tensor_bytes(config: ModelConfig) -> int:
    """Bytes of all tensors in a weights file; its header adds about 15 kB."""
    with torch.device("meta"):  # only the shapes matter
        model = VQVAE(config)
    total = sum(stored_bytes(part.named_parameters()) for part in (model.g_a, model.g_s, model.h_a))
    total += LOOK_UP_BYTES
    total += 4 * (model.log_gain.numel() + model.g_s.deviation.numel())
    total += 4 * (len(config.context_levels) + len(config.slices))
    total += offset_counts(config.context_levels).nbytes
    # Counted above as half precision.
    total += 2 * sum(t.lapping.numel() for t in (model.g_a, model.g_s) if t.lapping is not None)
    for layer in model.prior.modules():
        if isinstance(layer, QuantizableConv):
            knots = 1 if layer.level_bias is None else LEVEL_KNOTS
            # int8 weights; int32 biases and multipliers, uint8 shifts per output.
            total += layer.weight.numel() + layer.weight.shape[0] * (4 * knots + 4 + 1)
    total += 2 * _parameters(model.prior.linear)
    for bands, rows, word_bytes in (
        (config.bands, sum(config.context_levels), 4),
        (config.hyper_bands, LEVEL_MAX // LEVELS_PER_CLASS + 1, 1),
    ):
        total += sum(channels * words * word_bytes for _, channels, words in bands)
        total += sum(channels // size * rows * words for size, channels, words in bands)
    return total


def stored_bytes(parameters: Iterable[tuple[str, Tensor]]) -> int:
    """Bytes of a transform's parameters: 8 bits and a scale for each output, or half precision."""
    return sum(
        t.numel() + 4 * len(t) if is_packed(name, t.shape) else 2 * t.numel() for name, t in parameters
    )


def _all_passes(model: VQVAE, features: Tensor, phase: Tensor, basis: Tensor) -> None:
    for p, place in enumerate(PASSES):
        state = model.prior.open(p, features, [phase] * place.maps, basis, False)
        for n in range(len(model.prior.slices)):
            mean, _ = model.prior.predict(n, state, basis, False)
            state.known.append(mean.new_zeros(mean.shape))


def _parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def _kmac(run: Callable[[], object]) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        run()
    # The counter takes a multiply-accumulate for two operations.
    return float(counter.get_total_flops()) / 2 / PICTURE**2 / 1000


def _search_kmac(config: ModelConfig) -> float:
    """Each latent vector meets all words of its group: channels x words at every position."""
    bands = config.bands if config.quantizer != "scalar" else ()
    latent = sum(channels * words for _, channels, words in bands) / BLOCK**2
    hyper = sum(channels * words for _, channels, words in config.hyper_bands) / (4 * BLOCK) ** 2
    return (latent + hyper) / 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 where a part is over its budget, 2 without usable weights."""
    parser = argparse.ArgumentParser(prog="python -m vqcodec.inspect.complexity", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="?", help="a weights file; the default sizes without it")
    arguments = parser.parse_args(argv)
    config, second = ModelConfig(), 0
    try:
        if arguments.weights:
            config = load_weights(arguments.weights).config
            with safe_open(arguments.weights, framework="np") as file:
                second = sum(file.get_tensor(n).nbytes for n in file.keys() if n.startswith(REALISM))  # noqa: SIM118
    except ModelNotFound as error:
        print(error, file=sys.stderr)
        return 2
    parts = measure(config)
    print(f"{'part':<10}{'parameters':>12}{'kMAC/px':>10}{'budget':>9}")
    within = True
    for name, part in parts.items():
        budget = BUDGET.get(name)
        within &= budget is None or part.kmac <= budget
        limit = "" if budget is None else f"<= {budget:g}"
        print(f"{name:<10}{part.parameters:>12,}{part.kmac:>10.2f}{limit:>9}".rstrip())
    encoder = sum(parts[name].kmac for name in ("g_a", "h_a", "prior", "search"))
    print(f"{'encoder':<22}{encoder:>10.2f}")
    print(f"{'decoder':<22}{parts['prior'].kmac + parts['g_s'].kmac:>10.2f}")
    size = arguments.weights.stat().st_size - second if arguments.weights else tensor_bytes(config)
    what = "weights file" if arguments.weights else "tensors of a weights file"
    print(f"{what}: {size:,} bytes (<= {FILE_BUDGET:,})")
    if second:
        print(f"and the perceptual decoder: {second:,} bytes")
    return 0 if within and size <= FILE_BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
