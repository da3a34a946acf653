"""benchmarks.speed, its cases and its clocks, on tiny pictures."""

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
    nearest_quality = bench("in_process").nearest_quality
    scale = range(101)
    for target, quality in ((-1.0, 0), (0.0, 0), (0.26, 5), (0.24, 5), (1.0, 10), (99.0, 99), (1e6, 100)):
        rates = [q * q / 100 if q <= 10 else float(q) for q in scale]
        assert nearest_quality(lambda q, rates=rates: rates[q], scale, target) == quality
    assert nearest_quality(lambda q: 9.0, [3.0], 0.5) == 3


class Stages:
    """One stage that calls another, and one that is never called."""

    def outer(self, divisor: int) -> int:
        time.sleep(0.03)
        return self.inner(divisor) + self.inner(divisor)

    def inner(self, divisor: int) -> int:
        time.sleep(0.02)
        return 1 // divisor

    def unused(self) -> None:
        raise AssertionError


def test_a_part_stands_still_while_another_runs_inside_it(bench: Callable[[str], ModuleType]) -> None:
    stages, found = Stages(), []

    def call(divisor: int) -> None:
        found.append(stages.outer(divisor))
        time.sleep(0.05)

    parts = {"in": [(Stages, "inner")], "out": [(Stages, "outer")], "never": [(Stages, "unused")]}
    with pytest.raises(ZeroDivisionError):
        bench("parts").split(lambda: call(0), parts)
    before = Stages.outer
    taken = bench("parts").split(lambda: call(1), parts)
    assert found == [2]
    assert Stages.outer is before
    assert list(taken) == ["in", "out", "rest"]
    for part, least in {"in": 0.04, "out": 0.03, "rest": 0.05}.items():
        assert least - 0.001 <= taken[part] < least + 0.03


def test_cases_are_what_this_machine_can_do(
    bench: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = bench("speed")
    monkeypatch.setattr(speed, "instruction_sets", lambda: ["portable", "avx2"])
    monkeypatch.setattr(speed.neighbours, "available", lambda name: name == "python")
    words = ["--codecs", "jpeg", "vqcodec", "--threads", "2", "1", "--sides", "8", "0", "--devices", "cpu"]
    words += ["--engines", "avx2", "amx", "--beside", "python", "torch"]
    monkeypatch.setattr(speed.vqcodec, "features", lambda: {"devices": ["cpu", "mps"]})
    found = speed.cases(speed._parser().parse_args(words))
    assert len(found) == 2 * 2 * 2 + 2 + 2
    assert [(c.threads, c.side, c.engine, c.beside) for c in found[-4:]] == [
        (2, 8, "avx2", ""),
        (1, 8, "avx2", ""),
        (2, 8, "", "python"),
        (1, 8, "", "python"),
    ]
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in said] == [" amx", " beside torch"]


