"""ICC, EXIF and XMP blocks beside the pixels: which are kept. `exif` and `xmp` know what is inside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vqcodec.image.exif import erase_gps
from vqcodec.image.xmp import without_place

KINDS = frozenset({"icc", "exif", "xmp"})
EXACT = "exact"
"""Beside kinds: their bytes are kept as they are, but for the orientation that was applied."""
CHUNK_TYPES = {"icc": "iCCP", "exif": "eXIF", "xmp": "xMPd"}
"""The chunk of a .vqc file that holds each kind."""


@dataclass(frozen=True)
class Metadata:
    """Blocks carried beside the pixels; `exif` starts at its TIFF header, without the JPEG prefix."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def only(self, kinds: frozenset[str]) -> Metadata:
        """A copy with the blocks named in `kinds`."""
        return Metadata(**{kind: getattr(self, kind) for kind in KINDS & kinds})

    def without_gps(self) -> Metadata:
        """A copy that does not say where the picture was taken."""
        exif = None if self.exif is None else erase_gps(self.exif)
        return replace(self, exif=exif, xmp=None if self.xmp is None else without_place(self.xmp))

    def missing(self, whole: Metadata) -> list[str]:
        """The blocks that `whole` has and this one has not."""
        return [
            kind for kind in sorted(KINDS) if getattr(whole, kind) is not None and getattr(self, kind) is None
        ]


def parse_kinds(choice: str | Iterable[str]) -> frozenset[str]:
    """Turn "all", "none", "icc,exif" or an iterable of kinds into a set, with `EXACT` if it is among them.

    "exact" may stand beside all or kinds, and alone means all.

    Raises:
        TypeError: it is no text.
        ValueError: a word other than all, none, exact, icc, exif or xmp; all or none beside others.
    """
    try:
        words = [word.strip().lower() for word in (choice.split(",") if isinstance(choice, str) else choice)]
    except (TypeError, AttributeError) as error:
        raise TypeError(f"metadata must be text, or a list of it, not {choice!r}") from error
    exact = frozenset({EXACT}.intersection(words))
    kinds = [word for word in words if word != EXACT]
    if kinds == ["all"] or (exact and not kinds):
        return KINDS | exact
    if words in (["none"], []):
        return frozenset()
    unknown = [word for word in kinds if word not in KINDS]
    if unknown:
        raise ValueError(
            f"metadata must be all, none or a list of icc, exif and xmp, with or without exact, "
            f"not {unknown[0]!r}"
        )
    return exact.union(kinds)
