"""A .vqc file -> a picture.

source --read--> bytes --parse--> Container --layered--> pixels --to_pil--> image
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from vqcodec.bitstream import parse, unpack_metadata
from vqcodec.bitstream.container import Container
from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.bitstream.header import LAYERS
from vqcodec.bitstream.partial import read_file, read_layers
from vqcodec.decompress.layering import layered
from vqcodec.errors import ModelMismatch, UnsuitableOption
from vqcodec.files import Source
from vqcodec.image.alpha import alpha_plane
from vqcodec.image.assembling import to_pil
from vqcodec.image.metadata import CHUNK_TYPES, Metadata, parse_kinds
from vqcodec.types import DEFAULT_LIMITS, Limits, Region, TileProgress, check_kind

if TYPE_CHECKING:
    from vqcodec.decompress.tile_decoder import TileDecoder


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


def decode(
    decoder_of: Callable[[str], TileDecoder],
    source: Source,
    *,
    metadata: str | Iterable[str] = "all",
    allow_partial: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    realism: float = 0.0,
    region: Region | None = None,
    preview: int | None = None,
    progress: TileProgress | None = None,
) -> Decoded:
    """Decode a file with a model, whose decoder of a tune `decoder_of` gives.

    Other arguments and errors are those of `Codec.decompress`.
    """
    kinds, realism = parse_kinds(metadata), checked_realism(realism)
    check_kind("limits", limits, Limits, "vqcodec.Limits")
    if region is not None:
        region = checked_region(region)
    if preview is not None:
        check_kind("preview", preview, numbers.Integral, "whole number")
        if preview not in range(1, LAYERS + 1):
            raise ValueError(f"preview must be from 1 to {LAYERS}, not {preview}")
    layers = None if preview == LAYERS else preview
    if layers is None:
        data = read_file(source, limits)
        size = len(data)
    else:
        data, size = read_layers(source, layers, limits)
    container = parse(data, limits, allow_partial=allow_partial, layers=layers)
    header = container.header
    decoder = None if header.drawn and header.bitstream_id == NO_MODEL else decoder_of(header.tune)
    if decoder is not None and header.bitstream_id != decoder.model.bitstream_id:
        raise ModelMismatch(
            f"the file needs model {header.bitstream_id.hex()}, "
            f"but {decoder.model.name!r} is {decoder.model.bitstream_id.hex()}"
        )
    x, y, width, height = region or (0, 0, header.width, header.height)
    inside = x >= 0 and y >= 0 and x + width <= header.width and y + height <= header.height
    if width <= 0 or height <= 0 or not inside:
        raise UnsuitableOption(
            f"region {x},{y},{width},{height} is not within {header.width}x{header.height}"
        )
    chunks = {chunk.type: chunk for chunk in container.chunks}
    # Without "icc" the profile is applied, so it is needed all the same.
    blocks = {
        block: unpack_metadata(chunks[kind], limits)
        for block, kind in CHUNK_TYPES.items()
        if kind in chunks and (block in kinds or block == "icc")
    }
    alpha = None
    if header.alpha:
        alpha = alpha_plane(chunks["ALPH"], header)[y : y + height, x : x + width]
    parts = layered(
        decoder,
        header,
        container.segments,
        container.drawn,
        container.drawn_whole,
        realism=realism,
        region=region,
        progress=progress,
    )
    size_out = (width, height)
    image, notes = to_pil(parts, size_out, header.gray, alpha, Metadata(**blocks), kinds, header.neutral)
    image.info["vqc_complete"] = container.complete
    return Decoded(image, container, size, (*container.warnings, *notes))


def checked_realism(realism: float) -> float:
    """The value as a float.

    Raises:
        TypeError: it is no number.
        ValueError: it is not from 0 to 1.
    """
    check_kind("realism", realism, numbers.Real, "number")
    if not 0 <= realism <= 1:
        raise ValueError(f"realism must be from 0 to 1, not {realism}")
    return float(realism)


def checked_region(region: Region) -> Region:
    """The same in Python's own integers, which do not overflow.

    Raises:
        TypeError: it is not made of whole numbers.
        ValueError: it has not four.
    """
    what = "region must be four whole numbers, x, y, width and height"
    try:
        values = [operator.index(number) for number in region]
    except TypeError as error:
        raise TypeError(f"{what}, not {region!r}") from error
    if len(values) != 4:
        raise ValueError(f"{what}, not {region!r}")
    x, y, width, height = values
    return x, y, width, height
