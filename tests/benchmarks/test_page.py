"""The HTML page of the benchmarks: what stands in it, and in its viewer."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(picture(96, 128, seed=len(name))).save(folder / name)
    return folder


@pytest.fixture
def results(bench, photos, tmp_path):
    """A result file of two codecs."""
    path = tmp_path / "results.json"
    words = ["--data", str(photos), "--out", str(path), "--codecs", "jpeg", "webp"]
    assert bench("rate_distortion").main([*words, "--qualities", "10", "50", "90"]) == 0
    return path


def data_of(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def embedded(address: str, kind: str) -> np.ndarray:
    """Pixels of a picture in a data address."""
    start = f"data:{kind};base64,"
    assert address.startswith(start)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.removeprefix(start)))))


def test_the_page_holds_figures_and_loads_nothing(bench, results, tmp_path):
    published = tmp_path / "published.json"
    published.write_text(json.dumps({"curves": {"<other>": {"bpp": [0.1, 9.0], "psnr": [30.0, 50.0]}}}))
    speed = tmp_path / "speed.json"
    run = {"codec": "jpeg", "device": "cpu", "threads": 1, "pixels": 10, "bpp": 1, "load_s": 0}
    run |= {"encode_s": 0.125, "decode_s": 1, "peak_mib": 9, "engine": "", "beside": ""}
    own = run | {"codec": "vqcodec", "encode_s": 0.5, "encode_parts_s": {"prior": 0.25}}
    own |= {"decode_parts_s": {}, "png_read_s": 0.1, "png_write_s": 0.2}
    beside = own | {"encode_s": 0.75, "beside": "torch"}
    whole = {"commands": [{"process": "vqcodec info", "wall_s": 1.5, "cpu_s": 2.5}]}
    speed.write_text(json.dumps({"runs": [run, own, own | {"engine": "avx2"}, beside], **whole}))
    out = tmp_path / "page.html"
    words = [str(results), "--published", str(published), "--speed", str(speed), "--out", str(out)]
    assert bench("report.page").main(words) == 0
    page = out.read_text()
    assert page.count("<polyline") == 2 * 3  # jpeg, webp and the published curve, each with its key
    assert page.count('class="published"') == 2
    assert "&lt;other&gt;, published" in page
    assert "<td>0.125 (x4)</td>" in page
    assert "<td>prior 0.25</td>" in page
    assert "<td>C, AVX2</td>" in page
    assert "<td>a loop of torch</td><td>1</td><td>0.75 (x1.5)</td><td>1 (x1)</td>" in page
    assert "<td>vqcodec info</td><td></td><td>1.500</td><td>2.500</td>" in page
    assert data_of(page) == []
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", page)
    assert not re.search(r"@[A-Z]+@", page)
    speed.write_text("{}")
    assert bench("report.page").main(words) == 1


def test_the_viewer_holds_each_codec_at_equal_bytes(
    bench, results, photos, tiny_weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(bench("measures"), "judge", lambda name: lambda original, decoded: 0.25)
    out = tmp_path / "page.html"
    words = [str(results), "--data", str(photos), "--pictures", "a.png", "--model", str(tiny_weights)]
    words += ["--codecs", "jpeg", "vqcodec", "--rates", "40", "--figures", "ms_ssim", "--out", str(out)]
    assert bench("report.page").main(words) == 0
    (entry,) = data_of(out.read_text())
    assert (entry["name"], entry["width"], entry["height"]) == ("a.png", 128, 96)
    (cells,) = entry["rates"].values()
    sizes = {name: int(cell["said"].split(" ")[0]) for name, cell in cells.items()}
    assert sizes["jpeg"] >= sizes["vqcodec"]
    assert embedded(cells["jpeg"]["src"], "image/jpeg").shape == (96, 128, 3)
    pixels = np.asarray(Image.open(photos / "a.png"))
    codec = bench("codecs").make("vqcodec", model=str(tiny_weights))
    assert np.array_equal(embedded(entry["original"]["src"], "image/webp"), pixels)
    decoded = codec.decode(codec.encode(pixels, 40))
    assert np.array_equal(embedded(cells["vqcodec"]["src"], "image/webp"), decoded)
    assert cells["vqcodec"]["said"].endswith(" dB, MS-SSIM 0.25")


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    bench, results, tmp_path, capsys, monkeypatch
):
    page = bench("report.page")
    monkeypatch.setattr(page, "load", None)
    assert page.main([str(results), "--out", str(tmp_path / "nowhere" / "x.html")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_figures_that_fall_are_said_to_be_better_so(bench, monkeypatch):
    page = bench("report.page")
    monkeypatch.setattr(page.measures, "judge", lambda name: lambda original, decoded: 1.5)
    pixels = picture(32, 32)
    said = page.said_of(pixels, pixels // 2, 256, ["ssimulacra2", "butteraugli"])
    assert said.startswith("256 bytes, 2.000 bpp, ")
    assert said.endswith(" dB, SSIMULACRA2 1.5, Butteraugli 1.5 (lower is better)")
