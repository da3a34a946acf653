"""The precision that the transforms run in: bfloat16 where the processor has units for it.

They are trained in it. Their linear halves stay in float32, and so do hyper-latent, prior and search.
"""

from __future__ import annotations

import torch

_UNITS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
"""What torch asks a processor; not there in older versions, nor everywhere."""


def has_bfloat16_units() -> bool:
    """Does this processor multiply faster in bfloat16 than in float32?"""
    return any(getattr(torch.cpu, name, bool)() for name in _UNITS)


def in_bfloat16(precision: str, device: str) -> bool:
    """Shall transforms run in bfloat16 on a device?

    Args:
        precision: one of `vqcodec.types.PRECISIONS`. "auto" means where a CPU has units for it; a graphics
            card is fast enough without.
    """
    if precision == "auto":
        return device == "cpu" and has_bfloat16_units()
    return precision == "bfloat16"


def transforms_in(bf16: bool, device: str) -> torch.autocast:
    """A context in which transforms run in bfloat16, or as they are."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=bf16)
