"""benchmarks.speed and its profile, on tiny pictures."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from benchmarks.parts import split
from tests.tiny import picture


def test_speed_compares_at_one_rate(
    bench: Callable[[str], ModuleType], pictures: Path, tmp_path: Path
) -> None:
    speed = bench("speed")
    out = tmp_path / "speed.json"
    command = ["--image", str(pictures / "a.png"), "--codecs", "jpeg", "webp", "--bpp", "5", "--repeats", "2"]
    assert speed.main([*command, "--out", str(out)]) == 0
    runs = json.loads(out.read_text())["runs"]
    assert [(figures["codec"], figures["threads"]) for figures in runs] == [("jpeg", 1), ("webp", 1)]
    for figures in runs:
        assert figures["bpp"] == pytest.approx(5, rel=0.15)
        assert 0 < figures["encode_s"] < 10
        assert 0 < figures["decode_s"] < 10


def test_bisection_finds_the_nearest_rate(bench: Callable[[str], ModuleType]) -> None:
    speed = bench("speed")
    scale = range(101)
    for target, quality in ((-1.0, 0), (0.0, 0), (0.26, 5), (0.24, 5), (1.0, 10), (99.0, 99), (1e6, 100)):
        rates = [q * q / 100 if q <= 10 else float(q) for q in scale]
        assert speed.nearest_quality(lambda q, rates=rates: rates[q], scale, target) == quality


def test_the_profile_splits_a_call_by_functions():
    def called_twice() -> None:
        time.sleep(0.04)

    def another() -> None:
        time.sleep(0.03)

    def unused() -> None:
        raise AssertionError

    def call() -> None:
        called_twice()
        another()
        called_twice()
        time.sleep(0.05)

    found = split(call, {"twice": [called_twice], "once": [another], "never": [unused]})
    assert list(found) == ["twice", "once", "rest"]
    for part, least in {"twice": 0.08, "once": 0.03, "rest": 0.05}.items():
        assert least - 0.001 <= found[part] < least + 0.03


@pytest.mark.slow
def test_speed_splits_our_time_and_compares_sizes_and_commands(
    bench: Callable[[str], ModuleType],
    tiny_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def here(module: str, words: list[str], threads: int) -> dict[str, Any]:
        """In this process: `test_speed_compares_at_one_rate` starts fresh ones."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert bench("speed").main(words) == 0
        return dict(json.loads(printed.getvalue()))

    monkeypatch.setattr(bench("speed"), "figures_of", here)
    source, out = tmp_path / "a.png", tmp_path / "speed.json"
    Image.fromarray(picture(64, 96)).save(source)
    words = ["--image", str(source), "--model", str(tiny_weights), "--codecs", "jpeg", "vqcodec"]
    words += ["--sides", "0", "80", "--repeats", "1", "--commands", "--devices", "cpu", "--out", str(out)]
    assert bench("speed").main(words) == 0
    result = json.loads(out.read_text())
    assert bench("speed").main([*words, "--resume"]) == 0
    assert json.loads(out.read_text())["runs"] == result["runs"]
    assert [(run["codec"], run["pixels"]) for run in result["runs"]] == [
        ("jpeg", 64 * 96),
        ("vqcodec", 64 * 96),
        ("jpeg", 80 * 80),
        ("vqcodec", 80 * 80),
    ]
    for run in result["runs"]:
        ours = run["codec"] == "vqcodec"
        assert run.get("png_read_s", 0) > 0 or not ours
        for action, parts in (
            ("encode", {"prior", "analysis", "rest"}),
            ("decode", {"prior", "synthesis", "rest"}),
        ):
            split_s = run[f"{action}_parts_s"]
            assert parts <= set(split_s) if ours else not split_s
    jpeg, own = result["runs"][2:]
    printed = capsys.readouterr().out
    assert f"(x{own['encode_s'] / jpeg['encode_s']:.3g})" in printed
    assert {entry["codec"] for entry in result["commands"]} == {"jpeg", "vqcodec"}
    assert set(result["starts"]) == {"--version", "--help", "info"}
    assert "| vqcodec info" in printed
    # What other weights or settings gave is not kept.
    words.remove("--commands")
    older = {**result, "runs": [{**jpeg, "side": 0, "versions": {"pillow": "0"}}]}
    out.write_text(json.dumps(older))
    assert bench("speed").main([*words, "--codecs", "jpeg", "--sides", "0", "--resume"]) == 0
    assert [run["versions"] for run in json.loads(out.read_text())["runs"]] == [jpeg["versions"]]
    assert bench("speed").main([*words, "--bpp", "2", "--resume"]) == 1
    assert "other settings" in capsys.readouterr().err