def test_a_card_that_is_not_there_is_said_to_be(
    bench: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = bench("speed")
    here = ["cpu"]
    monkeypatch.setattr(speed.vqcodec, "features", lambda: {"devices": here})
    words = ["--codecs", "vqcodec", "--sides", "3464", "--devices", "cuda:0"]
    assert speed.main(words) == 1
    said = capsys.readouterr().err
    assert "cuda:0: this machine, or its torch, has no such device" in said
    assert "nothing is left to measure" in said
    here.append("cuda")
    assert [case.device for case in speed.cases(speed._parser().parse_args(words))] == ["cuda:0"]


def test_cards_have_a_table_with_the_share_of_the_coder(bench: Callable[[str], ModuleType]) -> None:
    tables = bench("report.speed_tables")
    run = {"codec": "vqcodec", "device": "cuda", "threads": 2, "pixels": 12_000_000, "bpp": 0.5, "load_s": 1}
    run |= {"encode_s": 0.5, "decode_s": 0.25, "peak_mib": 9, "png_read_s": 1, "png_write_s": 1}
    run |= {"encode_parts_s": {"analysis": 0.1, "search": 0.2, "coder": 0.1, "rest": 0.1}}
    run |= {"decode_parts_s": {"prior": 0.05, "coder": 0.05, "synthesis": 0.1, "rest": 0.05}}
    assert not any("card" in line for line, _ in tables.all_tables({"runs": [run]}))
    on_card = run | {"card": "Some card", "card_peak_mib": 700.2}
    rows = dict(tables.all_tables({"runs": [run, on_card]}))
    (found,) = [rows[line] for line in rows if "graphics card" in line]
    assert found[1:] == [["Some card", "2", "12", "24", "60%", "48", "40%", "700"]]


def test_a_case_gets_its_own_environment(
    bench: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = bench("processes")
    (tmp_path / "says.py").write_text(
        "import json, os\n"
        "print(json.dumps({k: v for k, v in os.environ.items() if k[:4] in ('VQCO', 'OMP_')}))"
    )
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    said = processes.figures_of("says", [], 3, "avx2")
    assert (said["OMP_NUM_THREADS"], said["VQCODEC_ENGINE"], said["VQCODEC_ISA"]) == ("3", "native", "avx2")
    assert "VQCODEC_ISA" not in processes.environment(1, "torch")
    assert processes.environment(1).keys() >= {"OMP_NUM_THREADS"}
    assert "PYTHONDONTWRITEBYTECODE" not in processes.environment(1)  # compiled as in an installed package


def test_instruction_sets_are_those_of_the_processor(
    bench: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = bench("processes")
    cpuinfo = "processor\t: 0\nmodel name\t: Some CPU: fast\nflags\t\t: fpu avx2 avx512_vnni\nflags : none\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpuinfo)
    assert processes.instruction_sets() == ["portable", "avx2", "avx512vnni"]
    assert processes.machine(2)["processor"] == "Some CPU: fast"


@pytest.mark.slow
def test_speed_splits_our_time_and_compares_sizes_and_commands(
    bench: Callable[[str], ModuleType],
    tiny_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def here(module: str, words: list[str], threads: int, engine: str) -> dict[str, Any]:
        """In this process: `test_speed_compares_at_one_rate` starts fresh ones."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert bench(module.removeprefix("benchmarks.")).main(words) == 0
        return dict(json.loads(printed.getvalue()))

    monkeypatch.setattr(bench("speed"), "figures_of", here)
    monkeypatch.setattr(bench("commands"), "TOOLS", ())
    source, out = tmp_path / "a.png", tmp_path / "speed.json"
    Image.fromarray(picture(64, 96)).save(source)
    words = ["--image", str(source), "--model", str(tiny_weights), "--codecs", "jpeg", "vqcodec"]
    words += ["--sides", "0", "80", "--repeats", "1", "--engines", "torch", "--beside", "python"]
    words += ["--devices", "cpu", "--out", str(out)]
    assert bench("speed").main([*words, "--commands"]) == 0
    result = json.loads(out.read_text())
    assert bench("speed").main([*words, "--resume"]) == 0
    assert json.loads(out.read_text())["runs"] == result["runs"]
    assert [(run["codec"], run["pixels"], run["engine"], run["beside"]) for run in result["runs"]] == [
        ("jpeg", 64 * 96, "", ""),
        ("vqcodec", 64 * 96, "", ""),
        ("jpeg", 80 * 80, "", ""),
        ("vqcodec", 80 * 80, "", ""),
        ("vqcodec", 64 * 96, "torch", ""),
        ("vqcodec", 64 * 96, "", "python"),
    ]
    for run in result["runs"]:
        ours = run["codec"] == "vqcodec"
        assert run.get("png_read_s", 0) > 0 or not ours
        for action, parts in (
            ("encode", {"analysis", "search", "prior", "coder", "rest"}),
            ("decode", {"prior", "coder", "synthesis", "rest"}),
        ):
            # Where codewords do not reach, encoding decodes samples too.
            split = set(run.get(f"{action}_parts_s", {}))
            assert parts <= split if ours else not split
    jpeg, own = result["runs"][2:4]
    printed = capsys.readouterr().out
    assert f"(x{own['encode_s'] / jpeg['encode_s']:.3g})" in printed
    names = ["compress", "decompress", "info", "--help", "--version"]
    assert [entry["process"] for entry in result["commands"]] == [f"vqcodec {name}" for name in names]
    for entry in result["cold"]:
        phases = [entry[part] for part in ("python_s", "import_s", "load_s", "picture_s")]
        assert min(phases) > 0
        assert sum(phases) == pytest.approx(entry["wall_s"], abs=0.001)
    assert "| a loop of python |" in printed
    # What other weights or settings gave is not kept.
    older = {**result, "runs": [{**jpeg, "side": 0, "versions": {"pillow": "0"}}]}
    out.write_text(json.dumps(older))
    words = [*words[:4], "--codecs", "jpeg", "--repeats", "1", "--out", str(out)]
    assert bench("speed").main([*words, "--resume"]) == 0
    assert [run["versions"] for run in json.loads(out.read_text())["runs"]] == [jpeg["versions"]]
    assert bench("speed").main([*words, "--bpp", "2", "--resume"]) == 1
    assert "other settings" in capsys.readouterr().err
