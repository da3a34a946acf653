"""Start a model from another one's weights, also when its codebooks are cut differently.

Transforms, hyper-latent, gains and the prior's means are taken over; codebooks whose bands or context
classes differ are started afresh by rate-constrained Lloyd, on the residuals that the other model's
prior leaves rather than on bare latents.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.model.lloyd import start_quantizer
from vqcodec.model.quantizer import VectorQuantizer, from_groups, to_groups
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops

BATCHES = 32


def group_samples(latent: Tensor, quantizer: VectorQuantizer, count: int = 6000) -> list[Tensor]:
    """Random group vectors (G, n, d) of a latent (B, M, h, w) for each band."""
    result, start = [], 0
    for band in quantizer.bands:
        vectors = to_groups(latent[:, start : start + band.channels], band)
        start += band.channels
        pick = torch.randperm(vectors.shape[1], device=latent.device)[:count]
        result.append(vectors[:, pick].contiguous())
    return result


@torch.no_grad()
def residuals(model: VQVAE, crops: Crops, batch: int, crop: int) -> Tensor:
    """Residuals r = y - mu (B, M, h, w) of random crops, the upper levels drawn more often."""
    quantizer = model.quantizer
    if not isinstance(quantizer, VectorQuantizer):
        raise ValueError("only models with a vector quantiser can be taken over")
    parts = []
    for _ in range(BATCHES):
        x, level = (v.to(next(model.parameters()).device) for v in crops.batch(batch, crop))
        # Overload costs most where the gains are largest, so the codebooks must see those residuals.
        output = model(x, level.sqrt())
        half = -(-crop // 32)
        for result in output.passes:
            bands = zip(result.residual, quantizer.bands, strict=True)
            parts.append(torch.cat([from_groups(r, b, (batch, half, half)) for r, b in bands], 1))
    return torch.cat(parts)


@torch.no_grad()
def take_over(model: VQVAE, source: VQVAE, crops: Crops, batch: int, crop: int, spread: float) -> list[str]:
    """Fill `model` from `source`.

    Args:
        spread: classes by which the scale context rises over the dial, see `Prior.start_context`.

    Returns:
        names of the parameters that were started afresh, wholly or in part.
    """
    old = dict(source.named_parameters())
    afresh = []
    for name, parameter in model.named_parameters():
        other = old.get(name)
        if other is not None and other.shape == parameter.shape:
            parameter.copy_(other)
            continue
        afresh.append(name)
        if ".leave." in name and other is not None:
            # The means come first among a pass's outputs; only the context numbers behind them are new.
            means = model.config.channels
            if "level_bias" in name:
                parameter[:, :means] = other[:, :means]
            else:
                parameter[:means] = other[:means]
    if afresh and isinstance(model.quantizer, VectorQuantizer):
        sample = residuals(source, crops, batch, crop)
        typical = start_quantizer(model.quantizer, group_samples(sample, model.quantizer))
        model.prior.start_context(typical, spread)
    return afresh
