"""The table of classes: its pictures, one row measured, and what is a fault in it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.drawings import lossless_size


def test_every_class_is_drawn_alike_each_time(bench):
    pictures = bench("class_pictures")
    assert {*pictures.DRAWN} < {*pictures.CLASSES}
    for name in pictures.CLASSES:
        first = pictures.pixels_of(name)
        assert first.shape == (bench("class_patterns").SIDE, bench("class_patterns").SIDE, 3)
        assert first.dtype == np.uint8
        assert np.array_equal(first, pictures.pixels_of(name)), name


def test_the_command_measures_and_writes(bench, tiny_weights, tmp_path, capsys):
    words = ["--only", "code", "checkerboard 4", "--model", str(tiny_weights), "--out", str(tmp_path)]
    assert bench("classes").main(words) == 0
    found = json.loads((tmp_path / "classes.json").read_text())
    code = found["rows"][0]
    exact = lossless_size(bench("class_pictures").pixels_of("code"))
    assert code["files"]["webp lossless"] == {"bytes": exact, "psnr": None}
    assert code["files"]["vqcodec"]["psnr"] is None
    assert code["files"]["vqcodec"]["bytes"] <= exact + 4
    assert set(code["files"]) == {"vqcodec", "webp lossless", "webp", "jpeg", "avif-psnr"}
    assert found["settings"]["webp"]["method"] == 4
    text = (tmp_path / "classes.md").read_text()
    assert text in capsys.readouterr().out
    assert text.count("\n") == 4
    assert "exact" in text


@pytest.mark.parametrize(
    ("size", "value", "webp", "expected"),
    [
        (1000, None, 20.0, []),
        (1000, 40.0, 20.0, ["code: not exact, 40.00 dB"]),
        (1050, None, 20.0, []),
        (1051, None, 20.0, ["code: 1.05 times lossless WebP"]),
        (1500, None, 20.0, ["code: 1.50 times lossless WebP", "code: 1500 bytes, lossless WebP 1000"]),
        (900, 30.0, 31.5, ["code: not exact, 30.00 dB", "code: 1.50 dB behind WebP at equal bytes"]),
    ],
)
def test_faults(bench, size, value, webp, expected):
    classes = bench("classes")
    file = classes.File
    files = {"vqcodec": file(size, value), "webp lossless": file(1000, None), "webp": file(size, webp)}
    assert classes.faults([classes.Row("code", True, files)]) == expected


def test_the_stored_table_is_that_of_the_stored_results(bench):
    classes = bench("classes")
    found = json.loads((classes.RESULTS / "classes.json").read_text())
    rows = [
        classes.Row(
            row["name"],
            row["drawn"],
            {name: classes.File(**values) for name, values in row["files"].items()},
        )
        for row in found["rows"]
    ]
    assert classes.table(rows) == (classes.RESULTS / "classes.md").read_text()
    assert found["faults"] == classes.faults(rows) == []
    assert [row.name for row in rows] == list(bench("class_pictures").CLASSES)
