"""What a .vqc file is, without a model: `probe` reads the front, `verify` checks everything. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vqcodec.bitstream import Container, Probe, parse, tile_count, unpack_metadata
from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.bitstream.header import tile_sizes
from vqcodec.bitstream.partial import file_size, opened, read_file, read_front
from vqcodec.bitstream.payloads import METADATA_TYPES, well_known
from vqcodec.files import Source
from vqcodec.types import DEFAULT_LIMITS, ImageInfo, Limits
from vqcodec.weights import zoo


def probe(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Read a file's header and metadata sizes; of a path, no more than the bytes before the coded picture.

    Raises:
        OSError: the file cannot be read.
        FormatError: not a .vqc file, damaged before the coded picture, over the limits, or too new.
    """
    with opened(source) as file:
        front, prefix = read_front(file, limits)
        return describe(front, file_size(file, len(prefix)))


def verify(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Check structure, all checksums, and what needs no model: metadata, alpha and the drawn layer.

    Raises:
        OSError: the file cannot be read.
        FormatError: anything wrong with it.
    """
    data = read_file(source, limits)
    container = parse(data, limits)
    for chunk in container.chunks:
        if chunk.type in METADATA_TYPES:
            unpack_metadata(chunk, limits)
        elif chunk.type == "ALPH":
            from vqcodec.image.alpha import alpha_plane  # noqa: PLC0415  most files have none

            alpha_plane(chunk, container.header)
    return describe(container, len(data), drawn_share=share_of(container, container.drawn))


def share_of(front: Probe, drawn: Sequence[bytes | None]) -> float:
    """Share of a picture's pixels that the segments of its drawn layer hold, 0 to 1; decodes them all.

    Raises:
        CorruptData: one does not decode.
    """
    covered = 0.0
    for (width, height), segment in zip(tile_sizes(front.header), drawn, strict=False):
        if segment:
            from vqcodec.image.webp import read_webp  # noqa: PLC0415  most files have none

            mask = read_webp(segment)[1]
            covered += width * height if mask is None else float(mask.sum())
    return covered / (front.header.width * front.header.height)


def _share_of_front(front: Probe) -> float | None:
    """The same, as far as a table of contents tells: None if a tile is drawn in part."""
    covered = 0
    sizes = zip(tile_sizes(front.header), front.drawn_lengths, front.drawn_whole, strict=False)
    for (width, height), length, whole in sizes:
        if length and not whole:
            return None
        covered += width * height if length else 0
    return covered / (front.header.width * front.header.height)


def describe(front: Probe, file_bytes: int, model: str | None = None, **more: Any) -> ImageInfo:
    """Summarise a file.

    Args:
        file_bytes: what there is of it.
        model: name of its model; if None, that of an installed model with the file's fingerprint, or else
            what the file says.
        more: `seconds`, `notes` and `drawn_share` of the `ImageInfo`.
    """
    header, parsed = front.header, front if isinstance(front, Container) else None
    said = {chunk.type: chunk.data for chunk in front.chunks}
    if header.bitstream_id == NO_MODEL:
        model = None
    elif model is None:
        installed = zoo.find_by_id(header.bitstream_id)
        model = installed.name if installed else said["mODL"].decode("utf-8") if "mODL" in said else None
    return ImageInfo(
        width=header.width,
        height=header.height,
        mode=("L" if header.gray and not header.neutral else "RGB") + ("A" if header.alpha else ""),
        quality=header.quality,
        file_bytes=file_bytes,
        bitstream_id=header.bitstream_id.hex(),
        model=model,
        decoder_id=said["dECD"].hex() if "dECD" in said else None,
        tiles=tile_count(header),
        metadata={chunk.type: len(chunk.data) for chunk in front.chunks},
        level=header.level,
        tile=header.tile,
        tune=header.tune,
        profile=next(filter(None, map(well_known, front.chunks)), None),
        version=f"{header.major}.{header.minor}",
        complete=parsed.complete if parsed else file_bytes >= front.file_bytes,
        preview_bytes=() if parsed else front.layer_ends,
        **{
            "drawn_bytes": sum(front.drawn_lengths),
            "drawn_share": _share_of_front(front) if header.drawn else 0.0,
            **more,
        },
    )
