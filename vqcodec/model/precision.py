"""The precision that the transforms run in: bfloat16 where the processor has matrix units for it.

The transforms are trained in it. Shortcut, hyper-latent, prior and search stay in float32.
"""

from __future__ import annotations

import torch


def has_bfloat16_units() -> bool:
    """Whether this processor has matrix units for bfloat16."""
    # Vector instructions alone are slower than float32. Not every version of torch has this query.
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def in_bfloat16(precision: str, device: str) -> bool:
    """Whether to run the transforms in bfloat16 on a device.

    Args:
        precision: one of `vqcodec.types.PRECISIONS`. "auto" is bfloat16 on a CPU that has units for it, and
            float32 on a GPU.
    """
    if precision == "auto":
        return device == "cpu" and has_bfloat16_units()
    return precision == "bfloat16"


def transforms_in(bf16: bool, device: str) -> torch.autocast:
    """A context in which transforms run in bfloat16, if `bf16`."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=bf16)
