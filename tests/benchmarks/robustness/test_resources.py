"""Memory, threads and bombs in small."""

from __future__ import annotations

import mmap
import sys

import pytest

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_threads_share_a_codec(room, tiny):
    found = room("resources").threads(tiny)
    assert found["ok"], found


@LINUX
def test_memory_that_grows_shows(room, tiny):
    resources = room("resources")
    held: list[mmap.mmap] = []  # not the heap, where a process that was busy before has room left

    def leak(_: int) -> None:
        held.append(mmap.mmap(-1, 500_000))
        held[-1].write(b"x" * 500_000)

    found = resources.curve(leak, 80)
    assert len(found) == resources.POINTS + 1
    assert found[-1] - found[len(found) // 2] > resources.LEAK_KB / 1024
    rows = list(resources.leaks(tiny, "tiny", 24, 9, side=16))
    assert len(rows) == 3
    assert all(row["ok"] for row in rows), rows


@LINUX
@pytest.mark.parametrize("name", ["2^31 pixels, no limits", "metadata of 64 MiB in 64 kB"])
def test_bombs_are_refused(room, tiny, name):
    found = room("resources").try_bomb(name, tiny)
    assert found["error"] in ("LimitExceeded", "Truncated", "CorruptData")
    assert found["mb"] < room("resources").BOMB_MB
