"""What `Codec.compress` may be asked for, checked before anything is read."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from vqcodec.compress.dial import checked_quality
from vqcodec.types import DEFAULT_LIMITS, DEFAULT_TILE, Limits, TileProgress, check_kind, check_tune

DEFAULT_QUALITY = 50.0
_KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("quality", "bpp", "target_size", "psnr"), (numbers.Real, "number")),
    **dict.fromkeys(("tile", "effort"), (numbers.Integral, "whole number")),
    "limits": (Limits, "vqcodec.Limits"),
}
_MOST_BYTES = 2**62
"""Bytes that no file has; larger numbers would not fit a float."""


@dataclass(frozen=True)
class CompressOptions:
    """The options of `Codec.compress`, which tells what they mean.

    Raises:
        TypeError: one is of another kind than it is to be.
        ValueError: one is out of range, or more than one of quality, bpp, target_size, psnr and lossless.
    """

    quality: float | None = None
    bpp: float | None = None
    target_size: int | None = None
    psnr: float | None = None
    tune: str | None = None
    tile: int = DEFAULT_TILE
    metadata: str | Iterable[str] = "all"
    limits: Limits = DEFAULT_LIMITS
    label: bool = False
    effort: int = 1
    strip_gps: bool = False
    lossless: bool = False
    drawn: bool = True
    allow_partial: bool = False
    progress: TileProgress | None = None

    @classmethod
    def take(cls, options: Mapping[str, Any]) -> CompressOptions:
        """Options by their names.

        Raises:
            TypeError: there is none of a name.
        """
        known = {item.name for item in fields(cls)}
        for name in options:
            if name not in known:
                raise TypeError(f"compress() got an unexpected keyword argument {name!r}")
        return cls(**options)

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in _KINDS and not (value is None and option.default is None):
                check_kind(option.name, value, *_KINDS[option.name])
        aims = (self.quality, self.bpp, self.target_size, self.psnr, self.lossless or None)
        if sum(aim is not None for aim in aims) > 1:
            raise ValueError("give only one of quality, bpp, target_size, psnr and lossless")
        checked_quality(self.dial)
        for name in ("bpp", "target_size", "psnr"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive, not {value}")
        if self.tune is not None:
            check_tune(self.tune)

    @property
    def dial(self) -> float:
        """The quality, given or usual."""
        return DEFAULT_QUALITY if self.quality is None else self.quality

    def most_bytes(self, width: int, height: int) -> int | None:
        """Bytes that the file of a picture may have by `bpp` or `target_size`; None if neither is given."""
        if self.bpp is not None:
            return int(min(self.bpp * width * height / 8, _MOST_BYTES))
        return None if self.target_size is None else int(min(self.target_size, _MOST_BYTES))
