"""`vqcodec thumbnail`: the PNG it writes, and the process that stays for the next one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from PIL import Image

from tests.tiny import picture
from vqcodec_cli import entry, lingering
from vqcodec_cli.main import main

pytestmark = pytest.mark.usefixtures("models_folder")
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that stay without fork")


@pytest.fixture
def models_folder(installed_tiny, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return installed_tiny


@pytest.fixture
def file(tiny_codec, tmp_path):
    path = tmp_path / "a b.vqc"
    path.write_bytes(tiny_codec.compress(picture(100, 150)))
    os.utime(path, (1000, 12345))
    return path


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A folder of one's own for sockets."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv(lingering.VARIABLE, "3")
    return folder


def started(*words):
    """The program as file managers start it: exit code and what it said."""
    command = [sys.executable, "-m", "vqcodec_cli.entry", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_a_png_that_tells_its_file(file, tmp_path, capsys):
    target = tmp_path / "x"
    assert main(["thumbnail", str(file), str(target), "50"]) == 0
    with Image.open(target) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (50, 33), "RGB")
        assert image.info == {"Software": "vqcodec"}
    assert main(["thumbnail", "--uri", file.as_uri(), str(file), str(target), "50"]) == 0
    with Image.open(target) as image:
        told = {key.removeprefix("Thumb::"): value for key, value in image.info.items()}
    size = str(file.stat().st_size)
    wanted = {"URI": file.as_uri(), "MTime": "12345", "Size": size, "Mimetype": "image/x-vqc"}
    assert told == wanted | {"Software": "vqcodec"}
    assert main(["thumbnail", "--uri", "file:///\udcff/\u00e4.vqc", str(file), str(target), "50"]) == 0
    with Image.open(target) as image:
        assert image.info["Thumb::URI"] == "file:///%FF/\u00e4.vqc"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("run", [lambda words: main(list(words)), lambda words: started(*words)[0]])
def test_a_vqc_file_is_never_overwritten(file, tmp_path, run):
    """As with `vqcodec thumbnail *.vqc 64` where there are two; by the short way and by click."""
    before, other, link = file.read_bytes(), tmp_path / "other", tmp_path / "link.png"
    other.write_bytes(before)
    link.symlink_to(file)
    for target in (file, other, link):
        assert run(["thumbnail", str(file), str(target), "64"]) == 1
        assert target.read_bytes() == before
    assert run(["thumbnail", str(file), str(tmp_path / "new.png"), "64"]) == 0
    assert run(["thumbnail", str(file), str(tmp_path / "new.png"), "64"]) == 0  # but thumbnails are


@pytest.mark.parametrize("words", [["-", "x.png"], ["a.vqc", "-"]])
def test_streams_are_refused(words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["thumbnail", *words, "64"]) == 2
    assert "files, not -" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_errors_are_told_in_a_line(file, tmp_path, capsys, models_folder):
    (tmp_path / "no.vqc").write_bytes(b"no picture")
    target = tmp_path / "x.png"
    assert main(["thumbnail", str(tmp_path / "no.vqc"), str(target), "50"]) == 3
    assert "no.vqc: this is not a .vqc file" in capsys.readouterr().err
    assert main(["thumbnail", "nowhere", str(target), "50"]) == 1
    assert main(["thumbnail", str(file), str(target), "0"]) == 2
    assert main(["thumbnail", str(file), str(tmp_path / "no" / "x.png"), "50"]) == 1
    shutil.rmtree(models_folder)
    assert main(["thumbnail", str(file), str(target), "50"]) == 4
    assert not target.exists()


def test_the_short_way_is_for_the_usual_words(file, tmp_path, monkeypatch):
    asked = []

    def make(*words):
        asked.append(words)
        return True

    monkeypatch.setattr(lingering, "make", make)
    target = str(tmp_path / "x.png")
    for words in (
        ["thumbnail", str(file), target, "50"],
        ["thumbnail", "--uri", "u", str(file), target, "9"],
    ):
        monkeypatch.setattr(sys, "argv", ["vqcodec", *words])
        assert entry.main() == 0
    assert asked == [(str(file), target, 50, None), (str(file), target, 9, "u")]
    for words in (
        ["thumbnail", "--help"],
        ["thumbnail", "-v", "a", "3"],
        ["thumbnail", "a", "b", "c"],
        ["-V"],
    ):
        monkeypatch.setattr(sys, "argv", ["vqcodec", *words])
        assert entry.main() == (0 if words[-1] in ("--help", "-V") else 2)
    assert len(asked) == 2
    # What cannot be made is tried again the long way, which tells why.
    monkeypatch.setattr(lingering, "make", lambda *_words: False)
    monkeypatch.setattr(sys, "argv", ["vqcodec", "thumbnail", "nowhere", target, "50"])
    assert entry.main() == 1


@pytest.mark.skipif(sys.platform == "win32", reason="folders in use stay there")
def test_a_folder_that_was_removed_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr(sys, "argv", ["vqcodec", "thumbnail", "a.vqc", "b.png", "50"])
    assert entry.main() == 1
    assert capsys.readouterr().err == "vqcodec: a.vqc: No such file or directory\n"


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it does within a while: a process that waits begins when the one that made it has ended."""
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


@posix
def test_the_first_process_serves_the_next(file, tmp_path, runtime, models_folder):
    first, second, third = (tmp_path / f"{n}.png" for n in range(3))
    assert started("thumbnail", file, first, 50) == (0, "")
    path = lingering.address()
    assert path is not None
    assert comes_true(lambda: lingering._waits(path))
    assert list(runtime.iterdir()) == [path]
    # It has the weights in memory.
    shutil.rmtree(models_folder)
    assert started("thumbnail", file, second, 50) == (0, "")
    assert second.read_bytes() == first.read_bytes()
    code, said = started("thumbnail", "nowhere", third, 50)
    assert (code, said) == (1, "vqcodec: nowhere: No such file or directory\n")
    assert comes_true(lambda: not list(runtime.iterdir()))
    assert started("thumbnail", file, third, 50)[0] == 4


@posix
def test_who_waits_serves_those_with_its_own_umask(runtime):
    addresses, before = set(), os.umask(0o022)
    try:
        for mask in (0o022, 0o077, 0o022):
            os.umask(mask)
            addresses.add(lingering.address())
            assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert len(addresses) == 2


@posix
def test_what_a_killed_process_left_is_replaced(file, tmp_path, runtime):
    path = lingering.address()
    assert path is not None
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(path))
    assert not lingering._waits(path)
    assert started("thumbnail", file, tmp_path / "x.png", 50) == (0, "")
    assert comes_true(lambda: lingering._waits(path))


@posix
def test_nobody_stays_where_others_could_ask(runtime, monkeypatch):
    assert lingering.address() is not None
    runtime.chmod(0o755)
    assert lingering.address() is None
    runtime.chmod(0o700)
    monkeypatch.setenv(lingering.VARIABLE, "0")
    assert lingering.address() is None
    monkeypatch.setenv(lingering.VARIABLE, "3")
    for folder in ("", "relative", str(runtime / "missing")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert lingering.address() is None
