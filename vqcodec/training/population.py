"""The Frechet loss: features of many decoded patches are to be distributed as those of the originals.

Distances of pairs make a decoder cautious. Where it cannot know a texture, an average one costs the least,
and deep features of its pictures vary less than those of originals: on Kodak at .15 bpp 0.56 times the
variance (VGG16's relu5_3). Nothing of that can be seen in one pair, so here two populations are compared, as
normal distributions, by their Frechet distance |m - n|^2 + tr(C + D - 2 (C D)^1/2).

Half its gradient at a feature vector f of the decoded ones is (f - T(f)) / count, with the best transport of
one normal distribution into the other (Dowson and Landau, 1982; Olkin and Pukelsheim, 1982),

    T(f) = n + C^-1/2 (C^1/2 D C^1/2)^1/2 C^-1/2 (f - m)

so the loss |f - T(f)|^2, with T(f) held fixed, follows the distance of whole populations in steps of one
batch. T comes from the last few hundred batches. Both of a pair are always in it, so that what a few thousand
vectors cannot tell of 512 dimensions is much the same on either side.

The quality dial is cut in parts with a population each: at low levels there is more to be put right.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 64
"""Side of a patch in pixels; its feature vector is the mean of the deepest stage over it."""
STRIDE = 16
"""Pixels between neighbours in the deepest stage of VGG16."""
FLOOR = 1e-3
"""What is added to the variances, as a share of their mean: directions hardly seen are not to be blown up."""


def patch_vectors(features: Tensor) -> Tensor:
    """Vectors (B, n, C) of patches, from features (B, C, H, W) of a stage with `STRIDE`."""
    return F.avg_pool2d(features.float(), PATCH // STRIDE).flatten(2).transpose(1, 2)


def transport(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """The map from `fake` to `real`, vectors (n, d) each taken as normally distributed.

    Returns:
        mean of `fake` (d,), mean of `real` (d,), matrix (d, d), and the Frechet distance as a share of the
        variance of `real`.
    """
    one, two = (x.double() for x in (fake, real))
    floor = FLOOR * torch.eye(one.shape[1], dtype=one.dtype, device=one.device)
    c, d = (torch.cov(x.T) for x in (one, two))
    floor = floor * d.diagonal().mean()
    root, inverse = _powers(c + floor)
    middle = _powers(root @ (d + floor) @ root)[0]
    shift = one.mean(0) - two.mean(0)
    distance = shift.square().sum() + (c + d + 2 * floor).trace() - 2 * middle.trace()
    matrix = inverse @ middle @ inverse
    share = float(distance / d.trace().clamp_min(1e-12))
    return one.mean(0).to(fake), two.mean(0).to(fake), matrix.to(fake), share


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Root, and inverse root, of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root = values.clamp_min(1e-12).sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


class Populations:
    """The last vectors of both kinds, by part of the dial, and the maps between them."""

    def __init__(self, parts: int = 3, size: int = 1536, enough: int = 768, every: int = 50) -> None:
        """enough: vectors that a part must have before there is a loss; every: batches between new maps."""
        self.size, self.enough, self.every = size, enough, every
        self.kept: list[tuple[Tensor, Tensor] | None] = [None] * parts
        self.maps: list[tuple[Tensor, Tensor, Tensor] | None] = [None] * parts
        self.variances = [1.0] * parts
        self.distances = [0.0] * parts
        self.batches = 0

    def loss(self, fake: Tensor, real: Tensor, place: Tensor) -> Tensor:
        """Mean over the batch of |f - T(f)|^2, in variances of the originals; 0 where there is no map yet.

        Args:
            fake, real: vectors (B, n, d) of decoded patches, which get the gradient, and of their originals.
            place: of each picture (B,) on the dial, 0 to 1.
        """
        # Under autocast too: what is left is small against the vectors themselves.
        with torch.autocast(fake.device.type, enabled=False):
            return self._loss(fake.float(), real.float(), place)

    def _loss(self, fake: Tensor, real: Tensor, place: Tensor) -> Tensor:
        parts = [min(int(p * len(self.kept)), len(self.kept) - 1) for p in place.tolist()]
        total = fake.new_zeros(())
        for one, other, part in zip(fake, real, parts, strict=True):
            found = self.maps[part]
            if found is not None:
                mean, target, matrix = found
                moved = target + (one.detach() - mean) @ matrix
                total = total + (one - moved).square().sum(1).mean() / self.variances[part]
            pair = one.detach(), other.detach()
            kept = self.kept[part]
            if kept is not None:
                pair = (
                    torch.cat([kept[0], pair[0]])[-self.size :],
                    torch.cat([kept[1], pair[1]])[-self.size :],
                )
            self.kept[part] = pair
        self.batches += 1
        if self.batches % self.every == 0:
            self._renew()
        return total / len(parts)

    def _renew(self) -> None:
        for part, kept in enumerate(self.kept):
            if kept is not None and len(kept[0]) >= self.enough:
                *found, self.distances[part] = transport(*kept)
                self.maps[part] = found[0], found[1], found[2]
                self.variances[part] = float(kept[1].var(0).sum().clamp_min(1e-12))
