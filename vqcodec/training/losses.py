"""The rate-distortion loss, with a distortion that mixes squared error and SSIMULACRA2's weighted error.

    loss = lambda(t)^-balance * (lambda(t) 255^2 D + rate in bits per pixel)
    D = a MSE + (1 - a) MSE_ref(t) (e / e_ref(t))^p

e is `ssimulacra2.weighted_error`. MSE_ref and e_ref are those of the model that the run starts from, so the
second term is about as large as the first; p makes both grow alike with t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.dial import LEVEL_KNOTS, lambda_of_level, level_basis, quality_of, tune_of
from vqcodec.model.vqvae import VQVAE

REFERENCE_BATCHES = 6
"""Batches measured at each level; with 4 crops each, 24 crops."""


@dataclass(frozen=True)
class MixReference:
    """Mean natural logarithms of MSE and weighted error of a model at `LEVEL_KNOTS` levels, and p."""

    log_mse: tuple[float, ...]
    log_error: tuple[float, ...]
    power: float

    @classmethod
    def of(cls, log_mse: list[float], log_error: list[float]) -> MixReference:
        """p is 1 over the least-squares slope of ln e over ln MSE."""
        x, y = (torch.tensor(v, dtype=torch.float64) for v in (log_mse, log_error))
        x, y = x - x.mean(), y - y.mean()
        return cls(tuple(log_mse), tuple(log_error), float((x * x).sum() / (x * y).sum()))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MixReference:
        """From `dataclasses.asdict` and JSON."""
        return cls(tuple(values["log_mse"]), tuple(values["log_error"]), values["power"])

    def to_list(self) -> list[float]:
        """All numbers, `log_mse` first and `power` last."""
        return [*self.log_mse, *self.log_error, self.power]

    @classmethod
    def from_list(cls, values: list[float]) -> MixReference:
        """Inverse of `to_list`."""
        half = len(values) // 2
        return cls(tuple(values[:half]), tuple(values[half:-1]), values[-1])


def mse_shares(t: Tensor, share: float, tunes: int) -> Tensor:
    """a (B,) at t (B,) of the dial: `share`, but at the tune "psnr" of a model that has two it is 1."""
    return torch.where(tune_of(t) > 0, 1.0, share) if tunes > 1 else torch.full_like(t, share)


def mixed_distortion(
    mse: Tensor, error: Tensor, t: Tensor, share: Tensor | float, reference: MixReference
) -> Tensor:
    """D (B,) of mean squared errors and weighted errors (B,) at t (B,) of the dial; `share` is a."""
    basis = level_basis(quality_of(t))
    log_mse, log_error = (basis @ basis.new_tensor(v) for v in (reference.log_mse, reference.log_error))
    relative = error.clamp(min=1e-9).log() - log_error
    return share * mse + (1 - share) * torch.exp(log_mse + reference.power * relative)


def rate_distortion(distortion: Tensor, bpp: Tensor, t: Tensor, balance: float) -> Tensor:
    """Mean loss of a batch from D, bits per pixel and t of the dial, all (B,)."""
    weight = lambda_of_level(t)
    return ((weight / 0.01) ** -balance * (weight * 255**2 * distortion + bpp)).mean()


@torch.no_grad()
def measure_reference(model: VQVAE, batch: Callable[[], Tensor], autocast: bool) -> MixReference:
    """MSE and weighted error of a model on the same crops at every knot of t, at its first tune.

    Args:
        batch: returns another batch of pictures (B, 3, H, W) in [0, 1].
    """
    pictures = [batch() for _ in range(REFERENCE_BATCHES)]
    rows = []
    for knot in torch.linspace(0, 1, LEVEL_KNOTS).tolist():
        logs = []
        for x in pictures:
            output = model(x, x.new_full((x.shape[0],), knot), autocast=autocast)
            logs.append(torch.stack([output.mse.log(), weighted_error(x, output.picture).log()]))
        rows.append(torch.cat(logs, 1).mean(1).tolist())
    log_mse, log_error = ([float(row[i]) for row in rows] for i in range(2))
    if not all(math.isfinite(v) for v in (*log_mse, *log_error)):
        raise ValueError("a picture is decoded without error: no reference for the mixed distortion")
    return MixReference.of(log_mse, log_error)
