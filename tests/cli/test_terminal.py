"""What only a person at a terminal sees: the progress bar and completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from PIL import Image

from vqcodec_cli import ui
from vqcodec_cli.main import cli


def test_bar_on_a_terminal(vqcodec, photo, tmp_path, monkeypatch):
    copies = [tmp_path / f"{number}.png" for number in range(3)]
    for path in copies:
        path.write_bytes(photo.read_bytes())
    quiet = vqcodec("compress", *copies).err
    monkeypatch.setattr(ui, "DELAY", 0)
    assert "\r" not in vqcodec("compress", *copies, "-f").err  # no terminal
    monkeypatch.setattr("vqcodec_cli.ui.sys.stderr.isatty", lambda: True, raising=False)
    shown = vqcodec("compress", *copies, "-f").err
    assert f"\r[{'#' * 10}{'.' * 20}] 1/3  0:00 left\r" in shown
    assert f"\r[{'#' * 20}{'.' * 10}] 2/3  0:00 left\r" in shown
    assert "3/3" not in shown
    # Lines stand alone: what follows the wiped bar is what would have been there without it.
    names = [line.rsplit("\r", 1)[-1].split(" ")[0] for line in shown.split("\n")]
    assert names == [line.split(" ")[0] for line in quiet.split("\n")]
    for words in (["--no-progress"], ["--quiet"]):
        assert "\r" not in vqcodec("compress", *copies, "-f", *words).err
    monkeypatch.setattr(ui, "DELAY", 1000)
    assert "\r" not in vqcodec("compress", *copies, "-f").err


def test_bar_of_a_single_file_counts_its_parts(vqcodec, photo, tmp_path, monkeypatch):
    large, parts = tmp_path / "large.png", 6
    with Image.open(photo) as image:
        image.resize((192, 100)).save(large)
    monkeypatch.setattr(ui, "DELAY", 0)
    words = ("compress", large, "-o", tmp_path / "x.vqc", "--tile", "64", "-f")
    assert "\r" not in vqcodec(*words).err  # no terminal
    monkeypatch.setattr("vqcodec_cli.ui.sys.stderr.isatty", lambda: True, raising=False)
    shown = vqcodec(*words).err
    assert all(f"] {done}/{parts}  0:0" in shown for done in range(1, parts))
    assert f"{parts}/{parts}" not in shown
    line = shown.rstrip("\n").rsplit("\r", 1)[-1]
    assert line.startswith(f"{large} -> ")  # the bar is wiped
    assert "\r" not in vqcodec(*words, "--no-progress").err


def complete(words: str, shell: str = "bash") -> list[str]:
    last = len(words.split(" ")) - 1
    environment = {
        **os.environ,
        "_VQCODEC_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(last) if shell != "fish" else words.split(" ")[-1],
    }
    done = subprocess.run(
        [sys.executable, "-m", "vqcodec"], env=environment, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode().splitlines()


def test_completion_of_words():
    assert complete("vqcodec dec") == ["plain,decompress"]
    assert "plain,--quality" in complete("vqcodec compress --q")
    assert complete("vqcodec dec", "fish")[0].startswith("plain,decompress\t")
    assert complete("vqcodec dec", "zsh")[:2] == ["plain", "decompress"]
    for shell in ("bash", "zsh", "fish"):
        environment = {**os.environ, "_VQCODEC_COMPLETE": f"{shell}_source"}
        words = [sys.executable, "-m", "vqcodec"]
        done = subprocess.run(words, env=environment, capture_output=True, check=True, timeout=60)
        assert b"_VQCODEC_COMPLETE=" + shell.encode() + b"_complete" in done.stdout


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("compress a.p", "file"),
        ("compress -o q", "file"),
        ("compress --output-dir lo", "dir"),
        ("decompress -m w", "file"),
        ("info a", "file"),
        ("verify a", "file"),
        ("inspect a", "file"),
        ("inspect a -o lo", "dir"),
        ("view a", "file"),
        ("thumbnail a", "file"),
        ("thumbnail a b", "file"),
        ("models import w", "file"),
        ("models export-decoder lo", "dir"),
    ],
)
def test_names_of_files_are_left_to_the_shell(words, kind):
    """Which knows them better; of what is answered nothing, it would offer nothing."""
    *before, last = words.split()
    offered = ShellComplete(cli, {}, "vqcodec", "").get_completions(before, last)
    assert [(item.type, item.value) for item in offered] == [(kind, last)]


def test_completion_in_bash(tmp_path):
    """The documented line, with a `vqcodec` on the path as pip would install it."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    script = tmp_path / "vqcodec"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m vqcodec \"$@\"\n")
    script.chmod(0o755)
    line = 'eval "$(_VQCODEC_COMPLETE=bash_source vqcodec)"'
    page = Path(__file__).resolve().parents[2] / "docs" / "usage.md"
    assert line in page.read_text(encoding="utf-8")
    rest = "COMP_WORDS=(vqcodec com); COMP_CWORD=1; _vqcodec_completion vqcodec; echo ${COMPREPLY[@]}"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "-c", f"{line}; {rest}"], env=environment, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"compress\n"
