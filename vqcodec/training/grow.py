"""Start a model from another one's weights, also when it is larger or its codebooks are cut differently.

What both have is taken over. A layer that grew keeps its old part; old outputs do not look at new inputs, and
further residual blocks add nothing yet, so that the model begins as the function that the other one was.
Bands that are new or cut differently are started by rate-constrained Lloyd, on the residuals that the other
model's prior leaves rather than on bare latents; only of channels that it does not have there is no better
sample than the latent itself.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from vqcodec.entropy.coding_order import PASSES, PHASES, whole
from vqcodec.model.codebook import VectorQuantizer, from_groups, to_groups
from vqcodec.model.prior import put_together
from vqcodec.model.restoration import SAYS_NOTHING_AT_ZERO
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.codebook_start import start_quantizer
from vqcodec.training.contexts import resample_contexts
from vqcodec.training.data import Crops

BATCHES = 32
_ADDS = re.compile(
    r"g_[as]\.blocks_(wide|deep)\.\d+\.conv2\..*"
    rf"|g_s\.restoration\.({'|'.join(SAYS_NOTHING_AT_ZERO)})\..*"
)
"""Last layers of residual blocks, and what is added to the picture, or to what the restoration looks at."""


def adds(name: str) -> bool:
    """Does this parameter of a model belong to a layer that adds nothing where its weights are zero?"""
    return _ADDS.fullmatch(name) is not None


def group_samples(latent: Tensor, quantizer: VectorQuantizer, count: int = 6000) -> list[Tensor]:
    """Random group vectors (G, n, d) of a latent (B, M, h, w) for each band."""
    result, start = [], 0
    for band in quantizer.bands:
        vectors = to_groups(latent[:, start : start + band.channels], band)
        start += band.channels
        pick = torch.randperm(vectors.shape[1], device=latent.device)[:count]
        result.append(vectors[:, pick].contiguous())
    return result


@torch.no_grad()
def residuals(model: VQVAE, source: VQVAE, crops: Crops, batch: int, crop: int) -> Tensor:
    """Residuals r = y - mu (B, M, h, w) of random crops, the upper levels drawn more often.

    Channels that only `model` has come with its latents.
    """
    bands = source.vectors().bands
    old = min(source.config.channels, model.config.channels)
    parts = []
    for _ in range(BATCHES):
        x, level = crops.batch(batch, crop, next(model.parameters()).device)
        # Overload costs most where the gains are largest, so the codebooks must see those residuals.
        output = source(x, level.sqrt())
        latent = model.analyse(x, level.sqrt())
        h, w = latent.shape[-2:]
        rows, columns = whole(h, w)
        left = []
        for result, place in zip(output.passes, PASSES, strict=True):
            shape = (batch, *place.sides(rows, columns))
            pairs = zip(result.residual, bands, strict=True)
            left.append(torch.cat([from_groups(r, b, shape) for r, b in pairs], 1))
        joined = put_together(left)[:, :, :h, :w]
        parts.append(torch.cat([joined[:, :old], latent[:, old:]], 1))
    return torch.cat(parts)


def kept_bands(model: VQVAE, source: VQVAE) -> list[bool]:
    """For each band of `model`: is it a band of `source`, of the same channels and context classes?"""
    mine, theirs = model.vectors(), source.vectors()
    same = mine.context_levels == theirs.context_levels
    result = []
    for i, band in enumerate(mine.bands):
        same = same and i < len(theirs.bands) and theirs.bands[i] == band
        result.append(same)
    return result


def _copy_overlap(new: Tensor, old: Tensor) -> None:
    """The part that both tensors have; new inputs (second axis) of old outputs get no weight."""
    region = tuple(slice(0, min(a, b)) for a, b in zip(new.shape, old.shape, strict=True))
    if new.dim() >= 3:
        new[region[0]] = 0
    new[region] = old[region]


def _copy_inputs(new: Tensor, old: Tensor, maps: int, features: int) -> None:
    """Weights (O, I, 3, 3) on so many maps, for the channels that both have, and on features behind them."""
    outputs = min(len(new), len(old))
    new[:outputs] = 0
    if maps:
        here, there = (w[:, : w.shape[1] - features].unflatten(1, (maps, -1)) for w in (new, old))
        both = min(here.shape[2], there.shape[2])
        here[:outputs, :, :both] = there[:outputs, :, :both]
    if features:
        new[:outputs, -features:] = old[:outputs, -features:]


def _copy_outputs(new: Tensor, old: Tensor, model: VQVAE, source: VQVAE, kept: list[bool]) -> None:
    """Outputs (first axis) of a prior's last layer: means of common channels, context of kept groups."""
    means, old_means = model.config.channels, source.config.channels
    common = min(means, old_means)
    _copy_overlap(new[:common], old[:common])
    groups = sum(b.groups for b, k in zip(model.vectors().bands, kept, strict=True) if k)
    for number in range(len(model.config.context_levels) if groups else 0):
        here, there = means + number * model.prior.groups, old_means + number * source.prior.groups
        _copy_overlap(new[here : here + groups], old[there : there + groups])


