"""SSIMULACRA2 and its weighted error, differentiable and batched: a loss and a figure.

Definition: libjxl, tools/ssimulacra2.cc (Sneyers, 2023), with its constants. Six scales, halved in linear
light; colours in XYB, shifted to about 0..1. With blurred means m and (co)variances v, per channel and scale:

    d_ssim = 1 - (1 - (m_x - m_y)^2) (2 v_xy + C2) / (v_x + v_y + C2)
    edges  = (1 + |y - m_y|) / (1 + |x - m_x|) - 1      > 0: ringing, < 0: blur

The weighted error is the weighted sum of the mean and the 4-norm of d_ssim, ringing and blur; the score is
100 less a power of a cubic of it.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 6
SMALLEST = 8
"""A scale with a side below this many pixels is the last."""
_C2 = 0.0009
# By distance: taps of the sum of three truncated cosines by which libjxl's recursive filter
# approximates a Gaussian of sigma 1.5 (Charalampidis, "Recursive implementation of the Gaussian filter using
# truncated cosine functions", 2016, equations 37 to 57, radius 5; the tap at 5 is 0).
_TAPS = (
    0.26462110548819856,
    0.21292859201042225,
    0.10933537277746033,
    0.036011114658364374,
    0.009414367809653698,
)
_BIAS = 0.0037930732552754493
_OPSIN = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
_SCALE = 0.9562382616834844
_CUBIC = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
"""Of the error, its square and its cube."""
_POWER = 0.6276336467831387
_TINY = 1e-20
"""Added below the fourth root, whose slope at 0 is infinite."""

# By channel (X, Y, B), scale and norm (mean, 4-norm): weights of SSIM, ringing and blur.
_WEIGHTS = (
    # X
    *(0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0),
    *(0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
    *(0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0),
    *(0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0),
    *(0.0007289346991508072, 0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967),
    *(0.00031949755934435053, 0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0),
    # Y
    *(0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262),
    *(0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264),
    *(225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
    *(176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
    *(0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0),
    *(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    # B
    *(0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0),
    *(0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0),
    *(0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0),
    *(0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0),
    *(95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307),
    *(0.9807858872435379, 0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537),
)


def weighted_error(original: Tensor, decoded: Tensor) -> Tensor:
    """Weighted sum of the error maps' norms per picture (B,), 0 where they are equal.

    Args:
        original, decoded: sRGB (B, 3, H, W) in [0, 1], sides of 8 pixels or more; `decoded` is clipped to it.
    """
    first, second = _linear(original.float()), _linear(decoded.float().clamp(0, 1))
    norms = []
    for scale in range(SCALES):
        if min(first.shape[-2:]) < SMALLEST:
            break
        if scale:
            # An odd last row or column is repeated.
            odd = (0, first.shape[-1] % 2, 0, first.shape[-2] % 2)
            first, second = (F.avg_pool2d(F.pad(v, odd, mode="replicate"), 2) for v in (first, second))
        norms.append(_norms(_xyb(first), _xyb(second)))
    stacked = torch.stack(norms, 2).flatten(1)  # (B, channel, scale, norm, map)
    # As in the definition: with fewer scales, the first weights are taken whatever scale they belong to.
    return stacked @ stacked.new_tensor(_WEIGHTS[: stacked.shape[1]])


def score(error: Tensor) -> Tensor:
    """SSIMULACRA2 of weighted errors: 100 for none, 70 is high quality, below 0 very poor."""
    scaled = error * _SCALE
    cubic = ((_CUBIC[2] * scaled + _CUBIC[1]) * scaled + _CUBIC[0]) * scaled
    return 100 - 10 * cubic.clamp(min=0) ** _POWER


def _linear(x: Tensor) -> Tensor:
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _xyb(linear: Tensor) -> Tensor:
    """XYB (B, 3, H, W), scaled and shifted so that one constant serves all channels."""
    mixed = F.conv2d(linear, linear.new_tensor(_OPSIN)[:, :, None, None]) + _BIAS
    long, middle, short = (mixed.clamp(min=0) ** (1 / 3) - _BIAS ** (1 / 3)).unbind(1)
    luma = (long + middle) / 2
    return torch.stack([7 * (long - middle) + 0.42, luma + 0.01, short - luma + 0.55], 1)


def _norms(x: Tensor, y: Tensor) -> Tensor:
    """Norms (B, 3, norm, map) of the three error maps of x and y (B, 3, H, W)."""
    mean_x, mean_y, squares, error = _blur(torch.stack([x, y, x * x + y * y, (x - y) ** 2])).unbind()
    # 2 (E[xy] - mean_x mean_y) is the sum of the variances less what the difference has.
    apart = (mean_x - mean_y) ** 2
    spread = squares - mean_x**2 - mean_y**2 + _C2
    ssim = (1 - (1 - apart) * (spread - error + apart) / spread).clamp(min=0)
    edges = (1 + (y - mean_y).abs()) / (1 + (x - mean_x).abs()) - 1
    maps = torch.stack([ssim, edges.clamp(min=0), (-edges).clamp(min=0)], 2).flatten(3)
    mean, fourth = maps.mean(3), maps.square().square().mean(3)
    return torch.stack([mean, (fourth + _TINY) ** 0.25], 2)


def _blur(x: Tensor) -> Tensor:
    """Gaussian blur with zeros beyond the borders, as products with two banded matrices."""
    rows, columns = (_band(n).to(x.device, x.dtype) for n in x.shape[-2:])
    return rows @ x @ columns


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # kept, and so for those who want gradients, too
def _band(size: int) -> Tensor:
    """Symmetric matrix (size, size) that blurs a column."""
    distance = (torch.arange(size)[:, None] - torch.arange(size)).abs()
    return torch.tensor([*_TAPS, 0.0])[distance.clamp(max=len(_TAPS))]
