"""Search and free energy of grouped codebooks, with a hand-written gradient.

    -ln sum_k p(k) exp(-w |r - c_k|^2),    ln p(k) = l_k - ln sum_j exp l_j,
    l = bias + sum over the context numbers u of the table's rows, interpolated between floor(u) and the next

This is rate, commitment and codebook loss in one smooth term. It is bound by memory: arrays have groups x
positions x codewords values. So on a CPU a few groups at a time go through all steps while they lie in the
core's cache, and a logit is computed from the rows that it lies between instead of a dense product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_FLOOR = -60.0
"""Log probabilities relative to the largest are cut here: denormal float32 values below would slow down
exp and matrix products."""
TINY = 1e-37
"""Lower bound of probabilities before a logarithm, where they are not cut."""
CHUNK = 1 << 18
"""Values of an array of groups x positions x codewords that a thread processes at once: 1 MB of float32."""


@dataclass(frozen=True)
class Contexts:
    """Context numbers of a band's groups at N positions, in units of bins.

    Attributes:
        numbers: (dims, G, N), which the gradient of the interpolation between bins goes to.
        taken: (dims, G, N), at which logits are taken; in exact mode `numbers` rounded to bins.
    """

    numbers: Tensor
    taken: Tensor

    @classmethod
    def of(cls, numbers: Tensor, rounded: bool) -> Contexts:
        """Contexts at `numbers`, or at the nearest bins."""
        return cls(numbers, numbers.detach().round() if rounded else numbers)


def rows_between(numbers: Tensor, bins: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The rows of a table that numbers (dims, G, N) lie between, and the weights of these rows.

    Args:
        bins: rows of each number; those of the first number come first.

    Returns:
        rows (G, N, 2 dims) int64 and weights (G, N, 2 dims); for each number the lower row, then the upper.
    """
    rows, shares, start = [], [], 0
    for number, count in zip(numbers, bins, strict=True):
        inside = number.clamp(0, count - 1)
        low = inside.floor().clamp_max(max(count - 2, 0))
        share = inside - low
        row = low.long() + start
        rows += [row, row + 1 if count > 1 else row]
        shares += [1 - share, share]
        start += count
    return torch.stack(rows, -1), torch.stack(shares, -1)


def hat_rows(rows: Tensor, shares: Tensor, count: int) -> Tensor:
    """The weights of `rows_between` as dense ones (G, N, count) in the dtype of `shares`."""
    return shares.new_zeros((*rows.shape[:2], count)).scatter_add_(-1, rows, shares)


class _Logits:
    """Logits (G, N, K), computed for a slice of groups at a time."""

    def __init__(self, rows: Tensor, shares: Tensor, table: Tensor, bias: Tensor) -> None:
        """rows and shares (G, N, 2 dims), table (G, F, K), bias (G, K)."""
        self.sparse = table.device.type == "cpu"
        groups, self.count, _ = table.shape
        self.bias, self.rows, self.shares, self.table = bias, rows, shares, table
        if self.sparse:
            self.rows = rows + self.count * torch.arange(groups).reshape(-1, 1, 1)
            # Shares sum to 1 for each context number, that is half of the rows.
            self.table = (table + (2 / rows.shape[-1]) * bias.unsqueeze(1)).flatten(0, 1)

    def __getitem__(self, g: slice) -> Tensor:
        rows, shares = self.rows[g], self.shares[g]
        if not self.sparse:
            return torch.baddbmm(self.bias[g].unsqueeze(1), hat_rows(rows, shares, self.count), self.table[g])
        flat = F.embedding_bag(
            rows.flatten(0, 1), self.table, mode="sum", per_sample_weights=shares.flatten(0, 1)
        )
        return flat.unflatten(0, rows.shape[:2])


def _largest(fit: Tensor) -> Tensor:
    """Index (..., 1) of the first maximum along the last axis."""
    if fit.device.type == "cpu":
        # numpy is several times faster than torch here.
        return torch.from_numpy(fit.numpy().argmax(-1, keepdims=True))
    return fit.argmax(-1, keepdim=True)


def softmax(x: Tensor, place: Tensor, floor: bool) -> tuple[Tensor, Tensor]:
    """Softmax along the last axis, and the logarithm (..., 1) of what it divides by.

    Args:
        place: (..., 1), index of an entry whose probability is not too small for float32.
        floor: cut logarithms at `LOG_FLOOR` below the largest, in place in `x`, for a CPU. Without it, one
            kernel for a GPU, where denormal numbers cost nothing.
    """
    if not floor:
        share = torch.softmax(x, -1)
        return share, x.gather(-1, place) - share.gather(-1, place).clamp_min(TINY).log()
    top = x.amax(-1, keepdim=True)
    x.sub_(top).clamp_min_(LOG_FLOOR).exp_()
    total = x.sum(-1, keepdim=True)
    return x.mul_(total.reciprocal()), top.add_(total.log_())


