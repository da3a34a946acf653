"""Sizes of a model, as they stand in its weights file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the model; stored as JSON in the weights file.

    Attributes:
        channels: M of the latent.
        bands: (channels per group, channels, codewords) of each band of the latent, see `Band`.
        context_levels: bins of each of a group's context numbers.
        context_channels, first_channels: channels of decoded phases, the first ones, that passes look at;
            those of the first phase look at fewer.
        hyper_channels, hyper_bands: the same of the hyper-latent.
        analysis, synthesis: (channels at 1/8, channels at 1/16, residual blocks at 1/8, at 1/16) of g_a, g_s.
        restoration: (features, kernels) of the decoder's last stage, see `vqcodec.model.restoration`.
        prior_features, prior_width: channels of h_s, and hidden units of the prior.
        slices: numbers of the bands at which a new slice begins, see `vqcodec.entropy.coding_order`.
        slice_width: hidden units that look at the slices before.
        tunes: 1, or 2 for a table of each tune in whatever depends on the level, see `vqcodec.model.dial`.
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
    prior_features: int = 128
    prior_width: int = 256
    first_channels: int = 64
    slices: tuple[int, ...] = (1, 2, 3, 4)
    slice_width: int = 128
    tunes: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`, also after a trip through JSON.

        Raises:
            TypeError: a field is unknown.
        """
        return cls(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
