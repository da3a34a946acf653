"""What a .vqc file is, without decoding it: `probe` reads the front, `verify` checks everything. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from vqcodec.bitstream import parse, tile_count, unpack_alpha, unpack_metadata
from vqcodec.bitstream import probe as probe_bytes
from vqcodec.bitstream.container import Probe
from vqcodec.bitstream.payloads import METADATA_TYPES
from vqcodec.errors import Truncated
from vqcodec.files import Source, read_source
from vqcodec.types import DEFAULT_LIMITS, Chunk, Header, ImageInfo, Limits
from vqcodec.weights import zoo

_FIRST_READ = 4096


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
            size = _size(file, len(prefix))
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


def read_front(file: IO[bytes], limits: Limits = DEFAULT_LIMITS) -> tuple[Probe, bytes]:
    """Read all that stands before the coded picture from a file's position on, and little more.

    Returns:
        It, and the bytes that were read.

    Raises:
        OSError, FormatError: as for `probe`.
    """
    prefix = file.read(_FIRST_READ)
    while True:
        try:
            return probe_bytes(prefix, limits), prefix
        except Truncated:
            # Metadata or a long table of contents: look further, in growing steps, until the file ends.
            more = file.read(7 * len(prefix))
            if not more:
                raise
            prefix += more


def read_layers(source: Source, layers: int, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, int]:
    """The beginning of a file that holds its first `layers` layers; of a path or file, little more is read.

    Returns:
        It, or what there is of it; and the size of the whole source in bytes.

    Raises:
        OSError, FormatError: as for `probe`.
    """
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            return read_layers(file, layers, limits)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), len(source)
    front, data = read_front(source, limits)
    data += source.read(max(0, front.layer_ends[layers - 1] - len(data)))
    return data, _size(source, len(data))


def _size(file: IO[bytes], read: int) -> int:
    """Bytes of a file of which `read` have been read; what is left of a pipe is counted."""
    if not file.seekable():
        return read + len(file.read())
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return read + end - here