class FreeEnergy(torch.autograd.Function):
    """Free energy (G, N), chosen indices (G, N) and their rates -ln p(k) (G, N), which have no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        numbers: Tensor,
        taken: Tensor,
        residual: Tensor,
        table: Tensor,
        bias: Tensor,
        words: Tensor,
        bins: tuple[int, ...],
        slope: float,
        kind: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the module's docstring.

        Args:
            numbers, taken: (dims, G, N), see `Contexts`.
            residual, words: (G, N, d), and codewords (G, K, d).
            table, bias: (G, sum of bins, K) and (G, K).
            bins, slope: rows of the table for each context number, and the weight w.
            kind: type of the products in the gradients of table, bias and numbers.
        """
        groups, positions, _ = residual.shape
        count = words.shape[1]
        rows, shares = rows_between(taken, bins)
        all_logits = _Logits(rows, shares, table, bias)
        # w |c|^2 - 2 w r c as one product, of residuals with a 1 appended.
        known = torch.cat([residual, torch.ones_like(residual[..., :1])], -1)
        pull = torch.cat([(2 * slope) * words, -slope * words.square().sum(-1, keepdim=True)], -1).mT
        across = words.mT.contiguous()
        on_cpu = residual.device.type == "cpu"
        size = max(1, CHUNK * torch.get_num_threads() // (positions * count)) if on_cpu else groups
        difference = residual.new_empty((groups, positions, count), dtype=kind)
        # Needed for the gradient of codewords only, which the encoder's search does without.
        keep = ctx.needs_input_grad[5]
        posterior = residual.new_empty((groups, positions, count) if on_cpu and keep else ())
        log_prior, log_fit, own = residual.new_empty((3, groups, positions, 1))
        index = torch.empty((groups, positions, 1), dtype=torch.long, device=residual.device)
        mean = residual.new_empty((*across.shape[:2], positions))
        for first in range(0, groups, size):
            g = slice(first, first + size)
            logits = all_logits[g]
            fit = torch.baddbmm(logits, known[g], pull[g], out=posterior[g] if on_cpu and keep else None)
            chosen = index[g].copy_(_largest(fit))
            torch.gather(logits, -1, chosen, out=own[g])
            fit, log_fit[g] = softmax(fit, chosen, on_cpu)
            prior, log_prior[g] = softmax(logits, chosen, on_cpu)
            # In this order: a product with so few columns is several times slower.
            torch.bmm(across[g], fit.mT, out=mean[g])
            # Low precision is enough for gradients of logits, but not for those of codewords, which are
            # small differences of large numbers.
            difference[g] = prior.sub_(fit)
            posterior = fit if keep and not on_cpu else posterior
        rate = (log_prior - own).squeeze(-1)
        energy = (log_prior - log_fit).squeeze(-1) + slope * residual.square().sum(-1)
        index, mean = index.squeeze(-1), mean.mT
        ctx.slope, ctx.bins = slope, bins
        ctx.save_for_backward(numbers, rows, shares, residual, table, words, mean, difference, posterior)
        ctx.mark_non_differentiable(index, rate)
        return energy, index, rate

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _index: Tensor, _rate: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of numbers, residual, table, bias and codewords; none for the rest."""
        numbers, rows, shares, residual, table, words, mean, difference, posterior = ctx.saved_tensors
        kind, weight = difference.dtype, grad.unsqueeze(-1)
        # For each number the difference between upper and lower row.
        by_row = difference @ table.to(kind).mT
        cells = by_row.gather(-1, rows_between(numbers, ctx.bins)[0]).to(grad.dtype)
        steps = cells.unflatten(-1, (-1, 2)).diff(dim=-1).squeeze(-1)
        d_numbers = (steps * weight).permute(2, 0, 1)
        d_residual = (2 * ctx.slope) * (residual - mean) * weight
        d_table = d_bias = d_words = None
        # Weights of positions go into the small factor of each product: no further array of the size of
        # `posterior` is made.
        if ctx.needs_input_grad[3] or ctx.needs_input_grad[4]:
            hats = torch.cat([hat_rows(rows, shares * weight, table.shape[1]), weight], -1)
            sums = hats.to(kind).mT @ difference
            d_table, d_bias = sums[:, :-1].to(table.dtype), sums[:, -1].to(table.dtype)
        if ctx.needs_input_grad[5]:
            moments = torch.cat([residual * weight, weight], -1).mT @ posterior
            moment, mass = moments[:, :-1].mT, moments[:, -1:].mT
            d_words = (2 * ctx.slope) * (words * mass - moment)
        return d_numbers, None, d_residual, d_table, d_bias, d_words, None, None, None
