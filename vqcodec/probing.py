"""What a .vqc file is, without decoding it: `probe` reads the front, `verify` checks everything. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vqcodec.bitstream import parse, tile_count, unpack_alpha, unpack_metadata
from vqcodec.bitstream import probe as probe_bytes
from vqcodec.bitstream.partial import file_size, read_front
from vqcodec.bitstream.payloads import METADATA_TYPES
from vqcodec.files import Source, read_source
from vqcodec.types import DEFAULT_LIMITS, Chunk, Header, ImageInfo, Limits
from vqcodec.weights import zoo


def probe(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Read a file's header and metadata sizes; of a path, no more than the bytes before the coded picture.

    Raises:
        OSError: the file cannot be read.
        FormatError: not a .vqc file, damaged before the coded picture, over the limits, or too new.
    """
    if not isinstance(source, (str, os.PathLike)):
        data = read_source(source)
        front, size = probe_bytes(data, limits), len(data)
    else:
        with Path(source).open("rb") as file:
            front, prefix = read_front(file, limits)
            size = file_size(file, len(prefix))
    complete = size >= front.file_bytes
    return describe(front.header, front.chunks, size, complete=complete, preview_bytes=front.layer_ends)


def verify(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Check structure, all checksums and the metadata and alpha chunks' own compression; decodes no segment.

    Raises:
        OSError: the file cannot be read.
        FormatError: anything wrong with it.
    """
    data = read_source(source)
    container = parse(data, limits)
    for chunk in container.chunks:
        if chunk.type in METADATA_TYPES:
            unpack_metadata(chunk, limits)
        elif chunk.type == "ALPH":
            unpack_alpha(chunk, container.header)
    return describe(container.header, container.chunks, len(data))


def describe(
    header: Header,
    chunks: Sequence[Chunk],
    file_bytes: int,
    *,
    model: str | None = None,
    complete: bool = True,
    seconds: float | None = None,
    notes: tuple[str, ...] = (),
    preview_bytes: tuple[int, ...] = (),
) -> ImageInfo:
    """Summarise a file.

    Args:
        model: name of its model; if None, that of an installed model with the file's fingerprint, or else
            what the file says.
        complete, seconds, notes, preview_bytes: as in `ImageInfo`.
    """
    said = {chunk.type: chunk.data for chunk in chunks}
    if model is None:
        installed = zoo.find_by_id(header.bitstream_id)
        model = installed.name if installed else said["mODL"].decode("utf-8") if "mODL" in said else None
    return ImageInfo(
        width=header.width,
        height=header.height,
        mode=("L" if header.gray else "RGB") + ("A" if header.alpha else ""),
        quality=header.quality,
        file_bytes=file_bytes,
        bitstream_id=header.bitstream_id.hex(),
        model=model,
        decoder_id=said["dECD"].hex() if "dECD" in said else None,
        tiles=tile_count(header),
        metadata={chunk.type: len(chunk.data) for chunk in chunks},
        seconds=seconds,
        level=header.level,
        tile=header.tile,
        version=f"{header.major}.{header.minor}",
        complete=complete,
        notes=notes,
        preview_bytes=preview_bytes,
    )
