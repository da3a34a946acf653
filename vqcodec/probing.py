"""What a .vqc file is, without decoding it: `probe` reads the front, `verify` checks everything. No torch."""

from __future__ import annotations

from typing import Any

from vqcodec.bitstream import Container, Probe, parse, tile_count, unpack_alpha, unpack_metadata
from vqcodec.bitstream.partial import file_size, opened, read_file, read_front
from vqcodec.bitstream.payloads import METADATA_TYPES
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
    """Check structure, all checksums and the metadata and alpha chunks' own compression; decodes no segment.

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
            unpack_alpha(chunk, container.header)
    return describe(container, len(data))


def describe(front: Probe, file_bytes: int, model: str | None = None, **more: Any) -> ImageInfo:
    """Summarise a file.

    Args:
        file_bytes: what there is of it.
        model: name of its model; if None, that of an installed model with the file's fingerprint, or else
            what the file says.
        more: `seconds` and `notes` of the `ImageInfo`.
    """
    header, parsed = front.header, front if isinstance(front, Container) else None
    said = {chunk.type: chunk.data for chunk in front.chunks}
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
        metadata={chunk.type: len(chunk.data) for chunk in front.chunks},
        level=header.level,
        tile=header.tile,
        tune=header.tune,
        version=f"{header.major}.{header.minor}",
        complete=parsed.complete if parsed else file_bytes >= front.file_bytes,
        preview_bytes=() if parsed else front.layer_ends,
        **more,
    )
