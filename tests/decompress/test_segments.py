"""Codec with a tiny trained model: round trips, missing layers, damage, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.entropy.plain_tables import nats_from_counts
from tests.tiny import load_codec, picture
from vqcodec.compress.codeword_search import BandSearch
from vqcodec.compress.search import SCALE, TileSearch
from vqcodec.compress.source import PaddedPixels
from vqcodec.decompress import tile_decoder
from vqcodec.entropy.table_set import RowTables
from vqcodec.entropy.tables import make_powers
from vqcodec.entropy.tile_coder import LEVELS_PER_CLASS
from vqcodec.errors import CorruptData
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.model.codebook import SLOPE
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP
from vqcodec.tiling import tiles, whole

SIZES = [(1, 1), (5000, 1), (1, 300), (17, 33), (64, 64), (200, 130)]
"""Widths and heights."""


@pytest.fixture
def latents(monkeypatch):
    """The latent of each tile as the encoder leaves it, in the order of coding."""
    seen = []
    encode = TileSearch.encode

    def recorded(*args):
        segments, latent = encode(*args)
        seen.append(latent)
        return segments, latent

    monkeypatch.setattr(TileSearch, "encode", recorded)
    return seen


def place(x: np.ndarray, level: int, tile: int) -> dict[str, int]:
    """Arguments of decode for a picture."""
    return {"width": x.shape[1], "height": x.shape[0], "level": level, "tile": tile}


# -- round trips -------------------------------------------------------------------------------
@pytest.mark.parametrize("tile", [64, 128, 0])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.slow
def test_the_decoder_gets_the_encoders_latent(tiny_codec, latents, width, height, tile):
    x = picture(height, width, seed=width)
    side = tile or 10**6
    for level in (0, 97, 252):
        latents.clear()
        segments = tiny_codec.encode(x, level, tile).segments
        assert len(segments) == len(latents) == -(-width // side) * -(-height // side)
        assert all(len(layers) == 2 for layers in segments)
        assert all(len(segment) % 4 == 0 for layers in segments for segment in layers)
        where = place(x, level, tile)
        latent = tiny_codec.decoder.latent(segments, **where)
        shape = (-(-height // 16), -(-width // 16))
        assert latent.shape == (*shape, 16)
        for (rows, columns), part in zip(tiles(*shape, tile), latents, strict=True):
            assert np.array_equal(latent[rows, columns], part)
        pixels = tiny_codec.decode(segments, **where)
        assert pixels.shape == x.shape
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous


@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    level=st.integers(0, 252),
    tile=st.sampled_from([0, 64]),
    seed=st.integers(0, 99),
)
def test_any_size_and_level(tiny_codec, width, height, level, tile, seed):
    x = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    segments = tiny_codec.encode(x, level, tile).segments
    assert tiny_codec.decode(segments, **place(x, level, tile)).shape == x.shape


def test_quality_and_size_rise_with_the_level(tiny_codec):
    x = picture(128, 160, seed=3)
    sizes, quality = [], []
    for level in (0, 63, 126, 189, 252):
        segments = tiny_codec.encode(x, level, 0).segments
        sizes.append(sum(len(s) for layers in segments for s in layers))
        quality.append(psnr(x, tiny_codec.decode(segments, **place(x, level, 0))))
    assert sizes == sorted(sizes)
    assert sizes[-1] > 2 * sizes[0]
    # Sixteen of 768 coefficients bound the quality, not the level alone.
    assert max(quality[1:]) > quality[0] + 0.5
    assert quality[0] > 15


def test_encoding_twice_gives_the_same_bytes(tiny_codec):
    x = picture(70, 90)
    first, second = (tiny_codec.encode(x, 100, 64).segments for _ in range(2))
    assert first == second


def test_extreme_pictures_round_trip(tiny_codec, latents):
    """Checkers and full contrast lead to the largest residuals."""
    rows, columns = np.mgrid[0:48, 0:64]
    checkers = ((rows + columns) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, 2)
    blocks = ((rows // 16 + columns // 16) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, 2)
    for x in (checkers, blocks, blocks * 0, blocks * 0 + 255):
        latents.clear()
        segments = tiny_codec.encode(x, 252, 0).segments
        assert np.array_equal(tiny_codec.decoder.latent(segments, **place(x, 252, 0)), latents[0])


# -- the parts ---------------------------------------------------------------------------------
@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 33), (40, 31), (8, 64)])
def test_padding_mirrors_where_it_can_and_repeats_where_not(width, height):
    x = picture(height, width)
    source = PaddedPixels(x)
    padded = source.window(whole(source.shape))
    rows, columns = padded.shape[:2]
    assert (rows % 16, columns % 16) == (0, 0)
    assert rows - height < 16
    assert columns - width < 16
    for y in range(rows):
        for z in range(columns):
            up = 2 * (height - 1) - y if height > -height % 16 else height - 1
            left = 2 * (width - 1) - z if width > -width % 16 else width - 1
            source = x[y if y < height else up, z if z < width else left]
            assert np.array_equal(padded[y, z], source)


@pytest.mark.parametrize(
    ("rows", "columns", "tile"), [(1, 1, 0), (5, 9, 0), (5, 9, 64), (8, 8, 64), (9, 3, 128)]
)
def test_tiles_cover_everything_once_in_rows(rows, columns, tile):
    seen = np.zeros((rows, columns), dtype=int)
    corners = []
    for y, x in tiles(rows, columns, tile):
        seen[y, x] += 1
        corners.append((y.start, x.start))
        if tile:
            assert y.stop - y.start <= tile // 16
            assert x.stop - x.start <= tile // 16
    assert (seen == 1).all()
    assert corners == sorted(corners)


def test_the_search_finds_the_cheapest_word(tiny_codec):
    random = np.random.default_rng(0)
    for band in tiny_codec.model.coder.bands:
        search = BandSearch(band.codewords, band.tables, VALUE_STEP, 8.5)
        residual = random.normal(size=(5, 6, band.channels)).astype(np.float32) * 3
        classes = random.integers(band.classes, size=(5, 6, band.groups)).astype(np.int32)
        index = search(residual, classes)
        nats = nats_from_counts(band.tables.counts).astype(np.float64)
        for y, x, g in np.ndindex(*index.shape):
            vector = residual[y, x, g :: band.groups].astype(np.float64)
            distance = ((vector - band.codewords[g] / SCALE) ** 2).sum(1)
            cost = 8.5 * distance + nats[g * band.classes + classes[y, x, g]]
            assert cost[index[y, x, g]] <= cost.min() + 1e-3


def test_the_search_finds_the_cheapest_word_of_the_hyper_latent(tiny_codec, monkeypatch):
    coder, level = tiny_codec.model.coder, 150
    (band,) = coder.hyper_bands
    z = np.random.default_rng(1).normal(size=(2, 3, band.channels)) * 0.4
    search = TileSearch(coder, lambda y: z, greedy=True)
    seen = []
    read = band.__class__.look_up

    def watch(self, index):
        if self is band:
            seen.append(index)
        return read(self, index)

    monkeypatch.setattr(band.__class__, "look_up", watch)
    y = np.zeros((8, 12, coder.channels), dtype=np.float32)
    search.encode(y, y, level)
    nats = nats_from_counts(band.tables.counts).astype(np.float64)
    for row, column, g in np.ndindex(*seen[0].shape):
        vector = z[row, column, g :: band.groups]
        distance = ((vector - band.codewords[g] * HYPER_STEP) ** 2).sum(1)
        cost = SLOPE * distance + nats[g * band.classes + level // LEVELS_PER_CLASS]
        assert cost[seen[0][row, column, g]] <= cost.min() + 1e-3


def test_the_search_takes_the_lowest_of_equals():
    words = np.array([[[0], [32], [0], [32]]])
    tables = RowTables(np.zeros((1, 1, 4), np.uint8), (1,), make_powers())
    search = BandSearch(words, tables, 1 / 32)
    residual = np.array([0.0, 1.0, 0.5], dtype=np.float32).reshape(1, 3, 1)
    assert search(residual, np.zeros((1, 3, 1), dtype=np.int32)).ravel().tolist() == [0, 1, 0]


# -- missing layers ----------------------------------------------------------------------------
def test_missing_layers_leave_a_coarser_picture(tiny_codec):
    x = picture(100, 140, seed=2)
    level = 200
    where = place(x, level, 64)
    whole = tiny_codec.encode(x, level, 64).segments
    full = tiny_codec.decoder.latent(whole, **where)
    first = [[layers[0], None] for layers in whole]
    coarse = tiny_codec.decoder.latent(first, **where)
    assert np.array_equal(coarse[::2, ::2], full[::2, ::2])
    assert not np.array_equal(coarse, full)
    none = [[None, None] for _ in whole]
    assert not tiny_codec.decoder.latent(none, **where).any()
    # The second layer means nothing without the first.
    second = [[None, layers[1]] for layers in whole]
    assert not tiny_codec.decoder.latent(second, **where).any()
    quality = [psnr(x, tiny_codec.decode(s, **where)) for s in (none, first, whole)]
    assert quality[0] < quality[1] < quality[2]


def test_one_missing_tile_leaves_the_others(tiny_codec):
    x = picture(64, 192, seed=4)
    where = place(x, 120, 64)
    whole = tiny_codec.encode(x, 120, 64).segments
    full = tiny_codec.decoder.latent(whole, **where)
    part = tiny_codec.decoder.latent([whole[0], [None, None], whole[2]], **where)
    assert np.array_equal(part[:, :4], full[:, :4])
    assert np.array_equal(part[:, 8:], full[:, 8:])
    assert not part[:, 4:8].any()


# -- damage ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def coded(tiny_codec):
    """(segments, arguments of decode) of a picture of two tiles."""
    x = picture(50, 100, seed=5)
    return tiny_codec.encode(x, 180, 64).segments, place(x, 180, 64)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(
    "change", [lambda s: s + bytes(4), lambda s: s[:-4], lambda s: b"", lambda s: s[:-1]]
)
def test_longer_and_shorter_segments_are_corrupt(tiny_codec, coded, layer, change):
    segments, where = coded
    damaged = [list(layers) for layers in segments]
    damaged[1][layer] = change(damaged[1][layer])
    with pytest.raises(CorruptData):
        tiny_codec.decode(damaged, **where)


def test_changed_segments_are_corrupt_or_other_pictures(tiny_codec, coded):
    """Checksums are the container's work; here a flipped bit must only never fail in another way."""
    segments, where = coded
    latent = tiny_codec.decoder.latent(segments, **where)
    random = np.random.default_rng(0)
    found = 0
    for trial in range(120):
        damaged = [list(layers) for layers in segments]
        raw = bytearray(damaged[trial % 2][trial // 2 % 2])
        raw[random.integers(len(raw))] ^= 1 << random.integers(8)
        damaged[trial % 2][trial // 2 % 2] = bytes(raw)
        try:
            assert not np.array_equal(tiny_codec.decoder.latent(damaged, **where), latent)
        except CorruptData:
            found += 1
    assert found >= 60


@settings(max_examples=60, deadline=None)
@given(first=st.binary(max_size=80), second=st.binary(max_size=80), level=st.integers(0, 252))
def test_any_bytes_decode_or_are_corrupt(tiny_codec, first, second, level):
    try:
        pixels = tiny_codec.decode([[first, second]], width=40, height=25, level=level, tile=0)
    except CorruptData:
        return
    assert pixels.shape == (25, 40, 3)


def test_segments_of_another_size_level_or_tile_are_corrupt(tiny_codec, coded):
    segments, where = coded
    for change in ({"width": 101 + 16}, {"height": 66}, {"tile": 0}, {"tile": 128}):
        with pytest.raises(CorruptData):
            tiny_codec.decode(segments, **(where | change))
    for wrong in (segments[:1], [*segments, segments[0]], []):
        with pytest.raises(CorruptData, match="tiles where"):
            tiny_codec.decode(wrong, **where)


@pytest.mark.parametrize("layers", [[], [b""], [b"", b"", b""]])
def test_another_number_of_layers_is_corrupt(tiny_codec, layers):
    with pytest.raises(CorruptData, match="2 layers"):
        tiny_codec.decode([layers], width=16, height=16, level=0, tile=0)


# -- threads -----------------------------------------------------------------------------------
def test_threads_share_one_codec(tiny_weights):
    """Tables, search and transforms are built and used by several threads at once."""
    codec = load_codec(tiny_weights)
    alone = load_codec(tiny_weights)
    jobs = [(picture(60 + 5 * i, 80, seed=i), 30 * i) for i in range(8)]

    def work(codec, x, level):
        segments = codec.encode(x, level, 64).segments
        return segments, codec.decode(segments, **place(x, level, 64))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda job: work(codec, *job), jobs))
    for job, (segments, pixels) in zip(jobs, results, strict=True):
        wanted_segments, wanted_pixels = work(alone, *job)
        assert segments == wanted_segments
        assert np.array_equal(pixels, wanted_pixels)


def test_progress_counts_tiles_one_way_and_windows_the_other(tiny_codec, monkeypatch):
    codec, told = tiny_codec, []
    # At a quality that the codebooks reach: beyond, a picture is coded once more.
    pixels = picture(130, 200)
    data = codec.compress(pixels, quality=20, tile=64, progress=lambda *parts: told.append(parts))
    assert told == [(done, 12) for done in range(1, 13)]
    told.clear()
    monkeypatch.setattr(tile_decoder, "TRANSFORM_SIDE", 5)
    codec.decompress(data, progress=lambda *parts: told.append(parts))
    assert told == [(done, 6) for done in range(1, 7)]
