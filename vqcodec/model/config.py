"""Sizes of a model, as they stand in its weights file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

RETIRED = {"first_passes": 4}
"""Fields of weights files and states written before these were fixed, with the only value left."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the model; stored as JSON in the weights file.

    Attributes:
        context_channels, first_channels: channels of decoded phases that passes look at, those of the first
            phase at fewer.
        restoration: features and kernels of the decoder's last stage, see `vqcodec.model.restoration`;
            without features there is none.
        guided: it also looks at what the decoder's networks end with.
        lapped: blocks of the linear shortcut overlap, see `vqcodec.model.shortcut`.
        slices: numbers of the bands at which a pass looks again, at the channels before them at the same
            place, see `vqcodec.entropy.coding_order`; with the hidden units `slice_width` for it.
        quantizer, shortcut, context_passes: for comparisons only; other models than the default's
            ("vector", True, 4) cannot be exported. See `vqcodec.model.transforms` and `vqcodec.model.vqvae`.
    """

    channels: int = 448
    bands: tuple[tuple[int, int, int], ...] = (
        (1, 4, 512),
        (1, 20, 160),
        (1, 48, 72),
        (2, 104, 256),
        (4, 144, 256),
        (4, 128, 128),
    )
    context_levels: tuple[int, ...] = (40, 9)
    context_channels: int = 160
    hyper_channels: int = 32
    hyper_bands: tuple[tuple[int, int, int], ...] = ((4, 32, 256),)
    analysis: tuple[int, int, int, int] = (128, 192, 5, 3)
    synthesis: tuple[int, int, int, int] = (128, 192, 4, 3)
    restoration: tuple[int, int] = (32, 6)
    guided: bool = True
    prior_features: int = 128
    prior_width: int = 256
    first_channels: int = 64
    slices: tuple[int, ...] = (1, 2, 3, 4)
    slice_width: int = 128
    quantizer: str = "vector"
    shortcut: bool = True
    lapped: bool = True
    context_passes: int = 4

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`, also after a trip through JSON."""
        # What models from before there was the choice were like.
        older: dict[str, Any] = {"lapped": False}
        older |= {"restoration": (0, 0), "guided": False, "slices": (), "slice_width": 0}
        values = older | values
        kept = {k: v for k, v in values.items() if (k, v) not in RETIRED.items()}
        fixed = {k: _tuples(v) if isinstance(v, list) else v for k, v in kept.items()}
        return cls(**fixed)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
