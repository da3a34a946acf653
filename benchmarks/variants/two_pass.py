"""A checkerboard context: in each pair of phases the second is coded without the first."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.entropy.coding_order import Pass
from vqcodec.model.vqvae import VQVAE


class TwoPassVQVAE(VQVAE):
    """The model with two context passes instead of four, by the same networks."""

    def visible(self, place: Pass, maps: list[Tensor]) -> list[Tensor]:
        """All decoded phases, but zeros for the first phase of the pass's own pair."""
        if place.phase % 2:
            return [*maps[:-1], torch.zeros_like(maps[-1])]
        return maps
