"""A .vqc file -> a picture, with everything that a caller may ask for on the way.

source --read_source--> bytes --parse--> Container --segments.decode--> pixels --to_pil--> image
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream import parse, unpack_alpha, unpack_metadata
from vqcodec.bitstream.container import Container
from vqcodec.bitstream.header import LAYERS
from vqcodec.bitstream.partial import read_layers
from vqcodec.errors import ModelMismatch
from vqcodec.files import Source, read_source
from vqcodec.image.metadata import CHUNK_TYPES, Metadata, parse_kinds
from vqcodec.image.picture import to_pil
from vqcodec.interface import Segments
from vqcodec.types import DEFAULT_LIMITS, Header, Limits, Region, TileProgress


class DecodeKeywords(TypedDict, total=False):
    """`DecodeOptions` as keyword arguments."""

    metadata: str | Iterable[str]
    allow_partial: bool
    limits: Limits
    realism: float
    region: Region | None
    preview: int | None
    progress: TileProgress | None


@dataclass(frozen=True)
class DecodeOptions:
    """How a file is decoded; `Codec.decompress` says what each option means.

    Raises:
        ValueError: bad `metadata`, `realism` or `preview`.
    """

    metadata: str | Iterable[str] = "all"
    allow_partial: bool = False
    limits: Limits = DEFAULT_LIMITS
    realism: float = 0.0
    region: Region | None = None
    preview: int | None = None
    progress: TileProgress | None = None

    def __post_init__(self) -> None:
        # Parsed once: an iterable may not be there to be read again.
        object.__setattr__(self, "metadata", parse_kinds(self.metadata))
        object.__setattr__(self, "realism", checked_realism(self.realism))
        if self.preview is not None and self.preview not in range(1, LAYERS + 1):
            raise ValueError(f"preview must be from 1 to {LAYERS}, not {self.preview}")

    @property
    def kinds(self) -> frozenset[str]:
        """The metadata blocks to keep."""
        return parse_kinds(self.metadata)

    @property
    def layers(self) -> int | None:
        """How many layers to read where these are not all."""
        return None if self.preview == LAYERS else self.preview


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        container: what it was made from.
        size: bytes that the source has.
        notes: remarks for people.
    """

    image: Image.Image
    container: Container
    size: int
    notes: tuple[str, ...]


def decode(segments: Segments, source: Source, options: DecodeOptions) -> Decoded:
    """Decode a file with a model.

    Raises:
        OSError, FormatError, ModelMismatch, ModelNotFound: as for `Codec.decompress`.
        ValueError: `region` is not within the picture.
    """
    layers = options.layers
    if layers is None:
        data = read_source(source)
        size = len(data)
    else:
        data, size = read_layers(source, layers, options.limits)
    container = parse(data, options.limits, allow_partial=options.allow_partial, layers=layers)
    header = container.header
    if header.bitstream_id != segments.bitstream_id:
        raise ModelMismatch(
            f"the file needs model {header.bitstream_id.hex()}, "
            f"but {segments.name!r} is {segments.bitstream_id.hex()}"
        )
    _check_region(options.region, header)
    kinds = options.kinds
    chunks = {chunk.type: chunk for chunk in container.chunks}
    # Without "icc" the profile is applied, so it is needed all the same.
    blocks = {
        block: unpack_metadata(chunks[kind], options.limits)
        for block, kind in CHUNK_TYPES.items()
        if kind in chunks and (block in kinds or block == "icc")
    }
    alpha = _alpha(container, options.region)
    pixels = segments.decode(
        container.segments,
        width=header.width,
        height=header.height,
        level=header.level,
        tile=header.tile,
        realism=options.realism,
        region=options.region,
        progress=options.progress,
    )
    image, notes = to_pil(pixels, header.gray, alpha, Metadata(**blocks), kinds)
    image.info["vqc_complete"] = container.complete
    return Decoded(image, container, size, (*container.warnings, *notes))


def checked_realism(realism: float) -> float:
    """The value as a float.

    Raises:
        ValueError: it is not from 0 to 1.
    """
    if not 0 <= realism <= 1:
        raise ValueError(f"realism must be from 0 to 1, not {realism}")
    return float(realism)


def _alpha(container: Container, region: Region | None) -> NDArray[np.uint8] | None:
    """The alpha plane (H, W) of the picture or a part of it, None where it is opaque."""
    header = container.header
    if not header.alpha:
        return None
    chunk = next(chunk for chunk in container.chunks if chunk.type == "ALPH")
    alpha = np.frombuffer(unpack_alpha(chunk, header), np.uint8).reshape(header.height, header.width)
    if region is None:
        return alpha
    x, y, width, height = region
    return alpha[y : y + height, x : x + width]


def _check_region(region: Region | None, header: Header) -> None:
    if region is None:
        return
    x, y, width, height = region
    inside = x >= 0 and y >= 0 and x + width <= header.width and y + height <= header.height
    if width <= 0 or height <= 0 or not inside:
        raise ValueError(f"region {x},{y},{width},{height} is not within {header.width}x{header.height}")
