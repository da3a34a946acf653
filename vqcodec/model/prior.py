"""Prior: hyper-latent and spatial context to means and context numbers.

    y --h_a--> z --quantise--> z_hat --h_s--> features at 1/32
                                                  |
    y_hat phases decoded so far --asinh--> conv3x3, 1x1, 1x1 (one net per pass) --> mu, (u0, u1) per group

Positions are coded in the order of `vqcodec.entropy.passes`; a pass sees the phases before it as channels
of a half-size grid, so every pass is one dense convolution and nothing is computed twice. A linear
interpolation from decoded neighbours runs beside the network for the strongest channels. Every layer can be
replayed in integers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.entropy.passes import PHASES, Pass, order
from vqcodec.model.blocks import LEVEL_KNOTS
from vqcodec.model.quantized_conv import (
    ACTIVATION_STEP,
    CONTEXT_STEP,
    HYPER_STEP,
    VALUE_STEP,
    QuantizableConv,
    conv_at,
    ste_round,
    to_grid,
)

LINEAR_CHANNELS = 24
DC_CHANNELS = (0, 1, 7)
"""Where the energy order of `dct_filters` puts the means of the three opponent colours."""
LINEAR_STEP = 1 / 128
MEAN_GAIN = 4.0
CONTEXT_GAIN = 8.0
CONTEXT_MAX = 127 * CONTEXT_STEP

# Decoded neighbours of a pass with so many maps on the half-size grid: maps -> [(phase, row, column)], row
# and column relative to the centre of a 3x3 window.
_NEIGHBOURS: dict[int, list[tuple[int, int, int]]] = {
    1: [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)],
    2: [(0, 0, 0), (0, 0, 1), (1, -1, 0), (1, 0, 0)],
    3: [(0, 0, 0), (0, 1, 0), (1, 0, -1), (1, 0, 0)],
}


def put_together(parts: list[Tensor], passes: tuple[Pass, ...], rows: int, columns: int) -> Tensor:
    """What the first passes made, (B, C, h, w) each, as a latent (B, C, rows, columns); 0 elsewhere."""
    b, c = parts[0].shape[:2]
    out = parts[0].new_zeros(b, c, rows, columns)
    for part, place in zip(parts, passes, strict=False):
        out[place.last] = part
    return out


class HyperAnalysis(nn.Module):
    """h_a: y (B, M, h, w), h and w multiples of 4, to z at a quarter of its size."""

    def __init__(self, channels: int, width: int, hyper_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(4 * channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(4 * width, hyper_channels, 1)

    def forward(self, y: Tensor) -> Tensor:
        """The latent's magnitude counts, so it is companded first."""
        h = F.relu(self.squeeze(F.pixel_unshuffle(torch.asinh(y), 2)))
        h = F.relu(self.mix(h))
        return self.tail(F.pixel_unshuffle(h, 2)).float()


