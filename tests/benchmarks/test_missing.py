"""What a benchmark lacks is told in one line."""

from __future__ import annotations

import sys

import pytest

from benchmarks import batch, drawn_cost, evaluate, large


@pytest.mark.parametrize("module", [batch, drawn_cost, evaluate, large])
def test_what_is_not_there_is_told_in_one_line(module, tmp_path, monkeypatch, capsys):
    nowhere = str(tmp_path / "nowhere")
    words = {evaluate: [nowhere, "--data", nowhere], large: ["--image", nowhere]}.get(
        module, ["--data", nowhere]
    )
    monkeypatch.setattr(sys, "argv", ["x", *words])
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert nowhere in last
