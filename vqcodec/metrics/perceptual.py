"""LPIPS and DISTS in torch: distances of pictures in deep features, as metrics and as losses.

LPIPS, version 0.1 (Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features
as a perceptual metric", 2018), over layers l and channels c, of features x, y of norm 1 over channels:

    d(x, y) = sum over l of mean over pixels of sum over c of w_lc (x_lc - y_lc)^2

DISTS (Ding, Ma, Wang and Simoncelli, "Image quality assessment: unifying structure and texture similarity",
2020), with means m and (co)variances v of the feature maps over pixels, the picture itself among them, and
pooling by the root of the Hann-weighted mean square:

    d(x, y) = 1 - sum over l, c of (alpha_lc T_lc + beta_lc S_lc) / sum over l, c of (alpha_lc + beta_lc)
    T = (2 m_x m_y + C) / (m_x^2 + m_y^2 + C)    S = (2 v_xy + C) / (v_x + v_y + C)    C = 1e-6

The weights of the networks do not ship with the package: `python -m benchmarks.fetch_weights`
fetches them, in a checkout. Both distances are differentiable in their inputs; the weights take no gradient.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vqcodec.errors import ModelNotFound
from vqcodec.metrics.moments import moments
from vqcodec.weights.zoo import user_folder

FOLDER_VARIABLE = "VQCODEC_PERCEPTUAL"
FETCH = "python -m benchmarks.fetch_weights"
NETWORKS = ("alexnet", "vgg16")

_ALEXNET = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
"""Stride and padding of each convolution, and whether maximum pooling goes before it."""
_VGG16 = (2, 2, 3, 3, 3)
"""Convolutions of each stage."""
_LPIPS_SHIFT, _LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of pictures in [-1, 1], from the LPIPS authors."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of pictures in [0, 1], those that VGG16 was trained with."""
_C = 1e-6


