"""VQVAE: g_a, quantiser, prior and g_s joined; forward gives losses, encode gives indices.

    x --g_a--> y_pixel * gain(t) = y --quantise(prior)--> y_hat / gain(t) --g_s--> x_hat

One model for the whole quality range: the level t in [0, 1] sets lambda(t) (log-linear), the gains and
the modulation of transforms and prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.entropy.coding_order import PASSES, cut_slices, whole
from vqcodec.model.blocks import LEVEL_KNOTS, level_basis
from vqcodec.model.codebook import SLOPE, Band, Quantized, VectorQuantizer
from vqcodec.model.config import ModelConfig
from vqcodec.model.free_energy import Contexts
from vqcodec.model.hyper import HyperAnalysis
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP
from vqcodec.model.prior import Prior, put_together, to_phases
from vqcodec.model.residual import ResidualQuantizer
from vqcodec.model.scalar import ScalarQuantizer
from vqcodec.model.transforms import AnalysisTransform, SynthesisTransform

LAMBDA_MIN, LAMBDA_MAX = 0.0006, 0.15
PRIOR_LEVELS = 64
"""The prior knows the level in steps of 1/64: eight between two knots."""


def lambda_of_level(level: Tensor) -> Tensor:
    """Weight of the distortion in lambda * 255^2 * MSE + bpp for level t in [0, 1]."""
    return LAMBDA_MIN * torch.exp(level * math.log(LAMBDA_MAX / LAMBDA_MIN))


def redraw_error(y: Tensor, y_hat: Tensor) -> Tensor:
    """y with uniform noise as large, at every place, as the quantisation error is there.

    A straight-through gradient is taken at the codeword wherever in the cell y lies; here it is taken all
    over the cell around y. The noise has the error's mean square, so that the distortion stays the same.
    """
    reach = 3**0.5 * (y_hat - y).detach().abs()
    return y + reach * torch.empty_like(reach).uniform_(-1, 1)


@dataclass
class Output:
    """What `VQVAE.forward` returns; nats, bits and errors are per sample (B,)."""

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
        linear = {"shortcut": config.shortcut, "lapped": config.lapped}
        self.g_a = AnalysisTransform(config.channels, *config.analysis, **linear)
        self.g_s = SynthesisTransform(
            config.channels, *config.synthesis, config.restoration, config.guided, **linear
        )
        self.h_a = HyperAnalysis(config.channels, config.prior_features, config.hyper_channels)
        # On the CPU even under device "meta", where arithmetic imports torch's compiler: more than a second.
        step = torch.linspace(0, 1, LEVEL_KNOTS, device="cpu")
        # A unit step in y then is the step of an ideal quantiser at lambda(t).
        start = 0.5 * torch.log(lambda_of_level(step) * 255.0**2 * 2 * math.log(2) / (6 * SLOPE))
        self.log_gain = nn.Parameter(start[:, None].repeat(1, config.channels))

    def gain(self, level: Tensor) -> Tensor:
        """Per-channel gain (B, M, 1, 1) at level (B,)."""
        # In bfloat16 gains would be off by up to 1.6 %: of means of hundreds of steps, several.
        with torch.autocast(level.device.type, enabled=False):
            return torch.exp(level_basis(level) @ self.log_gain)[:, :, None, None]

    def analyse(self, x: Tensor, level: Tensor) -> Tensor:
        """Latent y (B, M, h, w) in quantiser steps."""
        return self.g_a(x, level) * self.gain(level)

    def synthesise(self, y_hat: Tensor, level: Tensor) -> Tensor:
        """Picture (B, 3, 16h, 16w) from the quantised latent."""
        return self.g_s(y_hat / self.gain(level), level)

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
        hyper_bands = tuple(Band(*b) for b in config.hyper_bands)
        if sum(b.channels for b in bands) != config.channels:
            raise ValueError("the bands must cover all latent channels")
        if config.context_passes not in (2, 4):
            raise ValueError("the context has two or four passes")
        self.quantizer: VectorQuantizer | ResidualQuantizer | ScalarQuantizer
        if config.quantizer == "vector":
            self.quantizer = VectorQuantizer(bands, config.context_levels)
        elif config.quantizer == "residual":
            self.quantizer = ResidualQuantizer(bands, config.context_levels)
        else:
            self.quantizer = ScalarQuantizer(config.channels, config.context_levels)
        self.hyper_quantizer = VectorQuantizer(hyper_bands, (LEVEL_KNOTS,))
        self.prior = Prior(
            config.channels,
            config.context_channels,
            self.quantizer.groups,
            config.context_levels,
            config.hyper_channels,
            config.prior_features,
            config.prior_width,
            config.first_channels,
            # Scalars have no bands that could be cut.
            cut_slices([(config.channels, self.quantizer.groups)], ())
            if config.quantizer == "scalar"
            else cut_slices([(b.channels, b.groups) for b in bands], config.slices),
            config.slice_width,
        )
        self.exact = False
        self.cell_noise = False
        """Replace quantisation by noise on the way to g_s, see `redraw_error`."""

    def vectors(self) -> VectorQuantizer:
        """The quantiser of models with a codebook for each group, which alone can be coded.

        Raises:
            ValueError: the model, one for comparisons, has another.
        """
        if not isinstance(self.quantizer, VectorQuantizer):
            raise ValueError("only models with a vector quantiser can be exported or taken over")
        return self.quantizer

    def encode_hyper(self, y: Tensor, prior_basis: Tensor) -> Quantized:
        """Quantised hyper-latent of y (B, M, h, w)."""
        z = self.hyper_latent(y)
        return self.hyper_quantizer(z, self._hyper_contexts(z, prior_basis))

    def _hyper_contexts(self, z: Tensor, prior_basis: Tensor) -> list[Contexts]:
        level = prior_basis @ torch.arange(LEVEL_KNOTS, dtype=prior_basis.dtype, device=prior_basis.device)
        numbers = level.repeat_interleave(z.shape[2] * z.shape[3]).expand(1, self.hyper_quantizer.groups, -1)
        return Contexts.of(numbers, rounded=False).split([b.groups for b in self.hyper_quantizer.bands])

    def prior_basis(self, level: Tensor) -> Tensor:
        """Basis of the level as the prior sees it, on its grid of 1/64."""
        return level_basis((level * PRIOR_LEVELS).round() / PRIOR_LEVELS)

    def quantise(
        self,
        y: Tensor,
        level: Tensor,
        hyper_of: Tensor | None = None,
        watch: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Quantized, list[Quantized]]:
        """y (B, M, h, w) -> y_hat, the hyper-latent's result and the results of all passes.

        Args:
            hyper_of: the latent whose hyper-latent is taken, `y` unless given.
            watch: called with the quantised latent of every slice of every pass; what it returns is decoded
                and looked at.

        With two context passes the second phase of each pair is coded without looking at the first: a
        checkerboard, by the same networks.
        """
        basis = self.prior_basis(level)
        hyper = self.encode_hyper(y if hyper_of is None else hyper_of, basis)
        h, w = y.shape[-2:]
        rows, columns = whole(h, w)
        margin = (0, columns - w, 0, rows - h)
        keep = F.pad(y.new_ones(y.shape[0], h, w), margin) if any(margin) else None
        y = F.pad(y, margin)
        features = self.prior.hyper(hyper.value, basis, self.exact)[:, :, : rows // 2, : columns // 2]
        decoded: list[Tensor] = []
        passes: list[Quantized] = []
        sizes = [piece.channels.stop - piece.channels.start for piece in self.prior.slices]
        for p, place in enumerate(PASSES):
            maps = to_phases(decoded)
            if self.config.context_passes == 2 and place.maps % 2:
                maps[-1] = torch.zeros_like(maps[-1])
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

    def forward(self, x: Tensor, level: Tensor, autocast: bool = False, synthesis: bool = True) -> Output:
        """x (B, 3, H, W) in [0, 1], H and W multiples of 16; level (B,) in [0, 1].

        Args:
            autocast: run the transforms (not the prior or the quantiser) in bfloat16.
            synthesis: without it the picture is x itself, and the error 0.
        """
        kind = x.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=autocast):
            y = self.analyse(x, level)
        y_hat, hyper, passes = self.quantise(y, level)
        if self.cell_noise:
            y_hat = redraw_error(y, y_hat)
        picture = x
        if synthesis:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=autocast):
                picture = self.synthesise(y_hat, level)
        mse = (picture - x).square().mean((1, 2, 3))
        energy = hyper.energy + sum(p.energy for p in passes)
        bits_y = torch.stack([p.rate for p in passes]).sum(0) / math.log(2)
        return Output(picture, mse, energy, bits_y, hyper.rate / math.log(2), passes, hyper)

    def set_exact(self, exact: bool) -> None:
        """Switch the integer grids on or off for training and evaluation."""
        self.exact = exact
        self.quantizer.grid = VALUE_STEP if exact else 0.0
        self.hyper_quantizer.grid = HYPER_STEP if exact else 0.0
