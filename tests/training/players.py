"""Players of a tiny model, with stand-ins for LPIPS and DISTS."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.tiny import pictures
from vqcodec.metrics.perceptual import Distance
from vqcodec.training.perceptual.config import PerceptualConfig
from vqcodec.training.perceptual.players import Players
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore


class Difference(Distance):
    """Stands for LPIPS and DISTS: mean absolute difference, and averages of 2 to 16 pixels as features."""

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, x, *(F.avg_pool2d(x, side) for side in (2, 4, 8, 16))]

    def compare(self, first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
        return (first[0] - second[0]).abs().mean((1, 2, 3))


def perceptual_config(**changes: object) -> PerceptualConfig:
    values = {"steps": 6, "batch": 2, "crop": 64, "warmup": 1, "log_every": 2, "device": "cpu", "bf16": False}
    return PerceptualConfig(**(values | changes))  # type: ignore[arg-type]


def make_players(weights, **changes) -> Players:
    return Players(perceptual_config(**changes), restore(load_weights(weights)), (Difference(), Difference()))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.stack([torch.from_numpy(p[:64, :64].copy()).permute(2, 0, 1) for p in pictures(2)])
    return x.float() / 255, torch.tensor([0.2, 0.6])
