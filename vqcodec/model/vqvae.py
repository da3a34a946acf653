"""VQVAE: g_a, quantiser, prior and g_s joined.

    x --g_a--> y_pixel * gain(t) = y --quantise(prior)--> y_hat / gain(t) --g_s--> x_hat

One model for the whole dial: t (`vqcodec.model.dial`) sets lambda(t) (log-linear), the gains and the
modulation of transforms and prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.entropy.coding_order import PASSES, Pass, whole
from vqcodec.model.codebook import SLOPE, Band, Quantized, VectorQuantizer
from vqcodec.model.config import ModelConfig
from vqcodec.model.decoder import SynthesisTransform
from vqcodec.model.dial import LEVEL_KNOTS, lambda_of_level, level_basis
from vqcodec.model.encoder import AnalysisTransform, HyperAnalysis
from vqcodec.model.free_energy import Contexts
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP
from vqcodec.model.prior import Prior, put_together, to_phases
from vqcodec.model.rounding import rounded_layers

PRIOR_LEVELS = 64
"""The prior sees t in steps of 1/64: eight between two knots."""


@dataclass
class Output:
    """What `VQVAE.forward` returns.

    Attributes:
        picture: (B, 3, H, W), not clamped.
        mse: mean squared error (B,) of pixels in [0, 1].
        energy: free energy (B,) of both latents in nats.
        bits_y, bits_z: estimated bits (B,) of the latent's and the hyper-latent's indices.
        passes, hyper: the quantiser's results, of every pass and of the hyper-latent.
    """

    picture: Tensor
    mse: Tensor
    energy: Tensor
    bits_y: Tensor
    bits_z: Tensor
    passes: list[Quantized]
    hyper: Quantized


class Transforms(nn.Module):
    """The float half that a codec runs: g_a, g_s, h_a and the gains, with nothing of the coded path."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.g_a = AnalysisTransform(config.channels, config.analysis, config.tunes)
        self.g_s = SynthesisTransform(config.channels, config.synthesis, config.restoration, config.tunes)
        self.h_a = HyperAnalysis(config.channels, config.prior_features, config.hyper_channels)
        # On the CPU even under device "meta", where arithmetic imports torch's compiler (slow).
        step = torch.linspace(0, 1, LEVEL_KNOTS, device="cpu").repeat(config.tunes)
        # With these gains a unit step in y is the step of an ideal uniform quantiser at lambda(t).
        start = 0.5 * torch.log(lambda_of_level(step) * 255.0**2 * 2 * math.log(2) / (6 * SLOPE))
        self.log_gain = nn.Parameter(start[:, None].repeat(1, config.channels))
        self.rounded = False

    def gain(self, t: Tensor) -> Tensor:
        """Per-channel gain (B, M, 1, 1) at quality t (B,)."""
        # bfloat16 would be off by up to 1.6 %: several steps where means are hundreds of steps.
        with torch.autocast(t.device.type, enabled=False):
            return torch.exp(level_basis(t, self.config.tunes) @ self.log_gain)[:, :, None, None]

    def analyse(self, x: Tensor, t: Tensor) -> Tensor:
        """Latent y (B, M, h, w) in quantiser steps."""
        return self.g_a(x, t) * self.gain(t)

    def synthesise(self, y_hat: Tensor, t: Tensor) -> Tensor:
        """Picture (B, 3, 16h, 16w) from the quantised latent."""
        return self.g_s(y_hat / self.gain(t), t)

    def set_rounded(self, rounded: bool) -> None:
        """Switch the rounding of layers of 8 bits on or off; their steps have to be measured before."""
        self.rounded = rounded
        for _, layer in rounded_layers(self):
            layer.rounded = rounded

    def hyper_latent(self, y: Tensor) -> Tensor:
        """z before quantisation; y (B, M, h, w) is padded to multiples of 4 by repeating its border."""
        h, w = y.shape[-2:]
        limit = 127 * HYPER_STEP
        return self.h_a(F.pad(y, (0, -w % 4, 0, -h % 4), mode="replicate")).clamp(-limit, limit)


