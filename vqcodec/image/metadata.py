"""ICC, EXIF and XMP blocks beside the pixels: which are kept. `exif` and `xmp` know what is inside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vqcodec.image.exif import erase_gps
from vqcodec.image.xmp import without_place

KINDS = frozenset({"icc", "exif", "xmp"})
CHUNK_TYPES = {"icc": "iCCP", "exif": "eXIF", "xmp": "xMPd"}
"""The chunk of a .vqc file that holds each kind."""


@dataclass(frozen=True)
class Metadata:
    """Blocks carried beside the pixels; `exif` starts at its TIFF header, without the JPEG prefix."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def only(self, kinds: frozenset[str]) -> Metadata:
        """A copy with the blocks named in `kinds`, a subset of `KINDS`."""
        return Metadata(**{kind: getattr(self, kind) for kind in kinds})

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
    """Turn "all", "none", "icc,exif" or an iterable of kinds into a set.

    Raises:
        ValueError: a word other than all, none, icc, exif or xmp; or all/none beside others.
    """
    words = [word.strip().lower() for word in (choice.split(",") if isinstance(choice, str) else choice)]
    if words == ["all"]:
        return KINDS
    if words in (["none"], []):
        return frozenset()
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise ValueError(f"metadata must be all, none or a list of icc, exif and xmp, not {unknown[0]!r}")
    return frozenset(words)
