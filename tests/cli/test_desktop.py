"""`vqcodec desktop` and `vqcodec view`: what file managers are told, and a picture in the viewer."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import picture
from vqcodec.bitstream import MAGIC
from vqcodec_cli import desktop
from vqcodec_cli import view as viewing
from vqcodec_cli.main import main

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="freedesktop's files")
FILES = sorted(desktop._FILES)


class Programs:
    """Programs in a folder that write down what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder.with_name("called")
        folder.mkdir()

    def __call__(self, name: str, code: int = 0) -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "$0" "$@" >> {shlex.quote(str(self.log))}\nexit {code}\n')
        path.chmod(0o755)

    def called(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """On a PATH with nothing else."""
    found = Programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(found.folder))
    return found


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "share"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


def written(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_install_and_remove(programs, data, tmp_path, capsys):
    programs("update-mime-database")
    assert main(["desktop", "install"]) == 0
    assert written(data) == FILES
    said = capsys.readouterr().err
    assert all(f"wrote {data / name}" in said for name in FILES)
    assert "update-desktop-database is not installed" in said
    assert programs.called() == [f"{tmp_path}/bin/update-mime-database {data}/mime"]
    (kind,) = ET.parse(data / FILES[1]).getroot()
    assert kind.get("type") == "image/x-vqc"
    (match,) = kind.findall("{*}magic/{*}match")
    assert match.attrib["value"].encode().decode("unicode_escape").encode("latin-1") == MAGIC
    assert main(["desktop", "install"]) == 0  # again
    (data / "mime" / "packages" / "other.xml").touch()
    assert main(["desktop", "remove"]) == 0
    assert written(data) == ["mime/packages/other.xml"]
    assert main(["desktop", "remove"]) == 0
    assert len(programs.called()) == 4


def test_a_database_that_fails_is_told(programs, data, capsys):
    programs("update-mime-database", code=3)
    assert main(["desktop", "install"]) == 0
    assert "update-mime-database failed with 3" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("update-mime-database") is None, reason="needs shared-mime-info")
def test_the_real_database_takes_it(data):
    assert main(["desktop", "install"]) == 0
    assert "image/x-vqc:*.vqc" in (data / "mime" / "globs2").read_text()
    assert MAGIC in (data / "mime" / "magic").read_bytes()
    assert main(["desktop", "remove"]) == 0
    assert "vqc" not in (data / "mime" / "globs2").read_text()


@pytest.mark.usefixtures("programs")
def test_the_thumbnailer_makes_thumbnails(data, tiny_weights, tiny_codec, tmp_path):
    """By the line as it stands in the file."""
    assert main(["desktop", "install"]) == 0
    lines = (data / "thumbnailers/vqcodec.thumbnailer").read_text().splitlines()
    entry = dict(line.split("=", 1) for line in lines[1:])
    assert lines[0] == "[Thumbnailer Entry]"
    assert entry["MimeType"] == "image/x-vqc;"
    assert Path(entry["TryExec"]).is_file()
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(tiny_weights, models)
    source, target = tmp_path / "a b.vqc", tmp_path / "x.png"
    source.write_bytes(tiny_codec.compress(picture(100, 150)))
    codes = {"%u": source.as_uri(), "%i": str(source), "%o": str(target), "%s": "48"}
    words = [codes.get(word, word) for word in shlex.split(entry["Exec"])]
    environment = os.environ | {"VQCODEC_MODELS": str(models), "VQCODEC_LINGER": "0"}
    subprocess.run(words, env=environment, check=True, timeout=60)
    with Image.open(target) as image:
        assert image.size == (48, 32)
        assert image.info["Thumb::URI"] == source.as_uri()


def test_words_of_a_command_are_quoted(monkeypatch, tmp_path, programs, data):
    script = tmp_path / 'my "own" 100%' / "vqcodec"
    script.parent.mkdir()
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert main(["desktop", "install"]) == 0
    line = (data / "applications/vqcodec-view.desktop").read_text().split("Exec=")[2].splitlines()[0]
    assert shlex.split(line)[0].replace("%%", "%") == str(script)
    assert shlex.split(line)[1:] == ["view", "%f"]
    monkeypatch.setattr(sys, "argv", ["elsewhere"])
    assert desktop.program_words() == [sys.executable, "-m", "vqcodec"]
    programs("vqcodec")
    assert desktop.program_words() == [shutil.which("vqcodec")]


def test_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", given)
        assert desktop.data_folder() == tmp_path / ".local" / "share"
    assert desktop.data_folder(system=True) == Path("/usr/local/share")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert main(["desktop", "install"]) == 2


@pytest.fixture
def viewed(tmp_path, monkeypatch):
    """The folder in which temporary files are made."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def file(vqcodec, photo, tmp_path):
    path = tmp_path / "photo.vqc"
    assert vqcodec("compress", photo, "-o", path).code == 0
    return path


def test_view_opens_a_png(vqcodec, file, programs, viewed, codec):
    programs("xdg-open")
    old = viewed / (viewing.PREFIX + "old")
    young = viewed / (viewing.PREFIX + "young")
    for folder in (old, young):
        folder.mkdir()
    long_ago = time.time() - viewing.KEPT_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    assert vqcodec("view", file).code == 0
    (called,) = programs.called()
    path = Path(called.split()[1])
    assert path.name == "photo.png"
    assert path.parent.parent == viewed
    with Image.open(path) as image:
        assert image.tobytes() == codec.decompress(file).tobytes()
    assert not old.exists()
    assert young.exists()


def test_view_tells_that_there_is_no_viewer(vqcodec, file, programs, viewed):
    run = vqcodec("view", file)
    assert run.code == 1
    assert "there is no viewer" in run.err
    assert "xdg-open was not found" in run.err
    programs("xdg-open", code=3)
    run = vqcodec("view", file)
    assert run.code == 1
    assert "could not open the picture (exit code 3)" in run.err
    programs("xdg-open")
    run = vqcodec("view", "nowhere")
    assert (run.code, run.err) == (1, "vqcodec: nowhere: No such file or directory\n")
    file.write_bytes(b"text")
    run = vqcodec("view", file)
    assert (run.code, run.err) == (3, f"vqcodec: {file}: this is not a .vqc file\n")
    assert list(viewed.iterdir()) == []
