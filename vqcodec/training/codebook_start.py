"""Rate-constrained Lloyd start of the codebooks, and revival of dead codewords.

Plain k-means places codewords where the density is and leaves the tails to few; with the rate in the
assignment (argmin w |r - c|^2 - ln p) cells of frequent codewords grow, and rare ones reach far out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqcodec.model.codebook import SLOPE, VectorQuantizer, to_groups
from vqcodec.model.vqvae import VQVAE

SCALE_MIN, SCALE_MAX = 0.05, 40.0
"""Scales, in quantiser steps, at the two ends of the first context number."""
TAIL_GROWTH = 1.65
"""ln of the widest step of a one-dimensional grid."""
ITERATIONS = 20
SAMPLES = 6000
"""Vectors of each group that its codebook is started from."""


def _line_grid(count: int) -> Tensor:
    """Start of one-dimensional codewords, zero first: unit steps to count/3, then growing to 3/4 of count.

    A uniform grid would not reach the means of blocks at the highest quality.
    """
    index = torch.arange(count // 2, dtype=torch.float64)
    linear = count // 3
    # Steps e^(TAIL_GROWTH * u), u from 0 to 1 over the tail: their mean is 2.5.
    growth = TAIL_GROWTH / max(count // 2 - linear, 1)
    tail = torch.cumsum(torch.exp(growth * (index - linear).clamp_min(0)), 0)
    reach = torch.where(index <= linear, index, linear + tail - tail[linear])
    return torch.cat([reach, -(reach[1:]), -(reach[-1:] + math.exp(TAIL_GROWTH))]).float()


def class_scales(bins: int) -> Tensor:
    """Scale in steps that each bin of u0 starts with: `SCALE_MIN` to `SCALE_MAX` in equal ratios."""
    return torch.logspace(math.log10(SCALE_MIN), math.log10(SCALE_MAX), bins)


def class_of_scale(scale: Tensor, bins: int) -> Tensor:
    """Inverse of `class_scales`, real-valued and clamped."""
    inside = scale.clamp(SCALE_MIN, SCALE_MAX)
    return (inside / SCALE_MIN).log() / math.log(SCALE_MAX / SCALE_MIN) * (bins - 1)


def context_spread(model: VQVAE) -> float:
    """Bins by which scales rise over the range of t: they grow log-linearly, as the gains do."""
    growth = float(model.log_gain[-1].mean() - model.log_gain[0].mean())
    return growth / math.log(SCALE_MAX / SCALE_MIN) * (model.config.context_levels[0] - 1)


def group_samples(latent: Tensor, quantizer: VectorQuantizer) -> list[Tensor]:
    """Random group vectors (G, n, d), n <= `SAMPLES`, of a latent (B, M, h, w) for each band."""
    result, start = [], 0
    for band in quantizer.bands:
        vectors = to_groups(latent[:, start : start + band.channels], band)
        start += band.channels
        pick = torch.randperm(vectors.shape[1], device=latent.device)[:SAMPLES]
        result.append(vectors[:, pick].contiguous())
    return result


def rate_constrained_lloyd(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Codebooks of `count` codewords for samples (G, n, d).

    Returns:
        codewords (G, K, d), the zero vector first, and ln p (G, K) of their use with one pseudo count.
    """
    groups, n, size = samples.shape
    if size == 1:
        words = _line_grid(count).to(samples).reshape(1, count, 1).repeat(groups, 1, 1)
    else:
        pick = torch.randint(n, (groups, count), device=samples.device)
        words = samples.gather(1, pick.unsqueeze(-1).expand(-1, -1, size)).clone()
        words[:, 0] = 0
    log_p = samples.new_zeros(groups, count)
    for _ in range(ITERATIONS):
        # w |r - c|^2 - w |r|^2 - ln p, shape (G, n, K)
        offset = (SLOPE * words.square().sum(-1) - log_p).unsqueeze(1)
        scores = torch.baddbmm(offset, samples, words.transpose(1, 2), alpha=-2 * SLOPE)
        cost, index = scores.min(-1)
        cost = cost + SLOPE * samples.square().sum(-1)
        counts = samples.new_zeros(groups, count).scatter_add_(1, index, torch.ones_like(cost))
        sums = torch.zeros_like(words).scatter_add_(1, index.unsqueeze(-1).expand(-1, -1, size), samples)
        spare = words
        if size > 1:
            worst = cost.topk(min(count, n), dim=1).indices
            worst = worst[:, torch.arange(count, device=worst.device) % n]
            spare = samples.gather(1, worst.unsqueeze(-1).expand(-1, -1, size))
        counts = counts.unsqueeze(-1)
        words = torch.where(counts > 0, sums / counts.clamp_min(1), spare)
        words[:, 0] = 0
        log_p = ((counts.squeeze(-1) + 1) / (n + count)).log()
    return words, log_p