def weights_folder() -> Path:
    """Where the weights are looked for: VQCODEC_PERCEPTUAL, or `perceptual` beside the user's models."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else user_folder().parent / "perceptual"


def _load(name: str, folder: Path | None) -> dict[str, Tensor]:
    path = (folder or weights_folder()) / f"{name}.safetensors"
    if not path.is_file():
        raise ModelNotFound(f"no perceptual weights at {path}; fetch them with `{FETCH}`")
    try:
        return {key: value.float() for key, value in load_file(path).items()}
    except SafetensorError as error:
        raise ModelNotFound(f"{path} is not a safetensors file: {error}") from error


class Distance(nn.Module):
    """Distance of two pictures by their features; those of a reference can be kept for many comparisons."""

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps of pictures x (B, 3, H, W) in [0, 1], the deepest last."""
        raise NotImplementedError

    def compare(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Distance (B,) of two lists of features."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance (B,) of pictures x and y (B, 3, H, W) in [0, 1]."""
        return self.compare(self.features(x), self.features(y))


class _Frozen(Distance):
    """Holds loaded tensors as buffers, so that they follow `.to()` and take no gradient."""

    def __init__(self, tensors: dict[str, Tensor], mean: Sequence[float], deviation: Sequence[float]) -> None:
        """mean, deviation: by colour, of the inputs that the network was trained with."""
        super().__init__()
        tensors |= {
            "mean": torch.tensor(mean)[:, None, None],
            "deviation": torch.tensor(deviation)[:, None, None],
        }
        for name, value in tensors.items():
            self.register_buffer(name.replace(".", "_"), value, persistent=False)

    def normalised(self, x: Tensor) -> Tensor:
        """x (B, 3, H, W) of the mean and deviation that the network was trained with, channels last."""
        x = (x - self.get_buffer("mean").to(x)) / self.get_buffer("deviation").to(x)
        return x.contiguous(memory_format=torch.channels_last)  # convolutions take a third of the time

    def convolve(self, x: Tensor, i: int, stride: int = 1, padding: int = 1) -> Tensor:
        """ReLU of convolution `i`."""
        weight, bias = self.get_buffer(f"conv{i}_weight"), self.get_buffer(f"conv{i}_bias")
        return F.relu(F.conv2d(x, weight, bias, stride, padding), inplace=True)

    def vgg_stages(self, x: Tensor, pool: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Feature maps of x after each of VGG16's five stages, with `pool` between them."""
        result, i = [], 0
        for stage, count in enumerate(_VGG16):
            x = pool(x) if stage else x
            for _ in range(count):
                x = self.convolve(x, i)
                i += 1
            result.append(x)
        return result


class LPIPS(_Frozen):
    """Learned perceptual distance; 0 for equal pictures, about 1 for unlike ones."""

    def __init__(self, network: str = "alexnet", folder: Path | None = None) -> None:
        """Load the weights.

        Args:
            network: "alexnet" (what papers report) or "vgg16" (the better loss).
            folder: where the weights lie, `weights_folder()` unless given.

        Raises:
            ModelNotFound: the weights are not there; the message says how to fetch them.
            ValueError: another network.
        """
        if network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
        super().__init__(_load(network, folder), _LPIPS_SHIFT, _LPIPS_SCALE)
        self.network = network

    def features(self, x: Tensor) -> list[Tensor]:
        """Five feature maps of pictures x (B, 3, H, W) in [0, 1]."""
        x = self.normalised(2 * x - 1)
        if self.network == "vgg16":
            return self.vgg_stages(x, lambda h: F.max_pool2d(h, 2))
        result = []
        for i, (stride, padding, pooled) in enumerate(_ALEXNET):
            x = self.convolve(F.max_pool2d(x, 3, 2) if pooled else x, i, stride, padding)
            result.append(x)
        return result

    def compare(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Distance (B,) of two lists of features."""
        layers = []
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            difference = (_unit(a.float()) - _unit(b.float())).square()
            layers.append((difference * self.get_buffer(f"lin{i}_weight")).sum(1).mean((1, 2)))
        return torch.stack(layers).sum(0)


def _unit(x: Tensor) -> Tensor:
    # The tiny number inside the root keeps the gradient finite where all features are zero.
    return x / (x.square().sum(1, keepdim=True).add(1e-20).sqrt() + 1e-10)


class DISTS(_Frozen):
    """Structure and texture distance on VGG16 features; 0 for equal pictures."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights of VGG16 and of the distance; arguments and errors as for `LPIPS`."""
        super().__init__(_load("vgg16", folder) | _load("dists", folder), _MEAN, _DEVIATION)
        hann = torch.hann_window(5, periodic=False)[1:-1]
        window = torch.outer(hann, hann)
        self.register_buffer("window", window / window.sum(), persistent=False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The pictures x (B, 3, H, W) in [0, 1] themselves and five feature maps."""
        return [x, *self.vgg_stages(self.normalised(x), self._pool)]

    def _pool(self, x: Tensor) -> Tensor:
        """L2 pooling: root of the Hann-weighted mean square, at every second place."""
        channels = x.shape[1]
        window = self.get_buffer("window").expand(channels, 1, -1, -1)
        # In bfloat16 the gradient of a convolution by channels takes six times as long.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(window.dtype)
            return (F.conv2d(x.square(), window, stride=2, padding=1, groups=channels) + 1e-12).sqrt()

    def compare(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Distance (B,) of two lists of features."""
        texture, structure = [], []
        for one, other in zip(first, second, strict=True):
            mean_a, mean_b, variance_a, variance_b, covariance = moments(one, other)
            texture.append((2 * mean_a * mean_b + _C) / (mean_a.square() + mean_b.square() + _C))
            structure.append((2 * covariance + _C) / (variance_a + variance_b + _C))
        alpha, beta = (self.get_buffer(name)[..., 0, 0] for name in ("alpha", "beta"))
        similarity = (alpha * torch.cat(texture, 1) + beta * torch.cat(structure, 1)).sum(1)
        return 1 - similarity / (alpha + beta).sum()
