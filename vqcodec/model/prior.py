"""Prior: hyper-latent and spatial context to means and context numbers.

    y --h_a--> z --quantise--> z_hat --h_s--> features at 1/32
                                                  |
    y_hat phases decoded so far --asinh--> conv3x3, 1x1 (one net per pass) --> hidden --> 1x1 --> mu, (u0, u1)
    slices of the pass decoded so far --asinh--> 1x1, 1x1 (by slice and phase) --> + hidden        per group

A pass (`vqcodec.entropy.coding_order`) sees the phases before it as channels of a half-size grid: one
dense convolution. For the strongest channels a linear interpolation from decoded neighbours runs beside the
network. Every layer can be replayed in integers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.entropy.coding_order import PASSES, PHASES, PassState, cut_slices
from vqcodec.model.blocks import Bounded
from vqcodec.model.codebook import Band
from vqcodec.model.config import ModelConfig
from vqcodec.model.dial import LEVEL_KNOTS
from vqcodec.model.integer_conv import (
    ACTIVATION_STEP,
    CONTEXT_STEP,
    HYPER_STEP,
    VALUE_STEP,
    QuantizableConv,
    activate,
    conv_at,
    ste_round,
    to_grid,
)
from vqcodec.model.interpolation import start_interpolation

State = PassState[Tensor]
LINEAR_STEP = 1 / 128
MEAN_GAIN = 4.0
CONTEXT_GAIN = 8.0
CONTEXT_MAX = 127 * CONTEXT_STEP


def interleave(phases: list[Tensor]) -> Tensor:
    """Up to four phases (B, C, h, w), in their order, as one map (B, C, 2h, 2w); 0 for those that lack."""
    phases = phases + [torch.zeros_like(phases[0])] * (len(PHASES) - len(phases))
    # Not by assigning to slices of a tensor: each would copy the whole gradient.
    cells = [phases[PHASES.index((i, j))] for i in range(2) for j in range(2)]
    return F.pixel_shuffle(torch.stack(cells, 2).flatten(1, 2), 2)


def to_phases(parts: list[Tensor]) -> list[Tensor]:
    """What the first passes decoded as maps of the phases (B, C, H, W); 0 where nothing is yet."""
    first, later = parts[: len(PHASES)], parts[len(PHASES) :]
    return [interleave(first), *later] if first else []


def put_together(parts: list[Tensor]) -> Tensor:
    """What the first passes decoded, (B, C, h, w) each and one at least, as a latent; 0 elsewhere."""
    return interleave(to_phases(parts))


class Prior(nn.Module):
    """z_hat and decoded phases and slices -> mean (B, M, h, w) and context numbers (B, dims, G, h, w)."""

    def __init__(self, config: ModelConfig, bands: Sequence[Band]) -> None:
        """Build the layers; `bands` are those that the latent's quantiser has."""
        super().__init__()
        self.seen = [config.context_channels if p.layer else config.first_channels for p in PASSES]
        """Channels of a map that each pass looks at, the strongest."""
        self.channels, self.context_levels = config.channels, config.context_levels
        self.groups = sum(band.groups for band in bands)
        self.slices = cut_slices([(b.channels, b.groups) for b in bands], config.slices)
        for n, piece in enumerate(self.slices):
            # Buffers, so that they are on the device of the weights.
            rows = torch.from_numpy(piece.rows(self.channels, self.groups, len(self.context_levels)))
            self.register_buffer(f"rows{n}", rows, persistent=False)
        self.class_limit: Tensor
        limit = torch.tensor([float(levels - 1) for levels in self.context_levels])[:, None, None, None]
        self.register_buffer("class_limit", limit, persistent=False)
        outputs = self.channels + self.groups * len(self.context_levels)
        features, width, looking = config.prior_features, config.prior_width, config.slice_width
        self.tunes = tunes = config.tunes

        def conv(
            inputs: int, outputs: int, kernel: int = 1, context: int = 0, bias: bool = False
        ) -> QuantizableConv:
            """A hidden layer on `context` companded channels and on `inputs` hidden units."""
            steps = [(context, CONTEXT_STEP), (inputs, ACTIVATION_STEP)]
            return QuantizableConv(steps, outputs, kernel, relu=True, level_biases=tunes * bias)

        self.hyper1 = QuantizableConv(
            [(config.hyper_channels, HYPER_STEP)], 2 * features, 3, relu=True, level_biases=tunes
        )
        self.hyper2 = conv(2 * features, 4 * features)
        self.hyper3 = conv(features, features, 3, bias=True)
        self.enter = nn.ModuleList(
            conv(features, width, 3, p.maps * n, bias=True) for p, n in zip(PASSES, self.seen, strict=True)
        )
        self.middle = nn.ModuleList(conv(width, width) for _ in PASSES)
        self.leave = nn.ModuleList(
            QuantizableConv([(width, ACTIVATION_STEP)], outputs, 1, relu=False, level_biases=tunes)
            for _ in PHASES
        )
        self.linear = nn.ParameterList(
            nn.Parameter(start_interpolation(p, self.channels)) for p in PASSES if p.maps
        )
        later = [(piece, phase) for piece in self.slices[1:] for phase in PHASES]
        self.look = nn.ModuleList(
            conv(width, looking, context=piece.channels.start, bias=True) for piece, _ in later
        )
        self.tell = nn.ModuleList(
            QuantizableConv([(looking, ACTIVATION_STEP)], width, 1, relu=False) for _ in later
        )
        with torch.no_grad():
            for layer in self.leave:
                layer.get_parameter("weight").mul_(0.1)
            for layer in self.tell:
                layer.get_parameter("weight").zero_()

    @torch.no_grad()
    def start_context(self, typical: Tensor, level_slope: float, first: int = 0) -> None:
        """Start u0 at the bin (n,) that fits each group, the other context numbers in their middle.

        Args:
            level_slope: bins by which u0 rises from t = 0 to 1.
            first: number of the first of these groups; those before it are left alone.
        """
        ramp = torch.linspace(-0.5, 0.5, LEVEL_KNOTS).repeat(self.tunes)[:, None] * level_slope / CONTEXT_GAIN
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
        """Integers per real unit of each output (O,) of one of its layers in the integer prior."""
        if all(layer is not last for last in self.leave):
            return torch.full((len(layer.weight),), 1 / ACTIVATION_STEP)
        units = torch.full((len(layer.weight),), CONTEXT_GAIN)
        units[: self.channels] = MEAN_GAIN / VALUE_STEP
        return units

    def hyper(self, z_hat: Tensor, basis: Tensor, exact: bool) -> Tensor:
        """h_s: z_hat (B, Z, h, w) -> features (B, F, 2h, 2w)."""
        h = self.hyper1(z_hat, basis, exact)
        h = F.pixel_shuffle(self.hyper2(h, None, exact), 2)
        return self.hyper3(h, basis, exact)

    def open(self, p: int, features: Tensor, maps: list[Tensor], basis: Tensor, exact: bool) -> State:
        """The state of pass p before its first slice.

        Args:
            maps: the phases (B, M, H, W) that it looks at, 0 where they are not decoded yet.
        """
        place = PASSES[p]
        companded = []
        if maps:
            companded = [_compand(torch.cat([y[:, : self.seen[p]] for y in maps], 1), exact)]
        h = self.enter[p](torch.cat([*companded, features], 1), basis, exact, place.corner)
        h = self.middle[p](h, None, exact)
        local = None
        if maps:
            weight = self.linear[p - 1]
            if exact:
                weight = ste_round(weight / LINEAR_STEP) * LINEAR_STEP
            n = weight.shape[0]
            stack = torch.stack([y[:, :n] for y in maps], 2).flatten(1, 2)
            local = conv_at(stack, weight, place.corner, groups=n)
        return PassState(place, h, local)

    def predict(self, n: int, state: State, basis: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        """Mean (B, C, h, w) and context numbers (B, dims, G, h, w), not rounded, of the pass's slice n.

        `state.known` holds all slices before it; the state's hidden units are updated.
        """
        place, piece = state.place, self.slices[n]
        if n:
            layer = (n - 1) * len(PHASES) + place.phase
            state.companded += [_compand(r, exact) for r in state.known[len(state.companded) :]]
            told = torch.cat([*state.companded, state.hidden], 1)
            told = self.tell[layer](self.look[layer](told, basis, exact), None, exact)
            state.hidden = activate(told + state.hidden, exact)
        out = self.leave[place.phase](state.hidden, basis, exact, rows=self.get_buffer(f"rows{n}"))
        mean, context = out[:, : piece.width] * MEAN_GAIN, out[:, piece.width :] * CONTEXT_GAIN
        if state.local is not None:
            local = state.local[:, piece.channels]
            mean = torch.cat([mean[:, : local.shape[1]] + local, mean[:, local.shape[1] :]], 1)
        if exact:
            mean = ste_round(mean / VALUE_STEP) * VALUE_STEP
        context = context.unflatten(1, (len(self.context_levels), -1))
        return mean, Bounded.apply(context, self.class_limit)


def _compand(y: Tensor, exact: bool) -> Tensor:
    """asinh, clamped to the range of the integer table."""
    return to_grid(torch.asinh(y), CONTEXT_STEP, -CONTEXT_MAX, CONTEXT_MAX, exact)
