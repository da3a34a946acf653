"""The chunk of an alpha plane: the smaller of deflate and WebP, exact, and checked before it is decoded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.drawings import lossless_size
from vqcodec.bitstream import pack_alpha
from vqcodec.errors import CorruptData
from vqcodec.image import alpha as alpha_module
from vqcodec.image.alpha import BY_WEBP, alpha_chunk, alpha_plane
from vqcodec.image.transparency import plain_invisible
from vqcodec.image.webp import lossless_webp, lossy_webp
from vqcodec.types import Chunk, Header

COLOURS = ("red", "teal", "gold", "navy", "white")


def header(alpha):
    return Header(alpha.shape[1], alpha.shape[0], 0, bytes(range(8)), alpha=True)


def gray(alpha):
    return np.repeat(alpha[:, :, None], 3, 2)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_any_plane_comes_back(width, height, kind, seed):
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (height, width), dtype=np.uint8)
    rows, columns = np.indices((height, width))
    plane = (noise, noise // 128 * 255, (rows * 5 % 256), rows * columns % 256, noise * 0 + 7)[kind].astype(
        np.uint8
    )
    chunk = alpha_chunk(plane)
    assert np.array_equal(alpha_plane(chunk, header(plane)), plane)
    assert len(chunk.data) <= len(pack_alpha(plane.tobytes(), width, height).data)


def test_large_plain_planes_take_webp():
    plane = np.zeros((1000, 1000), np.uint8)
    plane[300:600, 200:700] = 255
    chunk = alpha_chunk(plane)
    assert chunk.data[0] == BY_WEBP
    assert len(chunk.data) == 1 + lossless_size(gray(plane)) - 20 < 200  # without the file's frame
    assert np.array_equal(alpha_plane(chunk, header(plane)), plane)


def test_deflated_planes_are_read_as_before():
    plane = np.arange(70, dtype=np.uint8).reshape(7, 10)
    assert np.array_equal(alpha_plane(pack_alpha(plane.tobytes(), 10, 7), header(plane)), plane)


def test_what_webp_cannot_hold_is_deflated(monkeypatch):
    assert alpha_chunk(np.zeros((1, 16_384), np.uint8)).data[0] != BY_WEBP
    monkeypatch.setattr(alpha_module, "MOST_PIXELS", 99)
    assert alpha_chunk(np.zeros((10, 10), np.uint8)).data[0] != BY_WEBP


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plane: b"", "no image data of WebP"),
        (lambda plane: lossless_webp(gray(plane))[:-9], "chunk 'ALPH'"),
        (lambda plane: lossless_webp(gray(plane)[1:]), "the image data is of 20x29 pixels"),
        (lambda plane: lossless_webp(gray(plane), plane > 99), "transparent pixels"),
        (lambda plane: lossy_webp(gray(plane), 90), "not lossless"),
        (
            lambda plane: lossless_webp(gray(plane))[:20] + bytes(len(lossless_webp(gray(plane))) - 20),
            "chunk 'ALPH'",
        ),
    ],
)
def test_damaged_files(change, message):
    plane = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)
    with pytest.raises(CorruptData, match=message) as error:
        alpha_plane(Chunk("ALPH", bytes((BY_WEBP,)) + change(plane)), header(plane))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("quality", [50, None])
def test_icons_with_alpha_are_hardly_larger_than_lossless_webp(tiny_codec, quality):
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((200, 30, 40, 255), (100, 80, 250, 300))
    options = {"lossless": True} if quality is None else {"quality": quality}
    data = tiny_codec.compress(image, **options)
    assert len(data) < 300
    assert tiny_codec.decompress(data).getchannel("A").tobytes() == image.getchannel("A").tobytes()
    part = tiny_codec.decompress(data, region=(90, 70, 30, 40)).getchannel("A")
    assert part.tobytes() == image.getchannel("A").crop((90, 70, 120, 110)).tobytes()


@pytest.mark.parametrize("quality", [50, 100, None])
def test_what_is_invisible_costs_nothing_around_a_drawing(tiny_codec, quality):
    """As in lossless WebP, which leaves out its colours; only the alpha plane comes on top."""
    image = Image.new("RGBA", (150, 120))
    draw = ImageDraw.Draw(image)
    for number in range(12):
        draw.ellipse((9 * number, 7 * number, 9 * number + 40, 7 * number + 30), COLOURS[number % 5], "black")
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True)
    options = {"lossless": True} if quality is None else {"quality": quality}
    data = tiny_codec.compress(image, **options)
    alpha = alpha_chunk(np.asarray(image.getchannel("A")))
    assert len(data) <= len(file.getvalue()) + len(alpha.data) + 60
    back, seen = np.asarray(tiny_codec.decompress(data)), np.asarray(image)
    assert np.array_equal(back[seen[:, :, 3] > 0], seen[seen[:, :, 3] > 0])


def test_one_colour_for_what_is_invisible():
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[:2], pixels[2], alpha = (9, 8, 7), (1, 2, 3), np.full((4, 5), 200, np.uint8)
    alpha[3] = 0
    result = plain_invisible(pixels, alpha)
    assert (result[3] == (9, 8, 7)).all()
    assert np.array_equal(result[:3], pixels[:3])
    assert not plain_invisible(pixels, np.zeros((4, 5), np.uint8)).any()
