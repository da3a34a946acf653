"""Drawn pictures on the command line: --lossless, --no-drawn, and what info, verify and inspect tell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.drawings import mixed, page
from vqcodec.bitstream import parse
from vqcodec_cli.main import main


@pytest.fixture
def text(tmp_path):
    """A page of text as a PNG file."""
    path = tmp_path / "text.png"
    Image.fromarray(page()).save(path)
    return path


def test_text_comes_back_exactly_without_a_model(vqcodec, text, tmp_path):
    run = vqcodec("compress", text, "-v")
    coded = text.with_suffix(".vqc")
    size = sum(len(segment or b"") for segment in parse(coded.read_bytes()).drawn)
    assert f"{size:,} B for the 100 % of the pixels that is drawn".replace(",", " ") in run.err
    line = vqcodec("info", coded).out.decode()
    assert "no model needed" in line
    assert "B for the 100 % of the pixels that is drawn" in line
    listing = vqcodec("info", "-v", coded).out.decode()
    assert "  model           none needed\n" in listing
    assert "  drawn           " in listing
    # It is exact, and made by no tune.
    assert "  quality         100.00 (level 252)\n" in listing
    assert "  tune " not in listing
    found = json.loads(vqcodec("info", "--json", coded).out)
    assert (found["drawn_bytes"], found["drawn_share"], found["model"]) == (size, 1.0, None)
    assert vqcodec("verify", "--decode", coded).code == 0
    assert vqcodec("decompress", coded, "-o", tmp_path / "out.png").code == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), page())


def test_photographs_say_nothing_of_it(vqcodec, photo):
    vqcodec("compress", photo)
    for words in (["info"], ["info", "-v"]):
        assert "drawn" not in vqcodec(*words, photo.with_suffix(".vqc")).out.decode()


def test_lossless_and_no_drawn(vqcodec, photo, text, pixels, tmp_path):
    out = tmp_path / "out.vqc"
    assert vqcodec("compress", photo, "--lossless", "-o", out).code == 0
    assert vqcodec("decompress", out, "-o", tmp_path / "out.png").code == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), pixels)
    assert vqcodec("compress", text, "--no-drawn", "-o", out, "-f").code == 0
    assert not parse(out.read_bytes()).header.drawn
    for option in ("-q", "--bpp", "--target-size", "--psnr"):
        run = vqcodec("compress", photo, "--lossless", option, "30")
        assert run.code == 2
        assert "-q, --bpp, --target-size, --psnr and --lossless exclude each other" in run.err
    run = vqcodec("compress", photo, "--lossless", "--tile", "0", "-o", out, "-f")
    assert run.code == 0


def test_inspect_counts_the_drawn_layer(tiny_codec, tiny_weights, tmp_path, capsys):
    pixels, drawn = mixed()
    path = tmp_path / "mixed.vqc"
    path.write_bytes(tiny_codec.compress(pixels))
    assert main(["inspect", str(path), "-m", str(tiny_weights), "-o", str(tmp_path / "in")]) == 0
    assert "  drawn layer " in capsys.readouterr().out
    found = json.loads((tmp_path / "in" / "bits.json").read_text())
    size = len(parse(path.read_bytes()).drawn[0] or b"")
    assert found["drawn"]["bytes"] == size
    assert found["drawn"]["bits"] == 8 * size
    assert found["drawn"]["pixels"] == pytest.approx(drawn.mean(), abs=0.01)
    assert found["segment_bytes"] == size + sum(layer["bytes"] for layer in found["layers"])
    assert found["drawn"]["share"] + sum(layer["share"] for layer in found["layers"]) == pytest.approx(
        1, abs=1e-3
    )
    with Image.open(tmp_path / "in" / "bits.png") as page_:
        assert page_.width > 192


def test_inspect_of_text_alone(tiny_codec, tiny_weights, tmp_path):
    from vqcodec.inspect.bit_report import count_bits  # noqa: PLC0415  imports torch

    sheet = np.vstack([page(), np.full((64, 160, 3), 255, np.uint8)])
    data = tiny_codec.compress(sheet)
    report, picture = count_bits(tiny_codec, data)
    assert np.array_equal(np.asarray(picture), sheet)
    assert report.blocks.sum() == pytest.approx(report.bits)
    assert report.bits == 8 * report.drawn_bytes
    assert report.drawn_share == 1
    # Lines of text take more than the paper below.
    assert report.blocks.max() > 4 * report.blocks.min()
    path = tmp_path / "text.vqc"
    path.write_bytes(data)
    assert main(["inspect", str(path), "-m", str(tiny_weights), "-o", str(tmp_path / "in")]) == 0
