"""Discriminator of the perceptual stage: which of two pictures with the same latent is the original?

A PatchGAN (Isola et al., 2017) with spectral norm (Miyato et al., 2018), conditional on the picture that the
fidelity decoder makes of the same latent: it sees where detail was lost and judges what stands there instead.
It is used in training only and never ships.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (64, 128, 256, 256)
"""Channels after each layer of stride 2; one score looks at about 94 pixels."""


class Discriminator(nn.Module):
    """Scores (B, 1, H/16, W/16), high for originals."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        inputs = (6, *widths[:-1])
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(i, o, 4, stride=2, padding=1))
            for i, o in zip(inputs, widths, strict=True)
        )
        self.head = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, picture: Tensor, fidelity: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores, and the features of every layer for feature matching.

        Args:
            picture: original or decoded (B, 3, H, W) in [0, 1], H and W multiples of 16.
            fidelity: what the fidelity decoder makes of the same latent, of the same shape.
        """
        # The difference spells out what the condition has to say.
        x = torch.cat([2 * picture - 1, 8 * (picture - fidelity)], 1)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.head(x), features


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss: scores above 1 for originals and below -1 for decoded pictures cost nothing."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """What the decoder pays for being found out."""
    return -fake.mean()


def matching_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of features, relative to their size (Wang et al., 2018)."""
    parts = [
        (a.detach() - b).abs().mean() / a.detach().abs().mean().clamp_min(1e-6)
        for a, b in zip(real, fake, strict=True)
    ]
    return torch.stack(parts).mean()