class VQVAE(Transforms):
    """The whole model; `exact` switches prior, codewords and contexts to their integer grids."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        bands = tuple(Band(*b) for b in config.bands)
        if sum(b.channels for b in bands) != config.channels:
            raise ValueError("the bands must cover all latent channels")
        self.quantizer = self.make_quantizer(bands)
        self.hyper_quantizer = VectorQuantizer(tuple(Band(*b) for b in config.hyper_bands), (LEVEL_KNOTS,))
        self.prior = Prior(config, self.quantizer.bands)
        self.exact = False

    def make_quantizer(self, bands: tuple[Band, ...]) -> VectorQuantizer:
        """The latent's quantiser; variants of the model (`benchmarks.variants`) have another."""
        return VectorQuantizer(bands, self.config.context_levels)

    def visible(self, place: Pass, maps: list[Tensor]) -> list[Tensor]:
        """The decoded phases (B, M, H, W) that a pass is predicted from: all of them."""
        return maps

    def encode_hyper(self, y: Tensor, prior_basis: Tensor) -> Quantized:
        """Quantised hyper-latent of y (B, M, h, w)."""
        z = self.hyper_latent(y)
        knots = torch.arange(LEVEL_KNOTS, dtype=prior_basis.dtype, device=prior_basis.device)
        knots = knots.repeat(self.config.tunes)
        numbers = (prior_basis @ knots).repeat_interleave(z.shape[2] * z.shape[3])
        by_band = [numbers.expand(1, band.groups, -1) for band in self.hyper_quantizer.bands]
        return self.hyper_quantizer(z, [Contexts.of(part, rounded=False) for part in by_band])

    def prior_basis(self, t: Tensor) -> Tensor:
        """Basis (B, knots) of the dial as the prior sees it, rounded to 1/64."""
        return level_basis((t * PRIOR_LEVELS).round() / PRIOR_LEVELS, self.config.tunes)

    def quantise(
        self,
        y: Tensor,
        t: Tensor,
        hyper_of: Tensor | None = None,
        watch: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Quantized, list[Quantized]]:
        """y (B, M, h, w) -> y_hat, the hyper-latent's result and the results of all passes.

        Args:
            t: quality (B,).
            hyper_of: the latent whose hyper-latent is coded, `y` unless given.
            watch: called with the quantised latent of every slice of every pass; what it returns takes the
                latent's place from there on.
        """
        basis = self.prior_basis(t)
        hyper = self.encode_hyper(y if hyper_of is None else hyper_of, basis)
        h, w = y.shape[-2:]
        rows, columns = whole(h, w)
        margin = (0, columns - w, 0, rows - h)
        keep = F.pad(y.new_ones(y.shape[0], h, w), margin) if any(margin) else None
        y = F.pad(y, margin)
        features = self.prior.hyper(hyper.value, basis, self.exact)[:, :, : rows // 2, : columns // 2]
        decoded: list[Tensor] = []
        passes: list[Quantized] = []
        sizes = [piece.width for piece in self.prior.slices]
        for p, place in enumerate(PASSES):
            maps = self.visible(place, to_phases(decoded))
            mask = None if keep is None else keep[place.last]
            state = self.prior.open(p, features, maps, basis, self.exact)
            values, results = [], []
            targets = y[place.last].split(sizes, 1)
            for n, (piece, target) in enumerate(zip(self.prior.slices, targets, strict=True)):
                mean, context = self.prior.predict(n, state, basis, self.exact)
                residual = target - mean
                kinds = self.quantizer.arrange(context, piece.bands)
                result = self.quantizer(residual, kinds, mask, piece.bands)
                value = mean + result.value
                value = value if mask is None else value * mask.unsqueeze(1)
                value = value if watch is None else watch(value)
                values.append(value)
                results.append(result)
                state.known.append(value - mean)
            decoded.append(torch.cat(values, 1))
            passes.append(Quantized.join(results))
        return put_together(decoded)[:, :, :h, :w], hyper, passes

    def forward(self, x: Tensor, t: Tensor, autocast: bool = False, synthesis: bool = True) -> Output:
        """x (B, 3, H, W) in [0, 1], H and W multiples of 16, at t (B,) of the dial.

        Args:
            autocast: run the transforms (not the prior or the quantiser) in bfloat16.
            synthesis: whether to run g_s; if not, the picture is x and the error 0.
        """
        kind = x.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=autocast):
            y = self.analyse(x, t)
        y_hat, hyper, passes = self.quantise(y, t)
        picture = x
        if synthesis:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=autocast):
                picture = self.synthesise(y_hat, t)
        mse = (picture - x).square().mean((1, 2, 3))
        energy = hyper.energy + sum(p.energy for p in passes)
        bits_y = torch.stack([p.rate for p in passes]).sum(0) / math.log(2)
        return Output(picture, mse, energy, bits_y, hyper.rate / math.log(2), passes, hyper)

    def set_exact(self, exact: bool) -> None:
        """Switch the integer grids on or off for training and evaluation."""
        self.exact = exact
        self.quantizer.grid = VALUE_STEP if exact else 0.0
        self.hyper_quantizer.grid = HYPER_STEP if exact else 0.0
