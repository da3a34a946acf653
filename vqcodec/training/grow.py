"""Start a model from one of other sizes: `--from SOURCE --resize`.

Whatever both have is copied, so that the model begins as the function that the source is: outputs that the
source has do not see inputs that it does not have, further residual blocks add zero, and further rows of
class logits lie on the lines between the source's. Bands that are new or cut differently are started by
rate-constrained Lloyd on the residuals that the source's prior leaves; for channels that the source does not
have, on the latent itself.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from vqcodec.entropy.coding_order import PASSES, PHASES, whole
from vqcodec.model.codebook import from_groups
from vqcodec.model.dial import LEVEL_KNOTS, at_quality, hat_basis, quality_of
from vqcodec.model.prior import put_together
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.codebook_start import group_samples, start_quantizer
from vqcodec.training.data import Crops
from vqcodec.training.idle_units import busiest_first

BATCHES = 32
"""Batches of crops that residuals are taken from."""


@dataclasses.dataclass(frozen=True)
class Growth:
    """A model, what it starts from, and which of its bands are bands of the source."""

    model: VQVAE
    source: VQVAE
    kept: list[bool]


CopyRule: TypeAlias = Callable[[Tensor, Tensor, str, Growth], bool]
"""Fills a parameter from the source's of the same name; False if it, or a part of it, keeps its own start."""


def adds(name: str) -> bool:
    """Is this a parameter of the last layer of a residual block, which adds nothing where it is zero?"""
    return re.fullmatch(r"g_[as]\.blocks_(wide|deep)\.\d+\.conv2\..*", name) is not None


# -- copy rules --------------------------------------------------------------------------------
def _overlap(new: Tensor, old: Tensor, *_: object) -> bool:
    """The part that both tensors have; new inputs (second axis) of old outputs get no weight."""
    region = tuple(slice(0, min(a, b)) for a, b in zip(new.shape, old.shape, strict=True))
    if new.dim() >= 3:
        new[region[0]] = 0
    new[region] = old[region]
    return new.shape == old.shape


def _chunks(count: int, axis: int) -> CopyRule:
    """The overlap of each of `count` equal parts along an axis."""

    def rule(new: Tensor, old: Tensor, *_: object) -> bool:
        for pair in zip(new.chunk(count, axis), old.chunk(count, axis), strict=True):
            _overlap(*pair)
        return new.shape == old.shape

    return rule


def _silent(new: Tensor, old: Tensor, *_: object) -> bool:
    """Zero but for the overlap: new channels start as the shortcut alone."""
    new.zero_()
    return _overlap(new, old)


def _codebook(new: Tensor, old: Tensor, name: str, growth: Growth) -> bool:
    """Parameters of kept bands; the others are started by Lloyd."""
    kept = growth.kept[int(name.rsplit(".", 1)[1])]
    return kept and _overlap(new, old)


def _slice_layer(new: Tensor, old: Tensor, name: str, growth: Growth) -> bool:
    """Layers that look at the same channels in both models; the others start without effect."""
    count = int(name.split(".")[2]) // len(PHASES) + 1
    starts = growth.model.config.slices[:count]
    same = starts == growth.source.config.slices[:count] and all(growth.kept[: starts[-1]])
    return same and _overlap(new, old)


def _prior_inputs(new: Tensor, old: Tensor, name: str, growth: Growth) -> bool:
    """Weights (O, I, 3, 3) of common outputs on common channels of decoded phases, and on h_s's features."""
    maps = PASSES[int(name.split(".")[2])].maps
    features = growth.model.config.prior_features
    outputs = min(len(new), len(old))
    new[:outputs] = 0
    if maps:
        here, there = (w[:, : w.shape[1] - features].unflatten(1, (maps, -1)) for w in (new, old))
        both = min(here.shape[2], there.shape[2])
        here[:outputs, :, :both] = there[:outputs, :, :both]
    new[:outputs, -features:] = old[:outputs, -features:]
    return new.shape == old.shape


def _prior_outputs(new: Tensor, old: Tensor, _: str, growth: Growth) -> bool:
    """Means of common channels and context numbers of kept groups.

    Outputs are the first axis of weights, and the last of biases.
    """
    if new.dim() < 4:
        new, old = new.movedim(-1, 0), old.movedim(-1, 0)
    start, old_start = growth.model.config.channels, growth.source.config.channels
    common = min(start, old_start)
    _overlap(new[:common], old[:common])
    bands = growth.model.quantizer.bands
    groups = sum(band.groups for band, kept in zip(bands, growth.kept, strict=True) if kept)
    for number in range(len(growth.model.config.context_levels) if groups else 0):
        here = start + number * growth.model.prior.groups
        there = old_start + number * growth.source.prior.groups
        _overlap(new[here : here + groups], old[there : there + groups])
    return new.shape == old.shape and all(growth.kept)


RULES: tuple[tuple[str, CopyRule], ...] = (
    (r"quantizer\..*", _codebook),
    (r"prior\.(look|tell)\..*", _slice_layer),
    (r"prior\.enter\.\d+\.weight", _prior_inputs),
    (r"prior\.leave\..*", _prior_outputs),
    (r"g_s\.restoration\.(kernels|gates\..*)", _chunks(3, axis=0)),  # by colour
    (r".*\.modulation\.table", _chunks(2, axis=1)),  # scales and shifts
    (r"g_a\.tail\..*", _silent),
    (r".*", _overlap),
)
"""Patterns of parameter names and how these are copied; the first that fits counts."""


