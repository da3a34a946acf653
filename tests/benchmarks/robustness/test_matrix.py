"""The matrix of exactness on few files; memory, threads and faults in small."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

from vqcodec.codec import Codec

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def room(name: str):
    return importlib.import_module(f"benchmarks.robustness.{name}")


@pytest.fixture(scope="module")
def tiny() -> Codec:
    return room("samples").load()


def test_what_differs_is_named():
    compared = room("matrix").compared
    base = {
        "decoded": {"a": ["1", "2"], "b": ["3", "4"]},
        "encoded": {"a": "5", "b effort 2": "6", "c": "7"},
    }
    same = {"decoded": 2, "encoded": 3, "bytes": 3, "wrong": [], "others": []}
    assert compared(base, base) == same
    other = {"decoded": {"a": ["1", "9"]}, "encoded": {"a": "5", "b effort 2": "0", "c": "0"}}
    found = compared(base, other)
    assert found["wrong"] == ["a", "b", "c encoded otherwise"]
    assert (found["others"], found["bytes"]) == (["b effort 2", "c"], 1)
    without_torch = base | {"encoded": {"a": "5"}}
    assert compared(base, without_torch)["wrong"] == ["c not encoded"]


def test_every_engine_thread_count_and_instruction_set_is_tried():
    matrix = room("matrix")
    tried = matrix.settings()
    assert next(iter(tried)) == matrix.BASE
    variables = [setting.changes for setting in tried.values()]
    assert {changes.get("VQCODEC_ENGINE") for changes in variables} >= {None, "native", "torch"}
    assert {changes["OMP_NUM_THREADS"] for changes in variables} == {"1", "2", "3"}
    instructions = {changes.get("VQCODEC_ISA") for changes in variables} - {None}
    assert instructions == set(matrix.instruction_sets())
    assert any("--batch" in setting.words for setting in tried.values())


def test_digests_are_of_indices_and_of_every_decoder(tmp_path):
    coder, samples = room("coder"), room("samples")
    weights = tmp_path / "two.safetensors"
    samples.write_two_faced(weights)
    codec = samples.load(weights)
    made = list(samples.fresh(2, largest=33))
    first, second = (coder.digests(codec, sample.compress(codec)) for sample in made)
    assert len(set(first) | set(second)) == 2 * (1 + len(coder.REALISMS))
    # Tunes have tables of their own.
    image = made[0].image
    files = {codec.compress(image, tune=tune, quality=60)[40:] for tune in ("eyes", "psnr")}
    assert len(files) == 2


@pytest.mark.slow
def test_engines_agree_on_fresh_files():
    matrix = room("matrix")
    tried = matrix.settings(quick=True)
    chosen = {name: tried[name] for name in (next(iter(tried)), next(n for n in tried if "torch" in n))}
    chosen["batch"] = matrix.Setting(changes=matrix.environment(1), words=("--batch",))
    rows = list(matrix.run({"count": 8, "files": []}, chosen))
    assert [row["wrong"] for row in rows] == [[], [], []]
    assert [row["bytes"] for row in rows] == [9, rows[1]["bytes"], 9]
    assert rows[0]["decoded"] == 9 + len(room("samples").golden())


def test_threads_share_a_codec(tiny):
    found = room("resources").threads(tiny)
    assert found["ok"], found


@LINUX
def test_memory_that_grows_shows(tiny):
    resources = room("resources")
    held: list[bytes] = []
    found = resources.curve(lambda _: held.append(b"x" * 500_000), 80)
    assert len(found) == resources.POINTS + 1
    assert found[-1] - found[len(found) // 2] > resources.LEAK_KB / 1024
    rows = list(resources.leaks(tiny, "tiny", 24, 9, side=16))
    assert len(rows) == 3
    assert all(row["ok"] for row in rows), rows


@LINUX
@pytest.mark.parametrize("name", ["2^31 pixels, no limits", "metadata of 64 MiB in 64 kB"])
def test_bombs_are_refused(tiny, name):
    found = room("resources").try_bomb(name, tiny)
    assert found["error"] in ("LimitExceeded", "Truncated", "CorruptData")
    assert found["mb"] < room("resources").BOMB_MB


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("check", ["full", "changing", "read-only", "memory", "worker", "killed", "held"])
def test_faults_leave_nothing_half_written(monkeypatch, capsys, check):
    faults = room("faults")
    monkeypatch.setattr(sys, "argv", ["faults", "--kills", "2", "--json", "--only", check])
    with pytest.raises(SystemExit) as ended:
        faults.main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    assert (ended.value.code, [row for row in rows if not row["ok"]]) == (0, [])


@LINUX
def test_half_written_results_show(tiny, tmp_path):
    there = room("room").Room(tmp_path, tiny)
    assert there.whole(tmp_path / "none.vqc")
    assert there.whole(tmp_path / "1.vqc")
    (tmp_path / "1.vqc").write_bytes((tmp_path / "1.vqc").read_bytes()[:-1])
    with pytest.raises(Exception, match="data ends"):
        there.whole(tmp_path / "1.vqc")
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:-400])
    with pytest.raises(OSError, match="truncated"):
        there.whole(tmp_path / "1.png")
    (tmp_path / ".a.vqcodec.tmp").touch()
    assert there.left() == [".a.vqcodec.tmp"]
    assert there.left() == []
