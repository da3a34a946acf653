"""Reading no more of a file than is needed: what stands before the coded picture, and its first layers."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import IO

from vqcodec.bitstream.container import Probe, probe
from vqcodec.bitstream.fields import where
from vqcodec.errors import CorruptData, Truncated
from vqcodec.files import Source, read_source
from vqcodec.types import DEFAULT_LIMITS, Limits

_FIRST_READ = 4096
_MOST_READ = 1 << 24
"""Bytes at a time, so that memory is taken for what comes, not for what is announced."""


def opened(source: Source) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A source as a file: of a path, it is closed at the end of the `with` block.

    Raises:
        OSError: the file cannot be opened.
        TypeError: the source is no path, bytes-like or binary file object.
    """
    if isinstance(source, (str, os.PathLike)):
        return Path(source).open("rb")
    if isinstance(source, (bytes, bytearray, memoryview)) or not hasattr(source, "read"):
        return io.BytesIO(read_source(source))
    return contextlib.nullcontext(source)


def read_front(file: IO[bytes], limits: Limits = DEFAULT_LIMITS) -> tuple[Probe, bytes]:
    """Read all that stands before the coded picture from a file's position on, and little more.

    Returns:
        It, and the bytes that were read.

    Raises:
        OSError: the file cannot be read.
        FormatError: not a .vqc file, damaged before the coded picture, over the limits, or too new.
    """
    prefix = file.read(_FIRST_READ)
    while True:
        try:
            return probe(prefix, limits), prefix
        except Truncated:
            # Metadata or a long table of contents: look further, in growing steps, until the file ends.
            if not (more := file.read(7 * len(prefix))):
                raise
            prefix += more


def read_layers(source: Source, layers: int, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, int]:
    """The beginning of a file that holds its first `layers` layers; of a path or file, little more is read.

    Returns:
        It, or what there is of it; and the size of the whole source in bytes.

    Raises:
        OSError, FormatError: as for `read_front`.
    """
    with opened(source) as file:
        front, data = read_front(file, limits)
        # Pipes and unbuffered files may give less than was asked for.
        while (left := front.layer_ends[layers - 1] - len(data)) > 0 and (more := file.read(left)):
            data += more
        return data, file_size(file, len(data))


def read_file(source: Source, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """All bytes of a source, which are looked at before many are read: no file is, however large, read whole
    that is none of ours or goes on behind its end.

    Raises:
        CorruptData: bytes follow the end that the table of contents tells.
        OSError, FormatError: as for `read_front`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_source(source)
    with opened(source) as file:
        front, data = read_front(file, limits)
        end = front.file_bytes
        # Pipes and unbuffered files may give less than was asked for.
        while (left := end + 1 - len(data)) > 0 and (more := file.read(min(left, _MOST_READ))):
            data += more
        if len(data) > end:
            size = file_size(file, len(data)) if file.seekable() else len(data)
            raise CorruptData(where("end of file", end, f"{size - end} more bytes follow"))
        return data


def file_size(file: IO[bytes], read: int) -> int:
    """Bytes of a file of which `read` have been read; what is left of a pipe is read and counted."""
    if not file.seekable():
        return read + len(file.read())
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return read + end - here
