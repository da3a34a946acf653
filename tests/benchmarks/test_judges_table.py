"""BD-rates by every judge: falling curves are turned round, and what is missing stays empty."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.report import curves, judges_table
from benchmarks.report.results import CodecResult, Picture, Point, ResultError, Results, Sample, load


def results(**factors: float) -> Results:
    """Codecs on one picture at four qualities: alike by PSNR, LPIPS and JOD, in rate by these factors."""
    found = Results({"a.png": Picture(10, 10, "")})
    for name, factor in factors.items():
        points = {}
        for q in range(4):
            judges: dict[str, Any] = {"lpips": 0.4 - 0.1 * q, "cvvdp": 6.0 + q}
            points[float(q)] = Point(q, {"a.png": Sample(1, factor * 2**q / 10, 30.0 + 3 * q, **judges)})
        found.codecs[name.replace("_", "-")] = CodecResult({}, {}, points)
    return found


def test_curves_of_judges_rise_with_quality_and_means_are_as_measured():
    measured = results(vqcodec=1)
    assert [p.value for p in measured.curve("vqcodec", "lpips")] == pytest.approx([-0.4, -0.3, -0.2, -0.1])
    assert [p.value for p in measured.curve("vqcodec", "cvvdp")] == [6, 7, 8, 9]
    mean = measured.codecs["vqcodec"].points[0.0].mean(1, "lpips")
    assert mean is not None
    assert mean.value == 0.4
    assert "0.4" in curves.rd_table(measured)
    assert "-0.4" not in curves.rd_table(measured)


def test_half_the_rate_is_minus_fifty_percent_by_every_judge():
    measured = results(webp=1, vqcodec=0.5)
    assert curves.bd_rows(measured, figure="lpips") == [
        ["BD-rate (LPIPS) against", "vqcodec"],
        ["webp", "-50.0 % (0.4 to 0.1)"],
    ]
    assert judges_table.rows({"Kodak": measured}, {"webp": "WebP", "jxl": "JPEG XL"}) == [
        ["pictures", "codec", "against", "PSNR", "ColorVideoVDP", "LPIPS"],
        ["Kodak", "vqcodec", "WebP", "-50.0 %", "-50.0 %", "-50.0 %"],
    ]


def test_sets_tunes_and_losses_stand_in_rows_of_their_own():
    kodak, dev = results(webp=1, vqcodec=2, vqcodec_psnr=0.5), results(webp=1, vqcodec=1)
    for point in dev.codecs["webp"].points.values():
        point.images = {"a.png": Sample(1, 0.1, 30.0 + 3 * point.quality, ssimulacra2=1.0)}
    tested = "vqcodec", "vqcodec-psnr"
    rows = judges_table.rows({"Kodak": kodak, "dev": dev}, {"webp": "WebP"}, tested)
    assert [row[:3] for row in rows[1:]] == [
        ["Kodak", "vqcodec", "WebP"],
        ["Kodak", "vqcodec-psnr", "WebP"],
        ["dev", "vqcodec", "WebP"],
    ]
    assert rows[0][3:] == ["PSNR", "SSIMULACRA2", "ColorVideoVDP", "LPIPS"]
    assert rows[1][3:] == ["+100.0 %", "", "+100.0 %", "+100.0 %"]
    assert rows[2][3] == "-50.0 %"
    assert rows[3][4:] == ["", "", ""]


def test_figures_by_another_definition_are_dropped(tmp_path):
    measured = results(webp=1)
    measured.define("lpips", "by one network")
    measured.save(tmp_path / "r.json")
    again = load(tmp_path / "r.json")
    assert again.definition["lpips"] == "by one network"
    again.define("lpips", "by one network")
    assert len(again.curve("webp", "lpips")) == 4
    again.define("lpips", "by another")
    assert again.curve("webp", "lpips") == []
    assert len(again.curve("webp", "cvvdp")) == 4
    assert len(again.curve("webp")) == 4
    (tmp_path / "r.json").write_text('{"schema": 1, "dataset": {}, "codecs": {}}')
    with pytest.raises(ResultError, match="definition"):
        load(tmp_path / "r.json")
