"""The prior's integers: layers with weights of 8 bits, as `vqcodec.entropy.integer_prior` reads them."""

from __future__ import annotations

import numpy as np
import torch

from vqcodec.entropy.integer_prior import LATENT_MAX
from vqcodec.model.dial import LEVEL_KNOTS
from vqcodec.model.integer_conv import BIAS_MAX, CONTEXT_STEP, VALUE_STEP, QuantizableConv
from vqcodec.model.prior import CONTEXT_MAX, LINEAR_STEP
from vqcodec.model.vqvae import VQVAE

MULTIPLIER_BITS = 15


def _export_conv(layer: QuantizableConv, factor: np.ndarray) -> dict[str, np.ndarray]:
    """Integers of one layer; `factor` (O,) turns its real outputs to integer outputs."""
    weight, scale = layer.integer_weight()
    levels = layer.level_bias
    bias = layer.biases(None if levels is None else torch.eye(len(levels)))
    bias = (bias.reshape(-1, bias.shape[-1]) / scale).round().clamp(-BIAS_MAX, BIAS_MAX)
    if len(bias) > LEVEL_KNOTS:
        bias = bias.unflatten(0, (-1, LEVEL_KNOTS))
    ratio = scale.double().numpy() * factor
    shift = MULTIPLIER_BITS - 1 - np.floor(np.log2(ratio)).astype(np.int64)
    shift = np.clip(shift, 1, 62)
    return {
        "weight": weight.round().to(torch.int8).numpy(),
        "bias": bias.to(torch.int32).numpy(),
        "multiplier": np.round(ratio * 2.0**shift).astype(np.int32),
        "shift": shift.astype(np.uint8),
    }


def export_prior(model: VQVAE) -> dict[str, np.ndarray]:
    """Integer arrays of the prior, names as `vqcodec.entropy.integer_prior` reads them."""
    prior, arrays = model.prior, {}
    for name, layer in prior.named_modules():
        if isinstance(layer, QuantizableConv):
            factor = prior.integer_units(layer).double().numpy()
            for key, array in _export_conv(layer, factor).items():
                arrays[f"prior.{name}.{key}"] = array
    for p, weight in enumerate(prior.linear):
        arrays[f"prior.linear.{p}"] = (weight / LINEAR_STEP).round().to(torch.int16).numpy()
    companded = np.round(np.arcsinh(np.arange(LATENT_MAX + 1) * VALUE_STEP) / CONTEXT_STEP)
    steps = np.searchsorted(companded, np.arange(1, round(CONTEXT_MAX / CONTEXT_STEP) + 1))
    arrays["prior.compand"] = steps.astype(np.int32)
    return arrays
