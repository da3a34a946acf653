"""What a decoded picture is worth to the eye: the figures of `benchmarks.perceptual`, one picture at a time.

psnr            dB, 8-bit RGB (vqcodec.metrics.rate_distortion)
ms_ssim         pytorch-msssim, RGB, range 255
lpips_alexnet   LPIPS on AlexNet, what papers report; also a loss of our perceptual decoder
lpips_vgg16     LPIPS on VGG16; no loss of ours
dists           DISTS; also a loss of our perceptual decoder
ssimulacra2     as libjxl defines it (vqcodec.metrics.ssimulacra2); also a loss in training
repeats         errors that are the same block after block; 1 for noise (vqcodec.metrics.repeats); also a loss
mesh            of what it has beyond our fidelity decoding: stronger at some places in a block; also a loss
frechet         distance of two sets of patches, see `frechet`; features much like theirs are a loss of ours
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.anchors import Pixels
from benchmarks.deep_distances import to_tensor
from benchmarks.similarity import SMALLEST, ms_ssim, ssimulacra2
from vqcodec.metrics import rate_distortion
from vqcodec.metrics.perceptual import DISTS, LPIPS
from vqcodec.metrics.repeats import mesh, repeating_error

PATCH = 64
"""Side of the patches of the Frechet distance, in pixels."""
FIGURES = ("psnr", "ms_ssim", "lpips_alexnet", "lpips_vgg16", "dists", "ssimulacra2", "repeats", "mesh")
HIGHER_IS_BETTER = frozenset({"psnr", "ms_ssim", "ssimulacra2"})

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sight:
    """A picture as the networks see it; made once for an original that many pictures are compared with."""

    pixels: Pixels
    alexnet: list[Tensor]
    vgg16: list[Tensor]
    dists: list[Tensor]

    @cached_property
    def patches(self) -> Features:
        """(n, 512): means of VGG16's deepest features over the picture's patches."""
        means = F.avg_pool2d(self.vgg16[-1], PATCH // 16)
        return np.asarray(means[0].flatten(1).T, np.float32)


class Judge:
    """The networks, loaded once."""

    def __init__(self) -> None:
        """Load the weights.

        Raises:
            ModelNotFound: LPIPS's or DISTS's weights are not there; the message says how to fetch them.
        """
        self.alexnet, self.vgg16, self.dists = LPIPS("alexnet"), LPIPS("vgg16"), DISTS()

    @torch.inference_mode()
    def look(self, pixels: Pixels) -> Sight:
        """Features of uint8 RGB pixels (H, W, 3).

        Raises:
            ValueError: a side is shorter than `SMALLEST`.
        """
        if min(pixels.shape[:2]) < SMALLEST:
            raise ValueError(f"pictures must have sides of {SMALLEST} pixels or more")
        x = to_tensor(pixels)
        return Sight(pixels, self.alexnet.features(x), self.vgg16.features(x), self.dists.features(x))

    @torch.inference_mode()
    def judge(self, original: Sight, decoded: Sight, fidelity: Pixels) -> dict[str, float]:
        """Every figure of `FIGURES` for a decoded picture; PSNR of equal pictures counts as 100 dB.

        Args:
            fidelity: what our fidelity decoder makes of the picture.
        """
        psnr = rate_distortion.psnr(original.pixels, decoded.pixels)
        error = to_tensor(decoded.pixels) - to_tensor(original.pixels)
        figures = {
            "psnr": psnr if math.isfinite(psnr) else 100.0,
            "ms_ssim": ms_ssim(original.pixels, decoded.pixels),
            "lpips_alexnet": float(self.alexnet.compare(original.alexnet, decoded.alexnet)),
            "lpips_vgg16": float(self.vgg16.compare(original.vgg16, decoded.vgg16)),
            "dists": float(self.dists.compare(original.dists, decoded.dists)),
            "ssimulacra2": ssimulacra2(original.pixels, decoded.pixels),
            "repeats": float(repeating_error(error, error)),
            "mesh": mesh_beyond(fidelity, decoded.pixels),
        }
        return {name: round(value, 5) for name, value in figures.items()}


def mesh_beyond(fidelity: Pixels, pixels: Pixels) -> float:
    """`mesh` of what a picture has and our fidelity decoding of it has not; 0 where they are equal."""
    return float(mesh(to_tensor(pixels) - to_tensor(fidelity)))


def frechet(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Frechet distance of two sets of features (n, d) taken as normal distributions (Heusel et al., 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2). Its size depends on the features and on n: compare values of
    one table only.

    Raises:
        ValueError: a set has fewer than two rows.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("a Frechet distance needs two patches or more on either side")
    a, b = (np.asarray(x, np.float64) for x in (first, second))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # The product's eigenvalues are those of a symmetric matrix, which eigh takes without complex noise.
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)
