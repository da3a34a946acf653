"""What befalls commands, a few times each."""

from __future__ import annotations

import json
import sys

import pytest

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("check", ["full", "changing", "read-only", "memory", "worker", "killed", "held"])
def test_faults_leave_nothing_half_written(room, tmp_path, monkeypatch, capsys, check):
    faults = room("faults")
    if check == "full":
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["faults", "--kills", "2", "--json", "--only", check])
    with pytest.raises(SystemExit) as ended:
        faults.main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    assert (ended.value.code, [row for row in rows if not row["ok"]]) == (0, [])
    # Nor a compiled module, which the next command would take for whole.
    assert not [path for path in tmp_path.rglob("*.pyc") if path.stat().st_size <= 100]


@LINUX
def test_half_written_results_show(room, tiny, tmp_path):
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
