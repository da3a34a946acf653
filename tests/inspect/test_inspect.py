"""Looking inside: bits that add up, a map that is hot where detail is, codewords as pixels, the command."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from tests.tiny import TINY, picture
from vqcodec.codec import Codec
from vqcodec.errors import ModelMismatch, Truncated
from vqcodec.inspect.bit_heatmap import draw_bits
from vqcodec.inspect.bit_report import BitReport, _spread, count_bits
from vqcodec.inspect.codebook_atlas import ROWS, _evenly, _patches, draw_atlas
from vqcodec.inspect.codebook_usage import codebook_use, draw_usage
from vqcodec.inspect.page import heat
from vqcodec_cli.main import main

GROUPS = 4 + 2 + 2
"""Of the tiny model's latent; its hyper-latent has two more."""


@pytest.fixture(scope="module")
def tiny(tiny_codec) -> Codec:
    return tiny_codec


def half_flat_half_squares(side: int) -> np.ndarray:
    """Grey on the left, random 8x8 squares on the right; uint8 (side, side, 3)."""
    x = np.full((side, side, 3), 120, np.uint8)
    squares = np.random.default_rng(0).integers(0, 256, (side // 8, side // 16, 3))
    x[:, side // 2 :] = squares.repeat(8, axis=0).repeat(8, axis=1)
    return x


# -- bits --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("width", "height", "quality", "tile"),
    [(96, 80, 50, 1024), (90, 70, 100, 64), (40, 150, 20, 64), (1, 1, 0, 0), (16, 65, 80, 0)],
)
def test_the_bits_add_up_to_the_segments(tiny, width, height, quality, tile):
    data = tiny.compress(picture(height, width), quality=quality, tile=tile)
    report, decoded = count_bits(tiny, data)
    side = tile or 10**6
    assert report.segments == 2 * -(-width // side) * -(-height // side)
    assert report.segment_bytes + report.overhead_bytes == report.file_bytes == len(data)
    assert abs(8 * report.segment_bytes - report.bits) <= 64 * report.segments + 0.001 * report.bits
    for bits, size in report.layers:
        assert abs(8 * size - bits) <= 64 * report.segments / 2 + 0.001 * bits
    sums = (
        report.blocks.sum(),
        sum(bits for bits, _ in report.layers),
        sum(band.bits for band in report.bands),
        sum(group.bits for group in report.groups),
    )
    assert sums == pytest.approx((report.bits,) * 4)
    assert report.layers[0][0] == pytest.approx(sum(report.parts[:3]))
    assert report.blocks.shape == (-(-height // 16), -(-width // 16))
    assert report.blocks.min() > 0
    assert decoded.tobytes() == tiny.decompress(data).tobytes()
    assert draw_bits(report, decoded).image.height > 400


def test_every_index_is_counted_once(tiny):
    report, _ = count_bits(tiny, tiny.compress(picture(90, 150), quality=60, tile=64))
    blocks = 6 * 10
    hyper = 3 * 2  # tiles of one position of z each, in three columns and two rows
    assert [band.symbols for band in report.bands] == [hyper * 2, blocks * 4, blocks * 2, blocks * 2]
    assert [band.name for band in report.bands] == ["z0", "y0", "y1", "y2"]
    assert len(report.groups) == GROUPS + 2
    channels = sorted(c for group in report.groups if group.band != "z0" for c in group.channels)
    assert channels == list(range(TINY.channels))
    bits = [group.bits for group in report.groups]
    assert bits == sorted(bits, reverse=True)


def test_perplexity_of_the_indices(tiny):
    flat, lively = (
        count_bits(tiny, tiny.compress(x, quality=90, drawn=False))[0]
        for x in (np.full((128, 128, 3), 120, np.uint8), half_flat_half_squares(128))
    )
    for quiet, loud in zip(flat.bands[1:], lively.bands[1:], strict=True):
        assert 1 <= quiet.perplexity <= loud.perplexity <= loud.codewords
    assert lively.bands[1].perplexity > 2


def test_the_map_is_hottest_where_the_detail_is(tiny):
    report, decoded = count_bits(tiny, tiny.compress(half_flat_half_squares(128), quality=0))
    flat, squares = report.blocks[:, :3], report.blocks[:, 5:]
    assert squares.mean() > 2 * flat.mean()
    hottest = np.argsort(report.blocks.ravel())[-16:] % 8
    assert hottest.min() >= 4
    page = np.asarray(draw_bits(report, decoded).image, dtype=np.int64)
    drawn = page[74 : 74 + 640, 20 : 20 + 640].sum(axis=2)
    assert drawn[:, 400:].mean() > 1.2 * drawn[:, :240].mean()


def test_bits_of_the_hyper_latent_are_spread_over_the_blocks_there_are():
    bits = np.array([[16.0, 8.0], [4.0, 3.0]])
    spread = _spread(bits, (5, 6))
    assert spread.sum() == pytest.approx(bits.sum())
    assert (spread[:4, :4] == 1).all()
    assert (spread[:4, 4:] == 1).all()
    assert (spread[4:, :4] == 1).all()
    assert (spread[4:, 4:] == 1.5).all()


def test_a_report_as_json(tiny):
    image = Image.fromarray(picture(70, 90))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = tiny.compress(image, quality=50)
    report, decoded = count_bits(tiny, data)
    found = json.loads(json.dumps(report.to_dict()))
    assert (found["width"], found["height"], found["file_bytes"]) == (90, 70, len(data))
    assert found["container"]["bytes"] == len(data) - found["segment_bytes"]
    assert found["container"]["chunks"].keys() >= {"ALPH"}
    for key in ("layers", "parts", "bands"):
        assert sum(entry["share"] for entry in found[key]) == pytest.approx(1, abs=1e-4)
    assert [entry["part"] for entry in found["parts"]] == [
        "z",
        "class_offsets",
        "phase 0",
        "phase 1",
        "phase 2",
        "phase 3",
    ]
    assert len(found["most_expensive_groups"]) == 10
    assert found["blocks"]["smallest"] <= found["blocks"]["mean"] <= found["blocks"]["largest"]
    assert draw_bits(report, decoded).png().startswith(b"\x89PNG")


def test_only_whole_files_of_the_model(tiny, codec):
    data = tiny.compress(picture(40, 40))
    with pytest.raises(Truncated):
        count_bits(tiny, data[:-1])
    with pytest.raises(ModelMismatch):
        count_bits(tiny, codec.compress(picture(40, 40)))


# -- drawing -----------------------------------------------------------------------------------
def test_heat_gets_lighter():
    colours = heat(np.linspace(-0.1, 1.1, 50)).astype(int)
    light = colours @ [299, 587, 114]
    assert (np.diff(light) >= 0).all()
    assert light[-1] > 200_000


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3000, 20), (17, 2000)])
def test_pictures_of_any_shape_are_drawn(tiny, width, height):
    report, decoded = count_bits(tiny, tiny.compress(picture(height, width)))
    page = draw_bits(report, decoded).image
    assert page.width < 1900
    assert page.height < 1400


# -- codebooks ---------------------------------------------------------------------------------
def test_use_of_every_codebook(tiny, tiny_codec):
    uses = codebook_use(tiny)
    assert [use.band for use in uses] == ["y0"] * 4 + ["y1"] * 2 + ["y2"] * 2 + ["z0"] * 2
    assert sorted(c for use in uses[:GROUPS] for c in use.channels) == list(range(TINY.channels))
    for use in uses:
        assert use.codewords == 16
        assert 1 <= use.perplexity <= 16
        assert 1 <= use.perplexity_middle <= 16
        assert 0 <= use.norms[0] <= use.norms[1] <= use.norms[2]
    # By hand, of one group: the middle of 8 and 3 context numbers is class (4, 1).
    band = tiny_codec.model.coder.bands[1]
    tables = band.tables.counts[band.classes : 2 * band.classes] / 2**24
    by_class = np.exp(-(tables * np.log(tables)).sum(1))
    assert uses[5].perplexity == pytest.approx(by_class.mean())
    assert uses[5].perplexity_middle == pytest.approx(by_class[4 * 3 + 1])
    assert uses[5].norms[2] == pytest.approx(np.linalg.norm(band.codewords[1] / 128, axis=1).max())
    page = draw_usage(uses, "tiny").image
    assert page.getcolors(1 << 20) is not None


def test_patches_show_the_words(tiny_codec):
    band = tiny_codec.model.coder.bands[2]
    order = np.arange(8)
    patches = [_patches(tiny_codec.model, band, g, order, 126) for g in range(2)]
    assert patches[0].shape == (8, 24, 24, 3)
    every = np.concatenate(patches).astype(int)
    for first, second in combinations(every, 2):
        assert np.abs(first - second).max() > 4
    # The strongest word of a row takes the whole range of greys, and acts on its own block most of all;
    # blocks overlap by 8 pixels.
    for row in patches:
        change = np.abs(row.astype(int) - 128)
        assert change.max() >= 127
        assert change[:, 4:-4, 4:-4].mean() > 2 * change[:, :2].mean()
    silent = replace(band, codewords=np.zeros_like(band.codewords))
    assert (np.abs(_patches(tiny_codec.model, silent, 0, order, 126).astype(int) - 128) <= 1).all()


def test_the_atlas_has_a_row_per_group(tiny):
    page = draw_atlas(tiny, 30)
    assert page.image.height > GROUPS * 89
    pixels = np.asarray(page.image)
    # The patches of the first row: not paper, not flat.
    assert pixels[130:180, 160:600].std() > 1
    assert not np.array_equal(pixels, np.asarray(draw_atlas(tiny, 90).image))
    with pytest.raises(ValueError, match="quality"):
        draw_atlas(tiny, 101)


def test_an_atlas_of_many_groups_shows_some_of_them():
    assert _evenly(3, ROWS) == [0, 1, 2]
    assert _evenly(104, 5) == [0, 26, 52, 77, 103]
    assert len(_evenly(104, ROWS)) == ROWS


# -- the command -------------------------------------------------------------------------------
@pytest.fixture
def run(tiny_weights, monkeypatch, capsys):
    """The command line with the tiny model as the only one: run(...) -> code, stdout, stderr."""
    monkeypatch.setenv("VQCODEC_MODELS", str(tiny_weights.parent))

    def call(*args):
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def coded(tiny, tmp_path):
    path = tmp_path / "photo.vqc"
    path.write_bytes(tiny.compress(picture(96, 80), quality=60))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_inspect_a_file(run, coded, tiny, tmp_path):
    out = tmp_path / "new" / "out"
    code, table, err = run("inspect", coded, "-o", out, "-d", "cpu")
    assert code == 0
    assert names(out) == ["bits.json", "bits.png"]
    assert err == f"{coded} -> {out / 'bits.png'}, {out / 'bits.json'}\n"
    found = json.loads((out / "bits.json").read_text())
    report: BitReport = count_bits(tiny, coded)[0]
    assert found == {"file": str(coded), **json.loads(json.dumps(report.to_dict()))}
    with Image.open(out / "bits.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert image.width > 1000
    lines = table.splitlines()
    assert lines[0].endswith(f"B of segments, {report.overhead_bytes} B of container")
    assert len(lines) == 1 + 2 + 6 + 4 + 10
    assert f"{100 * report.parts[2] / report.bits:.1f} %" in lines[5]


def test_inspect_a_model(run, tiny, tiny_weights, tmp_path):
    code, table, err = run("inspect", tiny_weights, "-o", tmp_path / "a", "-q", 75, "-d", "cpu")
    assert code == 0
    assert names(tmp_path / "a") == ["codebooks.png", "usage.json", "usage.png"]
    assert err.startswith(f"{tiny_weights} -> ")
    assert [line.split()[0] for line in table.splitlines()] == ["band", "y0", "y1", "y2", "z0"]
    found = json.loads((tmp_path / "a" / "usage.json").read_text())
    assert (found["model"], found["bitstream_id"]) == ("tiny", tiny.bitstream_id)
    assert len(found["codebooks"]) == GROUPS + 2
    first = found["codebooks"][0]
    keys = ("band", "group", "channels", "codewords", "perplexity", "perplexity_middle", "norms")
    assert tuple(sorted(first)) == tuple(sorted(keys))
    with Image.open(tmp_path / "a" / "codebooks.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(draw_atlas(tiny, 75).image))
    code, table, err = run("inspect", "tiny", "-o", tmp_path / "b", "--quiet", "-d", "cpu")
    assert (code, table, err) == (0, "", "")
    assert names(tmp_path / "b") == names(tmp_path / "a")


def test_inspect_from_stdin(run, coded, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(coded.read_bytes())))
    assert run("inspect", "-", "-o", tmp_path / "out", "-d", "cpu")[0] == 0
    assert json.loads((tmp_path / "out" / "bits.json").read_text())["file"] == "-"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_inspect_from_a_pipe(run, coded, tmp_path):
    """As of `vqcodec inspect <(cat photo.vqc)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(coded.read_bytes()))
    writer.start()
    assert run("inspect", pipe, "-o", tmp_path / "out", "-d", "cpu")[0] == 0
    writer.join()
    assert names(tmp_path / "out") == ["bits.json", "bits.png"]


def test_inspect_leaves_what_is_there_alone(run, coded, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "bits.json").write_text("mine")
    code, table, err = run("inspect", coded, "-o", out, "-d", "cpu")
    assert (code, table) == (1, "")
    assert err == f"vqcodec: {out / 'bits.json'}: exists already (use -f to overwrite)\n"
    assert names(out) == ["bits.json"]
    assert run("inspect", coded, "-o", out, "-f", "-d", "cpu")[0] == 0
    assert json.loads((out / "bits.json").read_text())["quality"] > 0
    assert names(out) == ["bits.json", "bits.png"]
    code, _, err = run("inspect", coded, "-o", coded)
    assert (code, err) == (1, f"vqcodec: {coded}: is not a directory\n")


def test_inspect_bad_input(run, coded, codec, tmp_path):
    out = tmp_path / "out"
    bad, other, missing = (tmp_path / name for name in ("bad.vqc", "other.vqc", "missing.vqc"))
    damaged = bytearray(coded.read_bytes())
    damaged[-9] ^= 1
    bad.write_bytes(damaged)
    other.write_bytes(codec.compress(picture(20, 20)))
    before = names(tmp_path)
    assert run("inspect", missing, "-o", out) == (1, "", f"vqcodec: {missing}: No such file or directory\n")
    code, _, err = run("inspect", bad, "-o", out)
    assert code == 3
    assert err.startswith(f"vqcodec: {bad}: ")
    assert "checksum" in err
    assert run("inspect", other, "-o", out)[0] == 4
    assert run("inspect", "nothing", "-o", out)[0] == 4
    assert run("inspect", tmp_path / "nothing.safetensors", "-o", out)[0] == 4
    assert run("inspect", coded, "-o", out, "--max-pixels", 100)[0] == 3
    assert run("inspect", coded)[0] == 2
    assert run("inspect", coded, "-o", out, "-q", 50)[0] == 2
    assert run("inspect", "tiny", "-o", out, "-m", "tiny")[0] == 2
    assert run("inspect", "tiny", "-o", out, "-q", 101)[0] == 2
    assert names(tmp_path) == before
