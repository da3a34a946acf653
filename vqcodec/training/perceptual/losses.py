"""Losses of the perceptual stage, beside LPIPS and DISTS (`vqcodec.metrics.perceptual`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 64
"""Side of a patch in pixels; patches overlap by half."""
STAGES = ((-2, 8), (-1, 16))
"""Indices into DISTS's list of feature maps, and the stride of each in pixels."""
TEXTURE_WINDOW = 32
"""Side, in pixels, of the windows of `wasserstein_loss`; windows overlap by half."""
TEXTURE_STAGES = ((0, 1), (1, 1), (2, 2), (3, 4), (4, 8))
"""As `STAGES`, of `wasserstein_loss`: the picture and all stages but the last."""
VARIANCE_DECAY = 0.99
WEIGHT_MAX = 100.0


class PixelErrors(NamedTuple):
    """Errors (B,) of decoded pictures by kind, absolute or relative.

    Attributes:
        total: mean square over pixels and colours.
        colour: mean square of both colour differences (`vqcodec.model.blocks.opponent_colour`).
    """

    total: Tensor
    colour: Tensor


def pixel_errors(difference: Tensor) -> PixelErrors:
    """Mean squares of differences d (B, 3, H, W) from the original.

        total       mean of d^2
        colour      3/2 mean of (d - its mean over colours)^2

    A decoder that invents texture tends to sprinkle it with colours, which show far more than they add to the
    squared error.
    """
    difference = difference.float()
    # Both colour differences are orthonormal to brightness: together they are what the mean leaves.
    colours = difference - difference.mean(1, keepdim=True)
    return PixelErrors(difference.square().mean((1, 2, 3)), 3 / 2 * colours.square().mean((1, 2, 3)))


def relative_errors(errors: PixelErrors, reference: PixelErrors) -> PixelErrors:
    """total / total_f and colour / colour_f, with f the reference (fidelity) decoder.

    Ratios weigh alike at every level of the dial, and 10 log10 of the first is the price in PSNR.
    """
    return PixelErrors(*(e / r.clamp_min(1e-6) for e, r in zip(errors, reference, strict=True)))


def patch_loss(
    original: Sequence[Tensor], decoded: Sequence[Tensor], variances: list[Tensor], stretch: float = 1.0
) -> Tensor:
    """Squared distance of mean features of patches, in units of the originals' variance.

        mean over stages l of |stretch m_l(x) - m_l(x_hat)|^2 / v_l

    m_l are means over patches of 64 pixels, v_l the variance of m_l(x) over patches, summed over channels.
    About 1 where all decoded patches look like the average original. The mean squared distance of pairs
    bounds the Frechet distance of both populations (Heusel et al., 2017, compare these by their moments);
    DISTS compares means too, but its price of a texture that is missing altogether is bounded.

    Args:
        original, decoded: DISTS's feature maps of pictures with sides of `PATCH` or more.
        variances: running v_l, one per stage; filled by the first call, then updated in place.
        stretch: factor on the original's means; above 1 it counters the shrinkage of least squares.
    """

    def patch_means(maps: Tensor, stride: int) -> Tensor:
        side = PATCH // stride
        return F.avg_pool2d(maps.float(), side, side // 2)

    means = [(patch_means(original[i], s), patch_means(decoded[i], s)) for i, s in STAGES]
    now = [x.detach().var((0, 2, 3)).sum() for x, _ in means]
    if not variances:
        variances += [v.clone() for v in now]
    total = original[0].new_zeros(())
    for (x, x_hat), variance, new in zip(means, variances, now, strict=True):
        variance.lerp_(new, 1 - VARIANCE_DECAY)
        total = total + (stretch * x - x_hat).square().sum(1).mean() / variance.clamp_min(1e-6)
    return total / len(STAGES)


def alone(value: Tensor) -> Tensor:
    """The value: a batch that is not shared has its own means."""
    return value


def wasserstein_loss(
    original: Sequence[Tensor], decoded: Sequence[Tensor], shared: Callable[[Tensor], Tensor] = alone
) -> Tensor:
    """Wasserstein distortion of features, in units of the originals' variance within windows.

        mean over stages l of  sum (m - m_hat)^2 + (s - s_hat)^2  /  sum s^2

    m and s are means and standard deviations in windows of 32 pixels, m_hat and s_hat those of the decoded
    picture. After Qiu, Balle et al., "Wasserstein distortion" (2024), on VGG16 as Cool-chic has it, with one
    size of window and every stage relative to itself. 1 where windows keep their means and lose all texture.

    Args:
        original, decoded: DISTS's feature maps of pictures with sides of `TEXTURE_WINDOW` or more.
        shared: as in `feature_matching_loss`.
    """
    total = original[0].new_zeros(())
    for stage, stride in TEXTURE_STAGES:
        (m, s), (m_hat, s_hat) = (
            _moments(maps[stage], TEXTURE_WINDOW // stride) for maps in (original, decoded)
        )
        distance = (m - m_hat).square().mean() + (s - s_hat).square().mean()
        total = total + distance / shared(s.square().mean()).clamp_min(1e-6)
    return total / len(TEXTURE_STAGES)


def _moments(maps: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of maps in windows of `side` places that overlap by half."""
    maps = maps.float()
    mean = F.avg_pool2d(maps, side, side // 2)
    variance = F.avg_pool2d(maps.square(), side, side // 2) - mean.square()
    # Rounding makes the variance of flat windows negative, and the root's slope at 0 is infinite.
    return mean, (variance.clamp_min(0) + 1e-6).sqrt()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss max(0, 1 - real) + max(0, 1 + fake), means over scores (Lim and Ye, 2017)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-fake, mean over scores: the decoder's side of the hinge loss (Lim and Ye, 2017)."""
    return -fake.mean()


def feature_matching_loss(
    real: Sequence[Tensor], fake: Sequence[Tensor], shared: Callable[[Tensor], Tensor] = alone
) -> Tensor:
    """Mean over layers of mean |real - fake| / mean |real| of the discriminator's features.

    Feature matching (Wang et al., 2018), relative to the features' size. No gradient reaches `real`.

    Args:
        shared: turns a mean over these pictures into that over the pictures of all ranks.
    """
    parts = [
        (x.detach() - x_hat).abs().mean() / shared(x.detach().abs().mean()).clamp_min(1e-6)
        for x, x_hat in zip(real, fake, strict=True)
    ]
    return torch.stack(parts).mean()


def adaptive_weight(
    picture: Tensor,
    last: Tensor,
    fixed: Tensor,
    adversarial: Tensor,
    shared: Callable[[Tensor], Tensor] = alone,
) -> Tensor:
    """|d fixed / d last| / |d adversarial / d last|, at most `WEIGHT_MAX` (Esser et al., 2021).

    Args:
        picture: what the decoder makes, with its graph, which is kept.
        last: weight of the decoder's last layer.
        fixed, adversarial: gradients of both groups of losses at the picture.
        shared: as in `feature_matching_loss`.
    """
    fixed, adversarial = (
        shared(torch.autograd.grad(picture, last, gradient, retain_graph=True)[0]).norm()
        for gradient in (fixed, adversarial)
    )
    return (fixed / (adversarial + 1e-6)).clamp_max(WEIGHT_MAX)