@torch.no_grad()
def start_quantizer(
    quantizer: VectorQuantizer, samples: list[Tensor], which: list[int] | None = None
) -> Tensor:
    """Set codewords, biases and bin logits from samples, one (G, n, d) tensor per band.

    Args:
        which: numbers of the bands to start, all of them by default.

    The first context number starts as a scale: bin i holds a density exp(-|c| / b_i) with the scales b_i of
    `class_scales`; the bias is the log volume of the codeword's cell.

    Returns:
        the bin (groups,) whose scale fits each started group's samples: the start of the prior's bias.
    """
    bins = quantizer.context_levels[0]
    scales = class_scales(bins).to(samples[0])
    typical = []
    for i in range(len(quantizer.bands)) if which is None else which:
        band, sample = quantizer.bands[i], samples[i]
        words, _ = rate_constrained_lloyd(sample, band.codewords)
        distance = torch.cdist(words, words)
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        reach = distance.amin(-1).clamp(0.2, 20.0)
        quantizer.words[i].copy_(words)
        quantizer.bias[i].copy_(band.size * reach.log())
        norm = words.norm(dim=-1) * 1.4
        fall = (norm.unsqueeze(1) / scales[:, None]).clamp_max(25.0)
        quantizer.table[i].zero_()
        quantizer.table[i][:, :bins] = -fall
        typical.append(class_of_scale(sample.norm(dim=-1).mean(1) / band.size**0.5, bins))
    return torch.cat(typical)


@torch.no_grad()
def start_hyper_codebooks(model: VQVAE, z: Tensor) -> None:
    """Scale the last layer of h_a and start the hyper-latent's codebooks, from its samples z (B, C, h, w)."""
    tail, quantizer = model.h_a.tail, model.hyper_quantizer
    # Standard deviation of 1.2 steps: enough for the codebook, within the fixed-point range.
    factor = 1.2 / z.std()
    tail.weight.mul_(factor)
    tail.get_parameter("bias").zero_()
    start_quantizer(quantizer, group_samples((z - z.mean((0, 2, 3), keepdim=True)) * factor, quantizer))
    for table in quantizer.table:
        table.zero_()


@torch.no_grad()
def worst_coded(sample: Tensor, words: Tensor) -> Tensor:
    """The vectors (G, min(K, n), d) of `sample` (G, n, d) that are farthest from the codewords (G, K, d)."""
    distance = torch.cdist(sample, words).amin(-1)
    worst = distance.topk(min(words.shape[1], sample.shape[1]), dim=1).indices
    return sample.gather(1, worst.unsqueeze(-1).expand(-1, -1, sample.shape[2]))


@torch.no_grad()
def revive_dead_words(quantizer: VectorQuantizer, usage: list[Tensor], samples: list[Tensor]) -> int:
    """Move codewords that were not used (usage (G, K) == 0) onto the worst-coded of `samples` (G, n, d).

    Returns:
        number of codewords moved. Those of one-dimensional groups keep their position on the grid.
    """
    moved = 0
    for i, (band, used, sample) in enumerate(zip(quantizer.bands, usage, samples, strict=True)):
        dead = used == 0
        dead[:, 0] = False
        if band.size == 1 or not bool(dead.any()):
            continue
        words = quantizer.words[i]
        distance = torch.cdist(sample, words).amin(-1)
        worst = distance.topk(min(band.codewords, sample.shape[1]), dim=1)
        for g in dead.any(1).nonzero().flatten().tolist():
            slots = dead[g].nonzero().flatten()[: worst.indices.shape[1]]
            slots = slots[worst.values[g, : len(slots)] > 1.0]
            words[g, slots] = sample[g, worst.indices[g, : len(slots)]]
            quantizer.bias[i][g, slots] = quantizer.bias[i][g].min()
            moved += len(slots)
    return moved
