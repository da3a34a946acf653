"""The seam that people could see where drawn and other pixels meet."""

from __future__ import annotations

import json

import numpy as np

import vqcodec


def test_pages_with_photographs_have_no_seam(bench):
    """By the packaged model; rings next to text are no worse than what is inside."""
    seams = bench("seams")
    codec = vqcodec.load(device="cpu")
    found = seams.Seam()
    source = np.asarray(bench("class_pictures").photograph())
    for seed in range(3):
        seams.beside_text(codec, source, seed, 50, found)
    assert len(found.coded) == 3
    assert found.visible() == []


def test_rings_and_faults(bench):
    seams = bench("seams")
    border = np.zeros((20, 30), bool)
    border[:, :3] = True
    assert seams.rings(border)[0, :18].tolist() == [0, 0, 0, 1, 2, 3, 4, *[5] * 4, *[6] * 4, 7, 7, 7]
    found = seams.Seam([[12.0, 12, 10, 10, 10, 10, 10]], [[10.0, 11, 10, 10, 10, 10, 10]])
    assert found.visible() == ["ring 1: 1.20 of the usual"]


def test_the_command(bench, tiny_weights, tmp_path, capsys):
    out = tmp_path / "seams.json"
    bench("seams").main(["--model", str(tiny_weights), "--json", str(out)])
    found = json.loads(out.read_text())["mse"]
    assert set(found) <= {"text 50", "tiles 50"}
    assert len(found["tiles 50"]["true"]) == 7
    assert "x tiles" in capsys.readouterr().out
