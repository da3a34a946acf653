"""The decoder made from FORMAT.md alone reads what the codec writes: equal integers, equal pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from tests import make_golden
from tests.entropy import reference_decoder as reference
from tests.entropy.reference_synthesis import synthesise
from tests.tiny import (
    load_codec,
    open_restoration_,
    picture,
    random_prior_,
    tiny_model,
    write_tiny,
)
from vqcodec.bitstream import parse, write
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentWriter
from vqcodec.entropy.table_set import TableSet
from vqcodec.entropy.tile_coder import LatentCoder
from vqcodec.errors import CorruptData
from vqcodec.types import Header

pytestmark = pytest.mark.slow  # plain Python; the golden files are the quick check

PAGE = files("vqcodec.bitstream").joinpath("FORMAT.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PICTURES = [
    (100, 150, 126, 0),
    (130, 161, 60, 64),
    (81, 17, 252, 0),
    (64, 96, 0, 64),
    (33, 47, 15, 0),
    (16, 16, 200, 0),
    (1, 40, 16, 64),
]
"""height, width, level, tile: latents with odd and even sides, down to one position."""


@dataclass
class Both:
    codec: Codec
    model: reference.Model
    path: Path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    model = tiny_model()
    random_prior_(model, seed=1, spread=0.3)
    open_restoration_(model, seed=2, spread=0.2)
    write_tiny(path, model)
    return Both(load_codec(path), reference.Model(path), path)


def coded(both: Both, height: int, width: int, level: int, tile: int) -> list[list[bytes]]:
    pixels = picture(height, width, seed=level)
    return both.codec.encode(pixels, level, tile).segments


@pytest.mark.parametrize("tune", [0, 1])
def test_same_latent_and_pixels_at_each_tune_of_a_model_with_two(tune: int, two_tunes_weights: Path):
    codec = load_codec(two_tunes_weights).tuned(("eyes", "psnr")[tune])
    pixels = picture(70, 90, seed=3)
    where: dict[str, Any] = {"width": 90, "height": 70, "level": 140, "tile": 64}
    segments = codec.encode(pixels, 140, 64).segments
    model = reference.Model(two_tunes_weights, tune)
    latent = reference.decode_latent(model, segments, **where)
    assert np.array_equal(synthesise(model, latent, 90, 70, 140), codec.decode(segments, **where))
    with pytest.raises(reference.Refused):
        reference.decode_latent(reference.Model(two_tunes_weights, 1 - tune), segments, **where)


def ours(both: Both, segments: Sequence[Sequence[bytes | None]], **where: int) -> np.ndarray:
    return both.codec.decoder.latent(segments, **where).transpose(2, 0, 1)


@pytest.mark.parametrize(("height", "width", "level", "tile"), PICTURES)
def test_same_latent_and_pixels_from_a_file(both: Both, height: int, width: int, level: int, tile: int):
    header = Header(width, height, level, both.codec.model.bitstream_id, tile=tile)
    file = parse(write(header, coded(both, height, width, level, tile)))
    where: dict[str, Any] = {"width": width, "height": height, "level": level, "tile": tile}
    latent = reference.decode_latent(both.model, file.segments, **where)
    assert latent.any()
    assert (latent == ours(both, file.segments, **where)).all()
    pixels = synthesise(both.model, latent, width, height, level)
    assert np.array_equal(pixels, both.codec.decode(file.segments, **where))


@pytest.mark.parametrize("name", make_golden.PICTURES)
def test_same_latent_from_the_golden_files(name: str):
    model = reference.Model(GOLDEN / make_golden.WEIGHTS)
    file = parse((GOLDEN / f"{name}.vqc").read_bytes())
    size = file.header.width, file.header.height, file.header.level, file.header.tile
    latent = reference.decode_latent(model, file.segments, *size)
    assert np.array_equal(latent.transpose(1, 2, 0), np.load(GOLDEN / f"{name}.latent.npy"))


def test_latents_are_clamped(both: Both, tmp_path: Path):
    """Codewords as large as the format allows, on top of means that are not 0."""
    words = both.model["y.words.0"]
    extreme = np.where(np.arange(words.size).reshape(words.shape) % 2, 131071, -131071).astype(np.int32)
    with safe_open(both.path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    path = tmp_path / "extreme.safetensors"
    save_file(tensors | {"coding.y.words.0": extreme}, path, metadata=both.model.notes)
    model = reference.Model(path)
    coder = LatentCoder({n.removeprefix("coding."): t for n, t in model.tensors.items() if "coding." in n})
    random, level, parts, beyond = np.random.default_rng(0), 126, [], 0
    z_index = [random.integers(len(b.codewords[0]), size=(2, 2, b.groups)) for b in coder.hyper_bands]
    walk = coder.walk(z_index, (6, 7), level)
    for part, mean in walk:
        bands, sides = coder.bands[part.piece.bands], part.classes.shape[:2]
        part.index = [random.integers(len(b.codewords[0]), size=(*sides, b.groups)) for b in bands]
        for n, band in enumerate(bands):
            only = band.certain(part.classes[:, :, band.within(part.piece)[1]])
            part.index[n] = np.where(only < 0, part.index[n], only)
        if part.piece.bands.start == 0:
            beyond += (np.abs(mean[:, :, :4] + bands[0].look_up(part.index[0])) > 131071).sum()
        parts.append(part)
    assert beyond > 20
    offsets = [np.full(band.groups, coder.offsets.zero) for band in coder.bands]
    segments = coder.write(z_index, offsets, parts, level)
    assert np.array_equal(coder.decode(segments, (6, 7), level), walk.latent)
    assert np.array_equal(reference.Tile(model, 6, 7, level).decode(segments).transpose(1, 2, 0), walk.latent)
    assert (walk.latent.min(), walk.latent.max()) == (-131071, 131071)


def test_many_classes_were_met(both: Both):
    both.model.tables.clear()
    reference.decode_latent(both.model, coded(both, 100, 150, 126, 0), 150, 100, 126, 0)
    assert len({context for kind, _, _, context in both.model.tables if kind == "y"}) > 12


def test_missing_segments(both: Both):
    where = {"width": 150, "height": 100, "level": 90, "tile": 64}
    segments: list[list[bytes | None]] = [list(layers) for layers in coded(both, 100, 150, 90, 64)]
    segments[1][1] = None
    segments[2][0] = None
    segments[3] = [None, None]
    latent = reference.decode_latent(both.model, segments, **where)
    assert (latent == ours(both, segments, **where)).all()
    assert not latent[:, 4:, :4].any()
    assert latent[:, :4, 4:8].any()


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("change", ["cut", "append", "flip"])
def test_both_refuse_the_same_damage(both: Both, layer: int, change: str):
    where = {"width": 100, "height": 60, "level": 126, "tile": 0}
    ((*layers,),) = coded(both, 60, 100, 126, 0)
    good = layers[layer]
    layers[layer] = {"cut": good[:-4], "append": good + bytes(4), "flip": good[:-1] + bytes([good[-1] ^ 1])}[
        change
    ]
    with pytest.raises(CorruptData):
        ours(both, [layers], **where)
    with pytest.raises(reference.Refused):
        reference.decode_latent(both.model, [layers], **where)


def test_fingerprints(both: Both):
    assert both.model.fingerprint("coding.") == both.codec.bitstream_id == both.model.notes["bitstream_id"]
    decoder_id = both.model.fingerprint("g_s.", "log_gain")
    assert decoder_id == both.codec.decoder_id == both.model.notes["decoder_id"]


def rows_of(first: str) -> list[list[str]]:
    """Rows of the page's tables whose first cell matches `first`, without its quotes."""
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [[row[0].replace("`", ""), *row[1:]] for row in rows if re.match(first, row[0])]


