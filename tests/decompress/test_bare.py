"""Bare files, decoded: whole, a region, a preview, cut, with metadata and alpha, and damaged."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import vqcodec
from tests.drawings import page
from vqcodec.bitstream import parse, probe, write
from vqcodec.errors import CorruptData, Truncated

PAGE = page(120, 200)


@pytest.fixture(scope="module")
def file(codec):
    data = codec.compress(PAGE)
    assert parse(data).header.bare
    return data


def test_the_whole_a_region_and_a_preview(codec, file):
    assert np.array_equal(np.asarray(codec.decompress(file)), PAGE)
    part = codec.decompress(file, region=(31, 17, 90, 60))
    assert np.array_equal(np.asarray(part), PAGE[17:77, 31:121])
    for layers in (1, 2):
        assert np.array_equal(np.asarray(codec.decompress(file, preview=layers)), PAGE)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_mode_with_metadata(codec, mode):
    image = Image.fromarray(PAGE).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x010E] = "A page"
    image.info["exif"] = exif.tobytes()
    data = codec.compress(image, lossless=True)
    front = probe(data)
    assert front.header.bare
    assert [chunk.type for chunk in front.chunks] == ["eXIF"] + ["ALPH"] * mode.endswith("A")
    decoded = codec.decompress(data)
    assert (decoded.mode, decoded.tobytes()) == (mode, image.tobytes())
    assert decoded.getexif()[0x010E] == "A page"
    assert set(vqcodec.verify(data).metadata) == {chunk.type for chunk in front.chunks}


def test_a_cut_file_is_gray_where_that_is_allowed(codec, file):
    for cut in (file[:-1], file[: probe(file).data_offset]):
        with pytest.raises(Truncated):
            codec.decompress(cut)
        image = codec.decompress(cut, allow_partial=True)
        assert not image.info["vqc_complete"]
        assert (np.asarray(image) == 128).all()
        assert not vqcodec.probe(cut).complete


def test_image_data_that_does_not_decode_is_corrupt(codec, file):
    container = parse(file)
    data = container.drawn[0] or b""
    for bad in (data[:40], data[:5] + bytes(len(data) - 5)):
        made = write(container.header, container.segments, [], [bad])
        for call in (codec.decompress, vqcodec.verify):
            with pytest.raises(CorruptData, match=r"^drawn tile: the image data does not decode$"):
                call(made)
