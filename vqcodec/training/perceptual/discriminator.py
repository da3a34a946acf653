"""Discriminator of the perceptual stage; used in training only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (64, 128, 256, 256)
"""Channels after each layer of stride 2; the receptive field of one score is about 94 pixels."""


class Discriminator(nn.Module):
    """PatchGAN (Isola et al., 2017) with spectral norm (Miyato et al., 2018): scores, high for originals.

    It is conditional on the fidelity decoder's picture of the same latent, which shows where detail was lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(i, o, 4, stride=2, padding=1))
            for i, o in zip((6, *WIDTHS[:-1]), WIDTHS, strict=True)
        )
        self.head = spectral_norm(nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, picture: Tensor, fidelity: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores (B, 1, H/16, W/16), and the features of every layer for feature matching.

        Args:
            picture: original or decoded (B, 3, H, W) in [0, 1], H and W multiples of 16.
            fidelity: the fidelity decoder's picture of the same latent, of the same shape.
        """
        x = torch.cat([2 * picture - 1, 8 * (picture - fidelity)], 1)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.head(x), features
