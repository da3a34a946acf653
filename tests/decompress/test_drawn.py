"""Pictures with a drawn layer: whole, in part, from a prefix, with any model, and damaged."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import vqcodec
from tests.bitstream.test_drawn import webp
from tests.drawings import mixed, page
from tests.tiny import load_codec
from vqcodec.bitstream import parse, probe, write
from vqcodec.bitstream.drawn import NO_MODEL, pad_drawn, without_frame
from vqcodec.decompress.drawn_grid import DrawnGrid
from vqcodec.errors import CorruptData, ModelMismatch, Truncated
from vqcodec.types import Header


@pytest.fixture(scope="module")
def pixels():
    return mixed()[0]


@pytest.fixture(scope="module")
def drawn():
    return mixed()[1]


@pytest.fixture(scope="module")
def file(tiny_codec, pixels):
    """Text beside a photograph in 3 x 3 tiles, the last column of text alone."""
    data = tiny_codec.compress(pixels, tile=64)
    assert parse(data).header.drawn
    assert probe(data).header.bitstream_id != NO_MODEL
    return data


@pytest.fixture(scope="module")
def text(tiny_codec):
    return tiny_codec.compress(page(128, 192), tile=64)


@pytest.mark.parametrize(
    "region", [(0, 0, 192, 160), (90, 10, 12, 140), (100, 70, 90, 60), (191, 159, 1, 1), (3, 4, 50, 60)]
)
def test_regions_are_cut_from_the_whole(tiny_codec, file, pixels, drawn, region):
    x, y, width, height = region
    whole = np.asarray(tiny_codec.decompress(file))
    assert np.array_equal(whole[drawn], pixels[drawn])
    part = np.asarray(tiny_codec.decompress(file, region=region))
    assert np.array_equal(part, whole[y : y + height, x : x + width])


def test_regions_of_text_alone(codec, text):
    part = codec.decompress(text, region=(60, 30, 100, 90))
    assert np.array_equal(np.asarray(part), page(128, 192)[30:120, 60:160])


def test_a_preview_has_the_text(tiny_codec, file, pixels, drawn):
    end = probe(file).layer_ends[0]
    for data in (file, file[:end]):
        coarse = np.asarray(tiny_codec.decompress(data, preview=1))
        assert np.array_equal(coarse[drawn], pixels[drawn])
    assert not np.array_equal(coarse, np.asarray(tiny_codec.decompress(file)))
    with pytest.raises(Truncated):
        tiny_codec.decompress(file[: end - 1], preview=1)
    assert vqcodec.probe(file).preview_bytes[0] == end


def test_realism_leaves_text_alone(real_weights, file, pixels, drawn):
    codec = load_codec(real_weights)
    looks = np.asarray(codec.decompress(file, realism=1))
    assert np.array_equal(looks[drawn], pixels[drawn])
    assert not np.array_equal(looks, np.asarray(codec.decompress(file)))


def test_a_cut_file_shows_what_arrived(tiny_codec, file, pixels, drawn):
    front, lengths = probe(file).data_offset, probe(file).drawn_lengths
    with pytest.raises(Truncated):
        tiny_codec.decompress(file[:-1])
    end = front + sum(lengths) + 4 * len(lengths)
    image = tiny_codec.decompress(file[:end], allow_partial=True)
    assert not image.info["vqc_complete"]
    assert np.array_equal(np.asarray(image)[drawn], pixels[drawn])
    tiny_codec.decompress(file[:front], allow_partial=True)


def test_missing_tiles_of_text_are_gray(codec, text):
    front, lengths = probe(text).data_offset, probe(text).drawn_lengths
    cut = front + sum(lengths[:4]) + 4 * 4
    part = np.asarray(codec.decompress(text[:cut], allow_partial=True))
    expected = page(128, 192).copy()
    expected[64:, 64:] = 128
    assert np.array_equal(part, expected)


def test_missing_tiles_of_text_beside_networks_are_gray(tiny_codec):
    whole = [False, True]
    grid = DrawnGrid([b"", None], whole, width=128, height=64, tile=64)
    place = slice(0, 64), slice(0, 128)
    shown = grid.paste(place, np.zeros((64, 128, 3), np.uint8))
    assert (shown[:, :64] == 0).all()
    assert (shown[:, 64:] == 128).all()


def test_passed_tiles_are_dropped():
    segments = [pad_drawn(webp())] * 6
    grid = DrawnGrid(segments, [True] * 6, width=128, height=192, tile=64)
    empty = np.zeros((64, 128, 3), np.uint8)
    for top in (0, 64, 128):
        grid.paste((slice(top, top + 64), slice(0, 128)), empty)
        assert len(grid._decoded) == 2
    assert not grid._waiting


def test_networks_do_not_run_where_all_is_drawn(tiny_codec, monkeypatch, text):
    wide = np.hstack([mixed()[0], np.tile(page(160, 192), (1, 8, 1))])
    data = tiny_codec.compress(wide, tile=64)
    seen = []
    g_s = tiny_codec.model.g_s

    def watched(latent, level, window):
        seen.append(latent.shape)
        return g_s(latent, level, window)

    monkeypatch.setattr(tiny_codec.decoder._blends, "at", lambda realism: watched)
    decoded = np.asarray(tiny_codec.decompress(data))
    assert np.array_equal(decoded[:, 192:], wide[:, 192:])
    assert len(seen) == 1
    tiny_codec.decompress(data, region=(1000, 0, 300, 160))
    assert len(seen) == 1
    tiny_codec.decompress(text)
    assert len(seen) == 1


def test_any_model_decodes_what_needs_none(codec, other_codec, tiny_codec, text, file):
    for reader in (codec, other_codec, tiny_codec):
        assert np.array_equal(np.asarray(reader.decompress(text)), page(128, 192))
    # Not even one with a decoder for looks is needed for realism.
    assert np.array_equal(np.asarray(codec.decompress(text, realism=1)), page(128, 192))
    with pytest.raises(ModelMismatch):
        other_codec.decompress(file)


def test_gray_and_alpha(tiny_codec):
    gray = Image.fromarray(mixed()[0]).convert("L")
    decoded = tiny_codec.decompress(tiny_codec.compress(gray))
    assert decoded.mode == "L"
    text = mixed()[1]
    assert np.array_equal(np.asarray(decoded)[text], np.asarray(gray)[text])
    rgba = Image.fromarray(page())
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    assert tiny_codec.decompress(tiny_codec.compress(rgba)).tobytes() == rgba.tobytes()


def half_transparent() -> bytes:
    """Lossless image data in which pixels are neither opaque nor transparent."""
    pixels = np.full((64, 64, 4), 128, np.uint8)
    saved = io.BytesIO()
    Image.fromarray(pixels).save(saved, "WEBP", lossless=True)
    return without_frame(saved.getvalue())


@pytest.mark.parametrize("kind", ["half transparent", "damaged"])
def test_what_does_not_decode_is_corrupt(tiny_codec, kind):
    header = Header(64, 64, 126, bytes.fromhex(tiny_codec.bitstream_id), tile=64, drawn=True)
    base = parse(tiny_codec.compress(mixed()[0][:64, :64], tile=64, drawn=False))
    data = half_transparent()
    if kind == "damaged":
        good = webp()
        data = good[:5] + bytes(len(good) - 5 - 2) + good[-2:]
    made = write(replace(header, level=base.header.level), base.segments, [], [pad_drawn(data)])
    parse(made)
    for call in (tiny_codec.decompress, vqcodec.verify):
        with pytest.raises(CorruptData, match=r"^drawn tile: "):
            call(made)
