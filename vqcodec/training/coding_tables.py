"""The entropy coder's tables: a model's probabilities in each class, corrected by counts of real indices."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vqcodec.entropy.tables import encode_logits, encode_probabilities
from vqcodec.entropy.tile_coder import LEVELS_PER_CLASS
from vqcodec.model.codebook import VectorQuantizer
from vqcodec.model.dial import quality_of
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.restore import hyper_class_basis

FITTING_ITERATIONS = 20


@torch.no_grad()
def table_rows(quantizer: VectorQuantizer, i: int, counts: Tensor, pseudo: float) -> np.ndarray:
    """Table codes (G, sum of bins, K) uint8 of band i: the model's, fitted to counts (G, T, K).

    Probabilities are products over the context numbers, p(k | u0, u1) ~ exp(row_0[u0, k] + row_1[u1, k]).
    Iterative proportional fitting finds the maximum-likelihood rows: each row is scaled until the fitted
    distribution at each u_i is the counted one. The model's own counts as `pseudo` indices per class.
    """
    levels = quantizer.context_levels
    groups, _, words = counts.shape
    rows = list(quantizer.table[i].double().split(levels, 1))
    rows[0] = rows[0] + quantizer.bias[i].double()[:, None]

    def probabilities() -> Tensor:
        total = torch.zeros(groups, 1, words, dtype=torch.float64)
        for row in rows:
            total = (total[:, :, None] + row[:, None]).reshape(groups, -1, words)
        return total.softmax(-1)

    target = counts.double() + pseudo * probabilities()
    seen = target.sum(-1, keepdim=True)
    for _ in range(FITTING_ITERATIONS):
        for j in range(len(levels)):
            others = [1 + n for n in range(len(levels)) if n != j]
            wanted = target.reshape(groups, *levels, words).sum(others)
            fitted = (seen * probabilities()).reshape(groups, *levels, words).sum(others)
            rows[j] = rows[j] + (wanted / fitted).log()
    return np.concatenate([encode_logits(row.numpy()) for row in rows], 1)


def _count(counts: Tensor, classes: Tensor, index: Tensor) -> None:
    """Add indices (G, n) of these classes (G, n) to counts (G, T, K)."""
    cell = classes * counts.shape[2] + index
    counts.flatten(1).scatter_add_(1, cell, torch.ones_like(cell, dtype=counts.dtype))


@torch.inference_mode()
def count_symbols(model: VQVAE, crops: Crops, batches: int, side: int) -> tuple[list[Tensor], list[Tensor]]:
    """Counts of indices by group and class: (G, T, K) per band, and those of the hyper-latent.

    They are counted as if none were certain: class offsets lead to the tables of certain classes, too.
    """
    quantizer, hyper = model.quantizer, model.hyper_quantizer
    total, hyper_total = math.prod(quantizer.context_levels), LEVEL_MAX // LEVELS_PER_CLASS + 1
    counts = [torch.zeros(b.groups, total, b.codewords) for b in quantizer.bands]
    hyper_counts = [torch.zeros(b.groups, hyper_total, b.codewords) for b in hyper.bands]
    for _ in range(batches):
        x, t = crops.batch(4, side)
        output = model(x, (t * LEVEL_MAX).round() / LEVEL_MAX)
        level = (quality_of(t) * LEVEL_MAX).round()
        for result in output.passes:
            for i, index in enumerate(result.index):
                classes = torch.zeros_like(index)
                numbers = result.contexts[i].taken.round().long()
                for levels, number in zip(quantizer.context_levels, numbers, strict=True):
                    classes = classes * levels + number
                _count(counts[i], classes, index)
        for i, index in enumerate(output.hyper.index):
            classes = (level.long() // LEVELS_PER_CLASS).repeat_interleave(index.shape[1] // len(level))
            _count(hyper_counts[i], classes.expand_as(index), index)
    return counts, hyper_counts


def hyper_rows(quantizer: VectorQuantizer, i: int, counts: Tensor, pseudo: float) -> np.ndarray:
    """Table codes (G, 16, K) uint8 of hyper band i in every class of levels; see `table_rows`."""
    logits = torch.einsum("tf,gfk->gtk", hyper_class_basis(), quantizer.table[i])
    model = (quantizer.bias[i][:, None] + logits).softmax(-1)
    seen = counts.sum(-1, keepdim=True)
    return encode_probabilities(((counts + pseudo * model) / (seen + pseudo)).double().numpy())
