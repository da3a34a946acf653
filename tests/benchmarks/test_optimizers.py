"""Two optimisers at equal processor time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import optimizers
from tests.tiny import picture, settings, tiny_model
from vqcodec.training import losses, trainer


def test_both_use_the_same_time_and_are_judged_against_the_start(tmp_path, monkeypatch):
    for seed in range(2):
        Image.fromarray(picture(140, 150, seed)).save(tmp_path / f"{seed}.png")
    monkeypatch.setattr(optimizers, "TURN", 0.2)
    monkeypatch.setattr(optimizers, "LEVELS", (0.1, 0.9))
    monkeypatch.setattr(losses, "REFERENCE_BATCHES", 1)  # at each knot, for either run
    monkeypatch.setattr(trainer, "EMA_EVERY", 1)  # averages move at every step of such a short run
    pictures = optimizers.middles(tmp_path)
    assert [tuple(x.shape) for x in pictures] == [(1, 3, 128, 128)] * 2
    assert np.array_equal((pictures[0][0, :, 0, 0] * 255).round(), picture(140, 150, 0)[6, 11])
    config = settings(
        data=str(tmp_path),
        out=str(tmp_path / "run"),
        mse_share=0.5,
        exact_from=0.0,
        revive_every=0,
        late_crop=64,
        log_every=1,
    )
    figures = optimizers.compare(config, tiny_model(4), pictures, 1 / 60)
    assert list(figures) == ["adam", "soap"]
    for run in figures.values():
        assert run["steps"] > 1
        assert 1 <= run["processor_s"] < 3
        assert len(run["loss"]) == len(optimizers.LEVELS)
        assert any(run["loss"])
    entries = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {entry["optimizer"] for entry in entries} == {"adam", "soap"}


def test_what_is_missing_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    def missing(*_):
        raise ImportError("SOAP needs a package")

    monkeypatch.setattr(optimizers, "compare", missing)
    monkeypatch.setattr(optimizers, "load_start", lambda _: tiny_model(1))
    monkeypatch.setattr(optimizers, "middles", lambda _: [])
    monkeypatch.setattr("sys.argv", ["optimizers", "--data", str(tmp_path), "--judge", str(tmp_path)])
    with pytest.raises(SystemExit):
        optimizers.main()
    assert "SOAP needs a package" in capsys.readouterr().err