class Prior(nn.Module):
    """z_hat and decoded phases -> mean (B, M, h, w) and context numbers (B, dims * G, h, w)."""

    def __init__(
        self,
        channels: int,
        context_channels: int,
        groups: int,
        context_levels: tuple[int, ...],
        hyper_channels: int,
        features: int,
        width: int,
        first: tuple[int, int] = (1, 0),
    ) -> None:
        """Layers of their usual start.

        Args:
            context_channels: how many of the strongest channels of decoded phases are looked at.
            first: passes that the first phase takes, and in place of `context_channels` for these.
        """
        super().__init__()
        self.passes = order(first[0])
        self.seen = [context_channels if p.layer else first[1] for p in self.passes]
        """Channels of a map that each pass looks at."""
        self.channels, self.groups, self.context_levels = channels, groups, context_levels
        outputs = channels + groups * len(context_levels)
        self.hyper1 = QuantizableConv(
            [(hyper_channels, HYPER_STEP)], 2 * features, 3, relu=True, level_bias=True
        )
        self.hyper2 = QuantizableConv([(2 * features, ACTIVATION_STEP)], 4 * features, 1, relu=True)
        self.hyper3 = QuantizableConv([(features, ACTIVATION_STEP)], features, 3, relu=True, level_bias=True)
        self.enter = nn.ModuleList(
            QuantizableConv(
                [(p.maps * n, CONTEXT_STEP), (features, ACTIVATION_STEP)],
                width,
                3,
                relu=True,
                level_bias=True,
            )
            for p, n in zip(self.passes, self.seen, strict=True)
        )
        self.middle = nn.ModuleList(
            QuantizableConv([(width, ACTIVATION_STEP)], width, 1, relu=True) for _ in self.passes
        )
        self.leave = nn.ModuleList(
            QuantizableConv([(width, ACTIVATION_STEP)], outputs, 1, relu=False, level_bias=True)
            for _ in PHASES
        )
        self.linear = nn.ParameterList(
            nn.Parameter(_interpolation(p, channels)) for p in self.passes if p.maps
        )
        with torch.no_grad():
            for layer in self.leave:
                layer.get_parameter("weight").mul_(0.1)

    @torch.no_grad()
    def start_context(self, typical: Tensor, level_slope: float, first: int = 0) -> None:
        """Start u0 at the class (n,) that fits each group, the other numbers in their middle.

        Args:
            level_slope: classes by which u0 rises over the whole quality dial.
            first: number of the first of these groups; those before it are left alone.
        """
        ramp = torch.linspace(-0.5, 0.5, LEVEL_KNOTS)[:, None] * level_slope / CONTEXT_GAIN
        for layer in self.leave:
            start = self.channels
            for i, levels in enumerate(self.context_levels):
                value = typical if i == 0 else torch.full_like(typical, (levels - 1) / 2)
                here = slice(start + first, start + first + len(typical))
                layer.get_parameter("bias")[here] = value / CONTEXT_GAIN
                if i == 0:
                    layer.get_parameter("level_bias")[:, here] = ramp
                start += self.groups

    def integer_units(self, layer: QuantizableConv) -> Tensor:
        """Integers per real unit of each output (O,) of one of its layers, when it runs in integers."""
        if layer.relu:
            return torch.full((len(layer.weight),), 1 / ACTIVATION_STEP)
        units = torch.full((len(layer.weight),), CONTEXT_GAIN)
        units[: self.channels] = MEAN_GAIN / VALUE_STEP
        return units

    def hyper(self, z_hat: Tensor, basis: Tensor, exact: bool) -> Tensor:
        """h_s: z_hat (B, Z, h, w) -> features (B, F, 2h, 2w)."""
        h = self.hyper1(z_hat, basis, exact)
        h = F.pixel_shuffle(self.hyper2(h, None, exact), 2)
        return self.hyper3(h, basis, exact)

    def predict(
        self, p: int, features: Tensor, maps: list[Tensor], basis: Tensor, exact: bool
    ) -> tuple[Tensor, Tensor]:
        """Mean (B, M, h, w) and context numbers (B, dims, G, h, w), not rounded, of pass p.

        Args:
            maps: the phases (B, M, H, W) that it looks at, 0 where they are not decoded yet.
        """
        place = self.passes[p]
        companded = []
        if maps:
            joined = torch.cat([torch.asinh(y[:, : self.seen[p]]) for y in maps], 1)
            top = CONTEXT_MAX
            companded = [to_grid(joined, CONTEXT_STEP, -top, top) if exact else joined.clamp(-top, top)]
        h = self.enter[p](torch.cat([*companded, features], 1), basis, exact, place.corner)
        h = self.middle[p](h, None, exact)
        out = self.leave[place.phase](h, basis, exact)
        b, _, rows, columns = out.shape
        mean = out[:, : self.channels] * MEAN_GAIN
        if maps:
            weight = self.linear[p - 1]
            if exact:
                weight = ste_round(weight / LINEAR_STEP) * LINEAR_STEP
            n = weight.shape[0]
            stack = torch.stack([y[:, :n] for y in maps], 2).flatten(1, 2)
            local = conv_at(stack, weight, place.corner, groups=n)
            mean = torch.cat([mean[:, :n] + local, mean[:, n:]], 1)
        if exact:
            mean = ste_round(mean / VALUE_STEP) * VALUE_STEP
        context = out[:, self.channels :] * CONTEXT_GAIN
        context = context.reshape(b, len(self.context_levels), self.groups, rows, columns)
        limit = torch.tensor([n - 1 for n in self.context_levels], dtype=out.dtype, device=out.device)
        context = _Bounded.apply(context, limit[:, None, None, None])
        return mean, context


class _Bounded(torch.autograd.Function):
    """Clamp to [0, top] whose gradient leads back inside, and never further out.

    Where a step down the gradient would lead out, there is none, or a small one back from beyond the margin.
    Had it a way out, a context number that likes one end of its classes would go on for ever: in the long run
    numbers of thousands, and layers so steep that they answer with nothing but the two ends.
    """

    MARGIN, PULL = 1.0, 0.05

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: Tensor) -> Tensor:
        clamped = torch.minimum(x.clamp_min(0), top)
        ctx.save_for_backward(x - clamped)
        return clamped

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (beyond,) = ctx.saved_tensors
        outward = beyond * grad < 0
        back = torch.where(beyond.abs() > _Bounded.MARGIN, -_Bounded.PULL * grad, 0)
        return torch.where(outward, back, grad), None


def _interpolation(place: Pass, channels: int) -> Tensor:
    """Start of the linear interpolation of a pass: the mean of the neighbours for the DC channels."""
    weight = torch.zeros(min(channels, LINEAR_CHANNELS), place.maps, 3, 3)
    dc = [c for c in DC_CHANNELS if c < channels]
    neighbours = _NEIGHBOURS[place.maps]
    if place.layer == 0:
        # On the grid of the one phase they are at the corners, or beside.
        sides = [(0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
        neighbours = [(0, a, b) for a in (-1, 1) for b in (-1, 1)] if place.row == place.column else sides
    for phase, row, column in neighbours:
        weight[dc, phase, 1 + row, 1 + column] = 0.22
    return weight