def _same_sight(name: str, model: VQVAE, source: VQVAE, kept: list[bool]) -> bool:
    """Do the layers of this name look at the same channels in both models?"""
    count = int(name.split(".")[2]) // len(PHASES) + 1
    starts = model.config.slices[:count]
    return starts == source.config.slices[:count] and all(kept[: starts[-1]])


@torch.no_grad()
def take_over(model: VQVAE, source: VQVAE, crops: Crops, batch: int, crop: int, spread: float) -> list[str]:
    """Fill `model` from `source`.

    Args:
        spread: classes by which the scale context rises over the dial, see `Prior.start_context`.

    Returns:
        names of the parameters that were started afresh, wholly or in part.

    Raises:
        ValueError: the hyper-latents differ, or either model rounds scalars while codebooks must start.
    """
    if model.config.hyper_bands != source.config.hyper_bands:
        raise ValueError("a model of another hyper-latent cannot be taken over")
    vectors = isinstance(model.quantizer, VectorQuantizer)
    if vectors and model.config.context_levels != source.config.context_levels:
        source = resample_contexts(source, model.config.context_levels)
    old = dict(source.named_parameters())
    kept = kept_bands(model, source) if vectors else []
    afresh = []
    for name, parameter in model.named_parameters():
        other = old.get(name)
        if name.startswith(("prior.look.", "prior.tell.")) and not _same_sight(name, model, source, kept):
            other = None  # what looks at other channels is of no use; at its start it tells nothing
        lost = name.startswith("quantizer.") and not (vectors and kept[int(name.rsplit(".", 1)[1])])
        if lost or other is None or other.dim() != parameter.dim():
            afresh.append(name)
            # What these are added to already says all that the other model knew.
            if name.startswith("prior.linear.") or (other is None and adds(name)):
                parameter.zero_()
        elif vectors and ".leave." in name:
            # Outputs are the first axis of weights, and the last of biases.
            weight = other.dim() == 4
            pair = (parameter, other) if weight else (parameter.movedim(-1, 0), other.movedim(-1, 0))
            _copy_outputs(*pair, model, source, kept)
            if parameter.shape != other.shape or not all(kept):
                afresh.append(name)
        elif name.startswith("prior.enter.") and other.dim() == 4:
            place = PASSES[int(name.split(".")[2])]
            _copy_inputs(parameter, other, place.maps, model.config.prior_features)
            if parameter.shape != other.shape:
                afresh.append(name)
        elif other.shape == parameter.shape:
            parameter.copy_(other)
        elif name.startswith(("g_s.restoration.kernels", "g_s.restoration.gates.")):
            # By colour; further kernels keep their start, behind closed gates.
            afresh.append(name)
            here, there = (p.unflatten(0, (3, -1)) for p in (parameter, other))
            both = tuple(slice(0, min(a, b)) for a, b in zip(here.shape, there.shape, strict=True))
            here[both] = there[both]
        else:
            afresh.append(name)
            if name.startswith("g_a.tail."):
                # New channels start as the linear shortcut alone: a trained network at random is noise.
                parameter.zero_()
            if "modulation" in name:
                # Scales and shifts side by side.
                for here, there in zip(parameter.chunk(2, 1), other.chunk(2, 1), strict=True):
                    _copy_overlap(here, there)
            else:
                _copy_overlap(parameter, other)
    if vectors and not all(kept):
        sample = group_samples(residuals(model, source, crops, batch, crop), model.vectors())
        which = [i for i, k in enumerate(kept) if not k]
        typical = start_quantizer(model.vectors(), sample, which)
        model.prior.start_context(typical, spread, model.prior.groups - len(typical))
    return afresh