@torch.no_grad()
def take_over(model: VQVAE, source: VQVAE, crops: Crops, batch: int, crop: int, spread: float) -> list[str]:
    """Fill `model` from `source`.

    Args:
        crops, batch, crop: pictures for the Lloyd start of new bands, and to find units that do nothing.
        spread: bins by which the scale context rises over the range of t, see `Prior.start_context`.

    Returns:
        names of the parameters that keep their own start, wholly or in part.

    Raises:
        ValueError: the hyper-latents differ.
    """
    if model.config.hyper_bands != source.config.hyper_bands:
        raise ValueError("a model of another hyper-latent cannot be taken over")
    if model.config.tunes != source.config.tunes:
        source = with_tunes(source, model.config.tunes)
    if model.config.context_levels != source.config.context_levels:
        source = resample_contexts(source, model.config.context_levels)
    if model.config.prior_width < source.config.prior_width:
        source = busiest_first(source, crops, batch, crop)
    growth = Growth(model, source, kept_bands(model, source))
    old, afresh = dict(source.named_parameters()), []
    for name, parameter in model.named_parameters():
        rule = next(rule for pattern, rule in RULES if re.fullmatch(pattern, name))
        if name not in old:
            afresh.append(name)
            if adds(name):
                parameter.zero_()
        elif not rule(parameter, old[name], name, growth):
            afresh.append(name)
    if not all(growth.kept):
        samples = group_samples(residuals(model, source, crops, batch, crop), model.quantizer)
        which = [i for i, kept in enumerate(growth.kept) if not kept]
        typical = start_quantizer(model.quantizer, samples, which)
        model.prior.start_context(typical, spread, model.prior.groups - len(typical))
    return afresh


def kept_bands(model: VQVAE, source: VQVAE) -> list[bool]:
    """For each band of `model`: is it, and is every band before it, that band of `source`?"""
    mine, theirs = model.quantizer.bands, source.quantizer.bands
    return [mine[: i + 1] == theirs[: i + 1] for i in range(len(mine))]


@torch.no_grad()
def residuals(model: VQVAE, source: VQVAE, crops: Crops, batch: int, crop: int) -> Tensor:
    """Residuals r = y - mu (B, M, h, w) of random crops; latents y for channels that only `model` has."""
    old = min(source.config.channels, model.config.channels)
    parts = []
    for _ in range(BATCHES):
        x, t = crops.batch(batch, crop, next(model.parameters()).device)
        # Square root: codewords out of reach cost most at high quality, where residuals are largest.
        t = at_quality(t, quality_of(t).sqrt())
        output, latent = source(x, t), model.analyse(x, t)
        h, w = latent.shape[-2:]
        rows, columns = whole(h, w)
        left = []
        for result, place in zip(output.passes, PASSES, strict=True):
            shape = (batch, *place.sides(rows, columns))
            pairs = zip(result.residual, source.quantizer.bands, strict=True)
            left.append(torch.cat([from_groups(r, b, shape) for r, b in pairs], 1))
        joined = put_together(left)[:, :, :h, :w]
        parts.append(torch.cat([joined[:, :old], latent[:, old:]], 1))
    return torch.cat(parts)


@torch.no_grad()
def with_tunes(source: VQVAE, tunes: int) -> VQVAE:
    """A copy of a model with another number of tunes; what it lacks begins as its first."""
    model = VQVAE(dataclasses.replace(source.config, tunes=tunes))
    model.to(next(source.parameters()).device)
    for name, parameter in model.named_parameters():
        values: Tensor = source.get_parameter(name)
        same = values.shape == parameter.shape
        parameter.copy_(values if same else values[:LEVEL_KNOTS].repeat(tunes, 1))
    return model.eval()


@torch.no_grad()
def resample_contexts(source: VQVAE, bins: tuple[int, ...]) -> VQVAE:
    """A copy of a model that has `bins` bins of each context number instead.

    Logits between two bins are interpolated, so a finer grid of bins is the same function; what it saves is
    the rounding to bins in exact mode.

    Raises:
        ValueError: it has another number of context numbers, or one with fewer than two bins.
    """
    old = source.config.context_levels
    if len(old) != len(bins) or min(*old, *bins) < 2:
        raise ValueError("context numbers can be resampled, not added, and have two bins at least")
    model = VQVAE(dataclasses.replace(source.config, context_levels=bins))
    model.to(next(source.parameters()).device)
    for name, parameter in model.named_parameters():
        values: Tensor = source.get_parameter(name)
        if name.startswith("quantizer.table."):
            rows = []
            for part, count in zip(values.split(old, 1), bins, strict=True):  # (G, n, K), evenly spaced
                positions = torch.linspace(0, part.shape[1] - 1, count, device=part.device)
                rows.append(hat_basis(positions, part.shape[1]) @ part)
            values = torch.cat(rows, 1)
        parameter.copy_(values)
        if name.startswith("prior.leave."):
            outputs = parameter if parameter.dim() == 4 else parameter.movedim(-1, 0)
            start, groups = model.config.channels, model.prior.groups
            for before, count in zip(old, bins, strict=True):
                outputs[start : start + groups] *= (count - 1) / (before - 1)
                start += groups
    return model.eval()