def test_the_tables_of_the_page_list_the_tensors(both: Both):
    expected = {}
    for name, dtype, shape, _ in rows_of("`coding"):
        sides = [int(side) if side.isdigit() else None for side in shape.split(", ")]
        expected[name] = dtype, sides
    layers = {}
    for name, kernel, _, _, rows, _ in rows_of("`(hyper|enter|middle|leave|look|tell)"):
        general = name.split(",")[0]
        counts = {"p = 0 to 6": 7, "f = 0 to 3": 4, "t = 0 to 4 V - 5": 8}
        for p in range(counts.get(name.partition(", ")[2], 1)):
            layers[re.sub(r"\.[pft]$", f".{p}", general)] = int(kernel), int(rows)
    seen = set()
    for name, tensor in both.model.tensors.items():
        if not name.startswith("coding."):
            continue
        part = re.fullmatch(r"coding\.prior\.(.+)\.(weight|bias|multiplier|shift)", name)
        general = re.sub(r"\.\d$", ".p" if "linear" in name else ".b", name)
        if part:
            general = f"coding.prior.X.{part[2]}"
            side, knots = layers[part[1]]
            assert part[2] != "weight" or tensor.shape[2:] == (side, side)
            assert part[2] != "bias" or len(tensor) == knots
            seen.add(part[1])
        seen.add(general)
        dtype, sides = expected[general]
        assert tensor.dtype.name == dtype, name
        assert [n if side else None for n, side in zip(tensor.shape, sides, strict=True)] == sides, name
    assert seen == set(expected) | set(layers)


