"""What a training run reports: rates and errors by third of the quality range, use of the codebooks."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqcodec.entropy.tables import perplexity
from vqcodec.model.codebook import SLOPE, Quantized, VectorQuantizer
from vqcodec.model.dial import lambda_of_level, quality_of, tune_of
from vqcodec.model.vqvae import Output
from vqcodec.types import TUNES


class CodebookUse:
    """Counts of chosen codewords and squared errors since the last reset."""

    def __init__(self, quantizer: VectorQuantizer) -> None:
        self.quantizer = quantizer
        self.reset()
        self.reset_recent()

    def reset(self) -> None:
        """Forget everything but `recent`."""
        device = self.quantizer.words[0].device
        self.counts = [torch.zeros(b.groups, b.codewords, device=device) for b in self.quantizer.bands]
        self.error = [torch.zeros(b.groups, device=device) for b in self.quantizer.bands]
        self.positions = 0

    def reset_recent(self) -> None:
        """Forget `recent`, the counts that revival of dead codewords looks at."""
        self.recent = [torch.zeros_like(c) for c in self.counts]

    @torch.no_grad()
    def add(self, output: Output) -> None:
        """Count the codewords of one forward pass."""
        for result in output.passes:
            self.positions += result.index[0].shape[1]
            for i in range(len(self.quantizer.bands)):
                index, residual = result.index[i], result.residual[i]
                words = self.quantizer.codewords(i)
                word = words.gather(1, index.unsqueeze(-1).expand(-1, -1, words.shape[-1]))
                self.error[i] += (residual - word).square().sum((1, 2))
                ones = torch.ones_like(index, dtype=torch.float32)
                for counts in (self.counts[i], self.recent[i]):
                    counts.scatter_add_(1, index, ones)

    def summary(self) -> dict[str, Any]:
        """Per group: perplexity, dead words, w * |r - c|^2 (ideal at high rate: w * d / 12)."""
        error = SLOPE * torch.cat(self.error) / max(self.positions, 1)
        perplexities = np.concatenate([perplexity(c.cpu().double().numpy()) for c in self.counts])
        return {
            "perplexity": perplexities.round(2).tolist(),
            "dead_words": [dead for c in self.counts for dead in (c == 0).sum(1).tolist()],
            "w_error": [round(v, 3) for v in error.tolist()],
        }


def join_parts(outputs: list[Output]) -> Output:
    """What reports need of a batch, from what the model returned for its parts.

    Pictures, values and contexts are left out (of the first part alone).
    """

    def across(parts: list[Quantized]) -> Quantized:
        index, residual = (
            [torch.cat(bands, 1) for bands in zip(*(getattr(p, name) for p in parts), strict=True)]
            for name in ("index", "residual")
        )
        return dataclasses.replace(parts[0], index=index, residual=residual)

    passes = [across(list(parts)) for parts in zip(*(o.passes for o in outputs), strict=True)]
    names = ("mse", "energy", "bits_y", "bits_z")
    changes: dict[str, Any] = {n: torch.cat([getattr(output, n) for output in outputs]) for n in names}
    return dataclasses.replace(outputs[0], **changes, passes=passes)


class Averages:
    """Mean bpp, mse and cost J of the samples in each third of the dial since the last reset, by tune."""

    NAMES = ("low", "middle", "high")

    def __init__(self, tunes: int = 1) -> None:
        """Nothing is counted yet; `tunes` of the model."""
        self.names = [name + f"_{tune}" * (tunes > 1) for tune in TUNES[:tunes] for name in self.NAMES]
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.sums = torch.zeros(len(self.names), 5, dtype=torch.float64)

    @torch.no_grad()
    def add(self, t: Tensor, output: Output, pixels: int) -> None:
        """Add one batch at t (B,) of the dial; `pixels` per picture."""
        bpp = (output.bits_y + output.bits_z) / pixels
        cost = lambda_of_level(t) * 255**2 * output.mse + bpp
        third = ((quality_of(t) * 3).long().clamp(0, 2) + 3 * tune_of(t).long()).cpu()
        rows = torch.stack([torch.ones_like(bpp), bpp, output.bits_z / pixels, output.mse, cost], 1)
        self.sums.index_add_(0, third, rows.double().cpu())

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Means by third, and tune if there are two; PSNR is that of the mean squared error."""
        result = {}
        for name, row in zip(self.names, self.sums.tolist(), strict=True):
            if row[0]:
                _, bpp, bpp_z, mse, cost = (v / row[0] for v in row)
                # Nothing is synthesised where the prior is trained alone.
                psnr = round(-10 * math.log10(max(mse, 1e-10)), 3) if mse else None
                rates = {"bpp": round(bpp, 4), "bpp_z": round(bpp_z, 5)}
                result[name] = rates | {"psnr": psnr, "cost": round(cost, 4)}
        return result
