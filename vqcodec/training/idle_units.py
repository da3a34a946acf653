"""Which hidden units of the prior do something: a narrower prior keeps those.

What a unit does is told by its value times the gradient of the free energy, the first term of what would
change without it (Molchanov et al. 2017). Some never leave the flat part of their activation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from vqcodec.entropy.coding_order import PASSES, PHASES
from vqcodec.model.integer_conv import QuantizableConv
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops

BATCHES = 8
"""Batches of crops that effects are added up over."""


def unit_effects(model: VQVAE, crops: Crops, batch: int, crop: int) -> tuple[list[Tensor], list[Tensor]]:
    """Sums of |value times gradient of the free energy| of the prior's hidden units, (W,) each.

    Returns:
        of the first layer of each pass; of the units that the slices of each phase are predicted from.
    """
    prior, device = model.prior, next(model.parameters()).device
    width = model.config.prior_width
    entered = [torch.zeros(width, device=device) for _ in PASSES]
    leaving = [torch.zeros(width, device=device) for _ in PHASES]

    def watcher(total: Tensor) -> Callable[..., None]:
        """A hook that adds up the effects of what a layer is given."""

        def watch(_layer: object, inputs: tuple[Tensor, ...]) -> None:
            value = inputs[0]

            def add(gradient: Tensor) -> None:
                total.add_((value.detach() * gradient).abs().sum((0, 2, 3)))

            value.register_hook(add)

        return watch

    layers = zip([*prior.middle, *prior.leave], [*entered, *leaving], strict=True)
    hooks = [layer.register_forward_pre_hook(watcher(total)) for layer, total in layers]
    try:
        for _ in range(BATCHES):
            x, t = crops.batch(batch, crop, device)
            with torch.no_grad():
                y = model.analyse(x, t)
            with torch.enable_grad():
                _, _, passes = model.quantise(y.requires_grad_(), t)
                energy = torch.stack([part.energy.sum() for part in passes]).sum()
                torch.autograd.grad(energy, y)
    finally:
        for hook in hooks:
            hook.remove()
    return entered, leaving


@torch.no_grad()
def busiest_first(source: VQVAE, crops: Crops, batch: int, crop: int) -> VQVAE:
    """The same function, with those hidden units of the prior in front that do most."""
    first, second = unit_effects(source, crops, batch, crop)
    entered = [total.argsort(descending=True, stable=True) for total in first]
    leaving = [total.argsort(descending=True, stable=True) for total in second]
    model = copy.deepcopy(source)
    prior = model.prior
    for p, place in enumerate(PASSES):
        _arrange(prior.enter[p], outputs=entered[p])
        _arrange(prior.middle[p], outputs=leaving[place.phase], inputs=entered[p])
    for phase, order in enumerate(leaving):
        _arrange(prior.leave[phase], inputs=order)
        for look in prior.look[phase :: len(PHASES)]:
            _arrange(look, inputs=order)
        for tell in prior.tell[phase :: len(PHASES)]:
            _arrange(tell, outputs=order)
    return model


def _arrange(layer: torch.nn.Module, outputs: Tensor | None = None, inputs: Tensor | None = None) -> None:
    """Put a layer's outputs, and its last inputs, in another order."""
    assert isinstance(layer, QuantizableConv)
    if outputs is not None:
        layer.weight.copy_(layer.weight[outputs])
        layer.bias.copy_(layer.bias[outputs])
        if layer.level_bias is not None:
            layer.level_bias.copy_(layer.level_bias[:, outputs])
    if inputs is not None:
        layer.weight[:, -len(inputs) :] = layer.weight[:, -len(inputs) :][:, inputs]
