"""The patch loss: deep features are to be as strong as in the original, patch by patch.

    mean over l of |s m_l(x) - m_l(y)|^2 / v_l,    m_l: means of DISTS's stage l over patches of 64 pixels

DISTS compares means too, but relative to their size: what it asks for a texture that is missing altogether is
bounded, and no more than for one that hardly showed. Decoders tuned with it alone are cautious: features of
their patches vary 0.57 times as much as originals' (run 17, Kodak, .15 bpp). The mean squared
distance of pairs bounds the Frechet distance of both populations.

Least squares shrink: who cannot tell which texture it was answers with the average of all, and its features
are too weak (run 19, Kodak, .15 bpp: 0.86 times the originals' of VGG16's last stage). A stretch s above 1
aims beyond. Too much of it makes features strong that the original has not: with 1.8 the Frechet distance
rose.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PATCH = 64
"""Side of a patch in pixels; patches overlap by half."""
STAGES = ((-2, 8), (-1, 16))
"""Places in DISTS's list of feature maps, the deepest last, and the pixels between their positions."""
SLOWLY = 0.99
"""What a batch leaves of the running variance of originals."""


def _means(maps: Tensor, pixels: int) -> Tensor:
    """Means (B, C, n, m) over patches."""
    side = PATCH // pixels
    return F.avg_pool2d(maps.float(), side, side // 2)


class PatchLoss:
    """Keeps the variances v_l of originals' patches, of about the last hundred calls."""

    def __init__(self, stretch: float = 1.0) -> None:
        """stretch: how many times as strong as the original's the features shall be, to fall short of it."""
        self.stretch = stretch
        self._variances: list[Tensor] = []

    def __call__(self, original: list[Tensor], decoded: list[Tensor]) -> Tensor:
        """Loss of the features of pictures with sides of `PATCH` or more.

        About 1 where all decoded patches look like the average original.
        """
        pairs = [(_means(original[stage], p), _means(decoded[stage], p)) for stage, p in STAGES]
        found = [a.detach().var((0, 2, 3)).sum() for a, _ in pairs]
        self._variances = self._variances or [f.clone() for f in found]
        for kept, new in zip(self._variances, found, strict=True):
            kept.lerp_(new, 1 - SLOWLY)
        total = original[0].new_zeros(())
        for (a, b), variance in zip(pairs, self._variances, strict=True):
            total = total + (self.stretch * a - b).square().sum(1).mean() / variance.clamp_min(1e-6)
        return total / len(STAGES)
