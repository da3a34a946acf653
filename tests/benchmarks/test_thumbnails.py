"""benchmarks.thumbnails on one picture and two files."""

from __future__ import annotations

import json
import os

import pytest
from PIL import Image

from tests.tiny import picture


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process waits there")
def test_figures_of_a_picture(bench, tmp_path, monkeypatch, capsys):
    module = bench("thumbnails")
    data = tmp_path / "data"
    data.mkdir()
    Image.fromarray(picture(192, 160)).save(data / "a.png")
    monkeypatch.setattr(module, "QUALITIES", (50,))
    monkeypatch.setattr(module, "SIZES", (48,))
    out = tmp_path / "result.json"
    module.main(["--data", str(data), "--out", str(out), "--files", "3"])
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())
    result = json.loads(out.read_text())
    (row,) = result["nearness"]
    assert (row["quality"], row["size"]) == (50, 48)
    assert row["whole"] > row["thumbnailer"] > row["preview"]
    for way in ("lingering", "alone"):
        assert 0 < result[way]["longest"] <= result[way]["seconds"]
        assert result[way]["processor_seconds"] > 0
