"""From a weights file back to a model that can be trained or asked for gradients.

The inverse of `vqcodec.training.export`: integers become the real numbers they stand for. A file holds no
state of an optimiser.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vqcodec.entropy.tables import CODE_NATS
from vqcodec.entropy.tile_coder import LEVELS_PER_CLASS
from vqcodec.errors import ModelNotFound
from vqcodec.model.dial import level_basis
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP, QuantizableConv
from vqcodec.model.prior import LINEAR_STEP
from vqcodec.model.vqvae import VQVAE, Transforms
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.checkpoint import Arrays, Weights
from vqcodec.weights.integers import to_reals
from vqcodec.weights.layout import to_parameters


def hyper_class_basis() -> Tensor:
    """Basis (16, LEVEL_KNOTS) of the level in the middle of each class of the hyper-latent's tables."""
    classes = torch.arange(LEVEL_MAX // LEVELS_PER_CLASS + 1)
    return level_basis(((classes + 0.5) * LEVELS_PER_CLASS / LEVEL_MAX).clamp_max(1))


def _real(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))


def _restore_conv(layer: QuantizableConv, arrays: dict[str, np.ndarray], name: str, factor: Tensor) -> None:
    """Undo `training.prior_arrays`: multiplier / 2**shift is the scale of a weight times `factor`."""
    ratio = arrays[f"{name}.multiplier"] / 2.0 ** arrays[f"{name}.shift"].astype(np.float64)
    scale = _real(ratio) / factor
    layer.weight.copy_(
        _real(arrays[f"{name}.weight"]) * scale[:, None, None, None] / layer.in_step[:, None, None]
    )
    bias = _real(arrays[f"{name}.bias"]).flatten(0, -2) * scale
    if layer.level_bias is None:
        layer.bias.copy_(bias[0])
    else:
        layer.bias.copy_(bias.mean(0))
        layer.level_bias.copy_(bias - bias.mean(0))


def _restore_prior(model: VQVAE, arrays: dict[str, np.ndarray]) -> None:
    prior = model.prior
    for name, layer in prior.named_modules():
        if isinstance(layer, QuantizableConv):
            _restore_conv(layer, arrays, f"prior.{name}", prior.integer_units(layer))
    for p, weight in enumerate(prior.linear):
        weight.copy_(_real(arrays[f"prior.linear.{p}"]) * LINEAR_STEP)


def _parameters(weights: Weights, arrays: Arrays) -> dict[str, Tensor]:
    try:
        return {name: _real(array) for name, array in to_parameters(to_reals(arrays)).items()}
    except (KeyError, ValueError) as error:
        raise ModelNotFound(f"{weights.name}: the transforms are incomplete: {error}") from error


# Tensors made in inference mode take no part in gradients, which `vqcodec.compress.feedback` wants.
@torch.inference_mode(False)
def restore_transforms(weights: Weights) -> Transforms:
    """The transforms of a weights file in float32, on the CPU.

    Raises:
        ModelNotFound: its arrays are not those of this model.
    """
    parameters = _parameters(weights, weights.transforms)
    with torch.device("meta"):
        transforms = Transforms(weights.config)
    try:
        transforms.load_state_dict(parameters, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ModelNotFound(f"{weights.name}: the transforms do not fit the model: {reason}") from error
    # torch's stubs leave memory_format out.
    transforms.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return transforms.eval().requires_grad_(False)


def restore_realism(weights: Weights) -> dict[str, Tensor]:
    """Parameters of a weights file's perceptual decoder by their names in g_s; empty if there is none.

    Raises:
        ModelNotFound: its arrays are not those of this model.
    """
    if not weights.realism:
        return {}
    parameters = _parameters(weights, weights.transforms | weights.realism)
    return {n.removeprefix("g_s."): p for n, p in parameters.items() if n.startswith("g_s.")}


@torch.no_grad()
def restore(weights: Weights) -> VQVAE:
    """The model of a weights file, on the CPU; exact mode codes very nearly as the file does.

    Raises:
        ModelNotFound: the arrays are not those of this model.
    """
    model = VQVAE(weights.config)
    model.load_state_dict(restore_transforms(weights).state_dict(), strict=False)
    try:
        restore_coding(model, weights.coding)
    except (KeyError, RuntimeError) as error:
        raise ModelNotFound(f"{weights.name}: the coding arrays do not fit the model: {error}") from error
    return model


@torch.no_grad()
def restore_coding(model: VQVAE, arrays: Arrays) -> None:
    """Fill in prior, codewords and tables from the coding arrays of a weights file.

    Raises:
        KeyError, RuntimeError: they are not those of this model.
    """
    quantizer, hyper = model.quantizer, model.hyper_quantizer
    _restore_prior(model, arrays)
    for i in range(len(quantizer.bands)):
        quantizer.words[i].copy_(_real(arrays[f"y.words.{i}"]) * VALUE_STEP)
        quantizer.table[i].copy_(_real(arrays[f"y.tables.{i}"]) * -CODE_NATS)
        quantizer.bias[i].zero_()
    # The hyper-latent's tables lie between the knots of the level: the closest line through them.
    closest = torch.linalg.pinv(hyper_class_basis())
    for i in range(len(hyper.bands)):
        hyper.words[i].copy_(_real(arrays[f"z.words.{i}"]) * HYPER_STEP)
        hyper.table[i].copy_(closest @ (_real(arrays[f"z.tables.{i}"]) * -CODE_NATS))
        hyper.bias[i].zero_()
