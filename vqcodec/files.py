"""Reading sources and writing results: a file appears complete under its name, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO, TypeAlias

PathLike: TypeAlias = "str | os.PathLike[str]"
Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"


def read_source(source: Source) -> bytes:
    """All bytes of a path, a bytes-like object or a binary file object (from its position on).

    Raises:
        OSError: the file cannot be read.
        TypeError: the source is none of the three.
    """
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if hasattr(source, "read"):
        data = source.read()
        if isinstance(data, bytes):
            return data
    raise TypeError(f"expected a path, bytes or a binary file object, not {type(source).__name__}")


def write_atomic(path: PathLike, data: bytes) -> None:
    """Write a file completely, or leave what was there. Links are followed.

    Anything that is not a regular file (a pipe, /dev/null) is written in place: replacing it would turn a
    device into a file.

    Raises:
        OSError: the directory or file cannot be written.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    target = target.resolve()
    temporary = target.parent / f".{secrets.token_hex(8)}.vqcodec.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(target)
    except BaseException:  # also Ctrl-C: no half-written file may stay
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def same_file(first: PathLike, second: PathLike) -> bool:
    """Whether both paths exist and name one file."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False
