"""Pillow and .vqc files that are damaged, cut or too large."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

from vqcodec import loading, pillow_plugin
from vqcodec.bitstream import parse, write
from vqcodec.types import Chunk


def test_accept_by_magic_only(plugin, tmp_path, photo):
    path = tmp_path / "named.vqc"
    path.write_bytes(photo.read_bytes())
    with Image.open(path) as image:
        assert image.format == "PNG"
    for data in (b"", b"\x89VQ", b"\x89VQC", b"\x89VQC" + bytes(60)):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data))
    with pytest.raises(SyntaxError):
        pillow_plugin.VqcImageFile(io.BytesIO(photo.read_bytes()))


def test_the_reason_for_refusing_a_file_is_in_the_error(plugin, codec, pixels, tmp_path):
    data = bytearray(codec.compress(pixels))
    data[4] = 9
    with pytest.raises(UnidentifiedImageError, match="major version"):
        Image.open(io.BytesIO(data))
    container = parse(codec.compress(pixels))
    damaged = write(container.header, container.segments, [Chunk("xMPd", b"\x01not deflate")])
    with pytest.raises(UnidentifiedImageError, match="xMPd"):
        Image.open(io.BytesIO(damaged))


def test_verify_finds_damage_without_a_model(plugin, codec, pixels, tmp_path, monkeypatch):
    path = tmp_path / "a.vqc"
    path.write_bytes(codec.compress(pixels))
    monkeypatch.setattr(loading, "load", None)  # verifying needs no model
    image = Image.open(path)
    image.verify()
    assert image.fp is None
    with pytest.raises(RuntimeError, match="directly after open"):
        image.verify()
    for data in (path.read_bytes()[:-1], path.read_bytes()[:-9] + b"damage!!!"):
        path.write_bytes(data)
        with pytest.raises(OSError, match=r"truncated|checksum"):
            Image.open(path).verify()


def test_cut_files_decode_only_if_truncated_images_are_allowed(plugin, codec, pixels, monkeypatch):
    data = codec.compress(pixels, quality=60, tile=64)
    cut = Image.open(io.BytesIO(data[:-1]))
    assert not cut.info["vqc_complete"]
    with pytest.raises(OSError, match="image file is truncated"):
        cut.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    found = np.asarray(Image.open(io.BytesIO(data[:-1])))
    assert np.array_equal(found, np.asarray(codec.decompress(data[:-1], allow_partial=True)))
    damaged = bytearray(data)
    damaged[-9] ^= 1
    with pytest.raises(OSError, match="wrong checksum"):
        Image.open(io.BytesIO(damaged)).load()


def test_headers_over_the_limits_raise_decompression_bomb_error(plugin, codec, pixels, monkeypatch):
    data = codec.compress(pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 72 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    # The codec's own bounds hold even where Pillow's guard is off.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    Image.open(io.BytesIO(data)).load()
    start = data[:16] + struct.pack("<3B3B", 0xC0, 0x9A, 0x0C, 0xC0, 0x9A, 0x0C)  # 200000x200000
    with pytest.raises(Image.DecompressionBombError, match="side limit"):
        Image.open(io.BytesIO(start + bytes(60)))


def test_file_changed_after_opening(plugin, codec, pixels):
    file = io.BytesIO(codec.compress(pixels))
    image = Image.open(file)
    file.seek(0)
    file.write(codec.compress(pixels[:24]))
    file.truncate()
    with pytest.raises(OSError, match="changed after it was opened"):
        image.load()
