"""Size and work of a model: `python -m benchmarks.complexity [WEIGHTS]`, the packaged one by default.

Multiply-accumulates are those of convolutions and matrix products, counted while the parts run on a grey
picture, and divided by its pixels; 1 kMAC/px is 1000 of them per pixel.

encoder: g_a, h_a, prior, search          decoder: prior, g_s
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vqcodec.entropy.coding_order import PASSES
from vqcodec.errors import ModelNotFound
from vqcodec.model.config import ModelConfig
from vqcodec.model.dial import LEVEL_KNOTS
from vqcodec.model.vqvae import VQVAE
from vqcodec.tiling import BLOCK
from vqcodec.weights.checkpoint import REALISM, load_weights
from vqcodec.weights.zoo import DEFAULT_MODEL, find_model

BUDGET = {"g_a": 40.0, "g_s": 40.0, "prior": 6.0}
"""kMAC/px that each part may take in the default model."""
FILE_BUDGET = 20_000_000
"""Bytes that the default weights file may take without its perceptual decoder."""
PICTURE = 256
"""Side of the picture: large enough that work per picture, not per pixel, is negligible."""


@dataclass(frozen=True)
class Part:
    """One part of the model.

    Attributes:
        parameters: trained numbers.
        kmac: thousand multiply-accumulates per pixel of the picture.
    """

    parameters: int
    kmac: float


def measure(config: ModelConfig, kind: type[VQVAE] = VQVAE) -> dict[str, Part]:
    """Parts by name: g_a, g_s, h_a, h_s, passes, prior (the last two together), search (codebooks)."""
    model = kind(config).eval()
    t = torch.zeros(1)
    x = torch.zeros(1, 3, PICTURE, PICTURE)
    y = torch.zeros(1, config.channels, PICTURE // BLOCK, PICTURE // BLOCK)
    z = torch.zeros(1, config.hyper_channels, PICTURE // (4 * BLOCK), PICTURE // (4 * BLOCK))
    basis = torch.zeros(1, LEVEL_KNOTS)
    features = torch.zeros(1, config.prior_features, PICTURE // (2 * BLOCK), PICTURE // (2 * BLOCK))
    phase = torch.zeros(1, config.channels, PICTURE // (2 * BLOCK), PICTURE // (2 * BLOCK))
    prior = model.prior
    hyper = _parameters(prior.hyper1, prior.hyper2, prior.hyper3)
    parts = {
        "g_a": Part(_parameters(model.g_a), _kmac(lambda: model.g_a(x, t))),
        "g_s": Part(_parameters(model.g_s), _kmac(lambda: model.g_s(y, t))),
        "h_a": Part(_parameters(model.h_a), _kmac(lambda: model.h_a(y))),
        "h_s": Part(hyper, _kmac(lambda: prior.hyper(z, basis, False))),
    }
    passes = _kmac(lambda: _all_passes(model, features, phase, basis))
    parts["passes"] = Part(_parameters(prior) - hyper, passes)
    parts["prior"] = Part(_parameters(prior), parts["h_s"].kmac + passes)
    parts["search"] = Part(_parameters(model.quantizer, model.hyper_quantizer), _search_kmac(model))
    return parts


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


def _search_kmac(model: VQVAE) -> float:
    """Each latent vector is compared with all codewords of its group: channels x codewords per position."""
    latent, hyper = (
        sum(band.channels * band.codewords for band in quantizer.bands)
        for quantizer in (model.quantizer, model.hyper_quantizer)
    )
    return (latent / BLOCK**2 + hyper / (4 * BLOCK) ** 2) / 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 where a part is over its budget, 2 without usable weights."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.complexity", description=__doc__)
    parser.add_argument("weights", nargs="?", default=DEFAULT_MODEL, help="a weights file or a model's name")
    arguments = parser.parse_args(argv)
    try:
        path = find_model(arguments.weights)
        config = load_weights(path).config
    except ModelNotFound as error:
        print(error, file=sys.stderr)
        return 2
    with safe_open(path, framework="np") as file:
        second = sum(file.get_tensor(n).nbytes for n in file.keys() if n.startswith(REALISM))  # noqa: SIM118
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
    size = path.stat().st_size - second
    print(f"weights file: {size:,} bytes (<= {FILE_BUDGET:,})")
    if second:
        print(f"and the perceptual decoder: {second:,} bytes")
    return 0 if within and size <= FILE_BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
