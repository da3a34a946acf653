"""Tables from result files: BD-rates in the right row and column, figures of the README files."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from benchmarks.report import curves
from benchmarks.report.results import CodecResult, Picture, Point, Results, Sample


def results(**factors: float) -> Results:
    """Codecs on one picture at four qualities: alike in PSNR, in rate by these factors."""
    found = Results({"a.png": Picture(10, 10, "")})
    for name, factor in factors.items():
        samples = ((q, Sample(1, factor * 2**q / 10, 30.0 + 3 * q)) for q in range(4))
        points = {float(q): Point(q, {"a.png": sample}) for q, sample in samples}
        found.codecs[name] = CodecResult({}, {}, points)
    return found


def test_half_the_rate_is_minus_fifty_percent_in_the_column_of_the_tested_codec():
    assert curves.bd_rows(results(webp=1, vqcodec=0.5)) == [
        ["BD-rate (PSNR, dB) against", "vqcodec"],
        ["webp", "-50.0 % (30.0 to 39.0 dB)"],
    ]
    table = curves.bd_table(results(webp=1, vqcodec=0.5))
    assert "| webp                       | -50.0 % (" in table


def test_without_vqcodec_every_codec_is_tested_against_every_other():
    rows = curves.bd_rows(results(jpeg=1, webp=0.5))
    assert rows[0][1:] == ["jpeg", "webp"]
    assert rows[1] == ["jpeg", "0", "-50.0 % (30.0 to 39.0 dB)"]
    assert rows[2] == ["webp", "+100.0 % (30.0 to 39.0 dB)", "0"]


def test_published_curves_are_anchors_only():
    measured = results(vqcodec=0.5)
    published = {"VTM, published": results(x=1).curve("x")}
    assert curves.bd_rows(measured, published)[1:] == [["VTM, published", "-50.0 % (30.0 to 39.0 dB)"]]


def test_figures_in_the_readmes_are_those_of_the_result_files(bench: Callable[[str], ModuleType]) -> None:
    readme = bench("report.readme")
    marks = 0
    for path in readme.FILES:
        text = path.read_text(encoding="utf-8")
        marks += text.count("<!-- figures: ")
        assert readme.filled(text) == text, "run python -m benchmarks.report.readme"
    assert marks >= 4
    old = "a\n<!-- figures: dial -->\n| old |\n<!-- end of figures -->\n| b |\n"
    new = readme.filled(old)
    assert "| old |" not in new
    assert new.startswith("a\n<!-- figures: dial -->\n| quality")
    assert new.endswith("<!-- end of figures -->\n| b |\n")