@given(
    st.lists(st.lists(st.integers(0, 2**20), min_size=2, max_size=20), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 2**16)), max_size=60),
)
def test_the_range_coder_writes_the_same_words(weights: list[list[int]], draws: list[tuple[int, int]]):
    words = max(map(len, weights))
    counts = np.ones((len(weights), words), np.int64)
    for row, given_row in zip(counts, weights, strict=True):
        row[: len(given_row)] += np.array(given_row) * (2**24 - words) // max(1, sum(given_row))
        row[0] += 2**24 - row.sum()
    tables = np.sort([t % len(weights) for t, _ in draws]).astype(np.int64)
    symbols = np.array([s % words for _, s in draws], np.int64)
    writer, again = SegmentWriter(), reference.RangeEncoder()
    writer.write(symbols, tables, TableSet(counts))
    for symbol, table in zip(symbols, tables, strict=True):
        again.symbol(int(counts[table, :symbol].sum()), int(counts[table, symbol]))
    assert again.end() == writer.finish()


COUNTS = [2**22 - 1, 2**22 + 3, 2**22, 2**22 - 2]


@pytest.mark.parametrize("held", [1, 2, 5])
@pytest.mark.parametrize("side", ["below", "above", "end"])
def test_words_are_held_until_a_carry_is_sure(held: int, side: str):
    """Symbols whose interval straddles a multiple of 2**64 for a while, and then lies on one side of it."""
    coder, symbols = reference.RangeEncoder(), []
    random = np.random.default_rng(held)

    def add(symbol: int) -> None:
        symbols.append(symbol)
        coder.symbol(sum(COUNTS[:symbol]), COUNTS[symbol])

    def places() -> list[str]:
        """Where the interval of each symbol would lie."""
        scale, rest = coder.range >> 24, 2**64 - coder.low
        ends = [scale * sum(COUNTS[: k + 1]) for k in range(4)]
        starts = [0, *ends[:-1]]
        return [
            "above" if start >= rest else "below" if end <= rest else "astride"
            for start, end in zip(starts, ends, strict=True)
        ]

    while coder.held == 0:
        add(int(random.integers(4)))
    while coder.held < held:
        add(places().index("astride"))
    while side != "end" and coder.held:
        add(places().index(side if side in places() else "astride"))
    writer = SegmentWriter()
    writer.write(np.array(symbols), np.zeros(len(symbols), np.int64), TableSet(np.array([COUNTS])))
    segment = writer.finish()
    assert coder.end() == segment
    decoder = reference.RangeDecoder(segment)
    assert [decoder.symbol(COUNTS) for _ in symbols] == symbols
    decoder.end()
