"""The codecs under measurement: settings, rates and the file that is compared at equal bytes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from benchmarks.bd_rate import RatePoint, bd_rate
from tests.tiny import picture

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000", "webp", "avif", "avif-psnr", "jxl"])
def test_anchors_have_the_settings_that_the_published_figures_were_taken_with(bench, name):
    for file in ("kodak.json", "dev.json"):
        measured = bench("report.results").load(ROOT / "benchmarks" / "results" / file)
        assert bench("codecs").make(name).settings == measured.codecs[name].settings


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000", "webp", "avif", "avif-psnr", "jxl"])
def test_other_codecs_do_as_well_as_in_an_independent_measurement(
    bench: Callable[[str], ModuleType], name: str
) -> None:
    folder = ROOT / "benchmarks"
    elsewhere = json.loads((folder / "published_kodak.json").read_text(encoding="utf-8"))["measured"][name]
    pairs = zip(elsewhere["bpp"], elsewhere["psnr"], strict=True)
    ours = bench("report.results").load(folder / "results" / "kodak.json").curve(name)
    assert abs(bd_rate([RatePoint(*pair) for pair in pairs], ours).percent) < 3


@pytest.mark.slow
def test_other_codecs_get_at_least_as_many_bytes_and_no_more_than_needed(bench):
    codecs = bench("codecs")
    match = codecs.match
    pixels = picture(192, 208, seed=3)
    for name in ("jpeg", "webp", "jxl"):
        codec = codecs.make(name)
        sizes = [len(codec.encode(pixels, q)) for q in range(20, 80)]
        wanted = sizes[30] - 1
        found = len(match(codec, pixels, wanted))
        assert found >= wanted
        assert found <= min(s for s in sizes if s >= wanted) * 1.02
        assert len(match(codec, pixels, 10**9)) == len(codec.encode(pixels, 100))


def test_slower_and_further_anchors_are_measured_only_where_they_are_named(bench):
    codecs = bench("codecs")
    more = {"avif-s2", "avif-psnr-s2", "avif-ssim2", "avif-ssim2-s2", "jxl-e9", "jpegli"}
    assert more <= {*codecs.CODEC_NAMES}
    assert not more & {*codecs.DEFAULT_NAMES}
    settings = {name: codecs.make(name).settings for name in more | {"avif", "avif-psnr", "jxl"}}
    for name, other, differs in [
        ("avif-s2", "avif", {"speed": 2}),
        ("avif-psnr-s2", "avif-psnr", {"speed": 2}),
        ("avif-ssim2", "avif", {"advanced": {"tune": "ssimulacra2"}}),
        ("avif-ssim2-s2", "avif", {"speed": 2, "advanced": {"tune": "ssimulacra2"}}),
        ("jxl-e9", "jxl", {"effort": 9}),
    ]:
        assert settings[name] == settings[other] | differs


def test_the_tune_for_ssimulacra2_is_libaoms(bench):
    """Another file than by the default tune or by tune=psnr: the library did not ignore it."""
    make, pixels = bench("codecs").make, picture(64, 48)
    assert len({make(name).encode(pixels, 50) for name in ("avif", "avif-psnr", "avif-ssim2")}) == 3


def test_jpegli_makes_jpeg_files_that_others_decode_alike(bench):
    codec, pixels = bench("codecs").make("jpegli"), picture(64, 48)
    data = codec.encode(pixels, 90)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        other = np.asarray(image.convert("RGB")).astype(int)
    with pytest.raises(ValueError, match="whole qualities"):
        codec.encode(pixels, 50.5)
    # Chroma is interpolated differently.
    assert np.abs(codec.decode(data) - other).mean() < 3


def test_without_jpegli_it_says_how_to_get_it(bench, monkeypatch):
    codec = bench("codecs").make("jpegli")
    monkeypatch.setitem(sys.modules, "pyjpegli", None)
    with pytest.raises(ImportError, match="pip install pyjpegli"):
        codec.encode(picture(16, 16), 50)


@pytest.mark.parametrize(
    ("name", "qualities", "versions"),
    [
        ("jxl", (10, 90), {"imagecodecs", "libjxl"}),
        ("jxl-e9", (10, 90), {"imagecodecs", "libjxl"}),
        ("jpeg2000", (25, 75), {"pillow", "openjpeg"}),
        ("jpegli", (10, 90), {"pyjpegli"}),
        ("avif-ssim2", (10, 90), {"pillow", "avif"}),
    ],
)
def test_more_bytes_give_less_error(bench, name, qualities, versions):
    codec, pixels = bench("codecs").make(name), picture(64, 48)
    files = [codec.encode(pixels, q) for q in qualities]
    errors = [np.abs(codec.decode(f).astype(int) - pixels).mean() for f in files]
    assert len(files[0]) < len(files[1])
    assert errors[0] > errors[1] > 0
    assert versions == set(codec.versions)
    assert "unknown" not in codec.versions.values()


def test_qualities_of_jpeg_xl_are_the_distances_of_cjxl(bench):
    distance = bench("anchors").jxl_distance
    assert [distance(q) for q in (100, 90, 30, 0)] == pytest.approx([0, 1, 6.4, 25])
