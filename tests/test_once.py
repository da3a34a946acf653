"""What workers of a run share is made by one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.once import LOCKS, made_once

MAKE = """
import sys, time
from pathlib import Path
from tests.once import made_once

def make(folder):
    with open(sys.argv[2], "a") as log:
        log.write("x")
    time.sleep(0.5)
    (folder / "made").write_text("all")

print((made_once(Path(sys.argv[1]), make) / "made").read_text())
"""


@pytest.mark.skipif(not LOCKS, reason="no locks of files on this system")
def test_processes_wait_for_the_one_that_makes_it(tmp_path):
    command = [sys.executable, "-c", MAKE, str(tmp_path / "shared"), str(tmp_path / "log")]
    root = Path(__file__).resolve().parents[1]
    started = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in started] == ["all\n"] * 3
    assert (tmp_path / "log").read_text() == "x"


def test_what_failed_is_made_anew(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        made_once(tmp_path / "shared", fail)
    folder = made_once(tmp_path / "shared", lambda folder: folder.joinpath("whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]
