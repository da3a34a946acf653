"""A command that is told to end: nothing half-written stays, and the exit code tells."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from vqcodec_cli import entry
from vqcodec_cli.signals import orderly_end

GOLDEN = Path(__file__).parents[1] / "golden"
SCRIPT = """if True:
    import pathlib, signal, sys, time
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which may be ignored around these tests, as by nohup
    pathlib.Path.replace = lambda *_: time.sleep(100)
    from vqcodec_cli.main import main
    sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_terminated_while_writing_leaves_nothing(tmp_path, name, code):
    words = ("decompress", GOLDEN / "dot.vqc", "-o", tmp_path / "dot.png", "-m", GOLDEN / "tiny.safetensors")
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(getattr(signal, name))
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP there")
def test_nohup_is_kept():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with orderly_end():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_while_things_are_imported_is_told_in_a_line(monkeypatch, capsys):
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "vqcodec_cli.main", Interrupted("vqcodec_cli.main"))
    monkeypatch.setattr(sys, "argv", ["vqcodec", "info"])
    assert entry.main() == 130
    assert capsys.readouterr().err == "vqcodec: interrupted\n"


def test_the_signal_is_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with orderly_end():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    # Elsewhere than in the main thread it is left alone.
    seen = []

    def elsewhere() -> None:
        with orderly_end():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]
