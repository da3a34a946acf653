"""Work without a codec, for the parts around it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vqcodec.errors import UnsupportedImage
from vqcodec.types import ImageInfo


def turn_round(data: bytes) -> tuple[bytes, ImageInfo]:
    """Bytes from last to first, in place of a codec; some of them are no pictures, or worse."""
    if data == b"bad":
        raise UnsupportedImage("no picture")
    if data == b"bug":
        raise TypeError("a bug")
    if data == b"deadly":
        os._exit(9)
    return data[::-1], ImageInfo(4, 2, "RGB", 50.0, len(data), "0123456789abcdef", level=120)


@pytest.fixture
def tar(tmp_path: Path) -> Callable[[str, dict[str, bytes]], Path]:
    """Writes a tar file of these members."""

    def write(name: str, members: dict[str, bytes]) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w") as file:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture
def small_vqc() -> bytes:
    """A .vqc file."""
    return (Path(__file__).parents[1] / "golden/dot.vqc").read_bytes()
