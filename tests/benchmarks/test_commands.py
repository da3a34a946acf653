"""Whole processes under the clock, busy neighbours, and the codec that only its time is taken of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

FAKE_ENCODER = """#!/bin/sh
if [ "$1" = -version ]; then echo fake 1.2; exit; fi
if [ $# != 3 ]; then echo wrong words >&2; exit 1; fi
head -c $(($1 * $1)) /dev/zero > "$3"
"""
FAKE_DECODER = """#!/bin/sh
cat "$1" > "$2"
"""
FAKE_VQCODEC = """#!/bin/sh
if [ "$1" = compress ]; then head -c 110 /dev/zero > "$4"; fi
"""


@pytest.mark.skipif(sys.platform == "win32", reason="programs of the fake codec are scripts")
def test_tools_are_compared_at_our_size_where_they_are_installed(
    bench: Callable[[str], ModuleType],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = bench("commands")
    folder = tmp_path / "with spaces"
    folder.mkdir()
    programs = {"fake-enc": FAKE_ENCODER, "fake-dec": FAKE_DECODER, "ours": FAKE_VQCODEC}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(commands.tempfile, "tempdir", None)
    monkeypatch.setattr(commands, "VQCODEC", [str(folder / "ours")])
    fake = commands.Tool(
        "fake-enc",
        "{quality} {source} {target}",
        "fake-dec",
        "{source} {target}",
        ".x",
        "-version",
        range(1, 16),
    )
    missing = commands.Tool("no-such-enc", "", "fake-dec", "", ".x", "-version", range(2))
    monkeypatch.setattr(commands, "TOOLS", (fake, missing))
    entries = commands.run(pictures / "a.png", "default", 1, 1)
    monkeypatch.undo()
    assert [entry["process"] for entry in entries[:2]] == ["vqcodec compress", "vqcodec decompress"]
    assert [entry["process"] for entry in entries[5:]] == ["fake-enc", "fake-dec"]
    assert {"version": "fake 1.2", "quality": 10, "bytes": 100}.items() <= entries[5].items()
    assert all(0 < entry["wall_s"] < 10 for entry in entries)
    assert "no-such-enc is not installed" in capsys.readouterr().err


def test_what_a_failed_command_says_is_passed_on(
    bench: Callable[[str], ModuleType], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        bench("commands").seconds([sys.executable, "-c", "raise SystemExit('why')"], 1, 1)
    assert "why" in capfd.readouterr().err


def test_a_cold_start_is_split_by_what_python_says_of_imports(bench: Callable[[str], ModuleType]) -> None:
    said = """import time: self [us] | cumulative | imported package
import time:     90000 |      90000 | site
phase: load 10.0
import time:    200000 |     200000 |   numpy
import time:    100000 |     300000 | vqcodec
phase: picture 11.0
some warning
import time:     50000 |      50000 | PIL.Image
phase: end 11.5
import time:     70000 |      70000 | atexit
"""
    found = bench("cold").split(said.splitlines(), 2.0)
    expected = {"python_s": 0.5, "import_s": 0.35, "load_s": 0.7, "picture_s": 0.45, "wall_s": 2.0}
    assert found == pytest.approx(expected)


def test_a_neighbour_is_busy_and_goes(
    bench: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours, started = bench("neighbours"), []

    def popen(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(*args, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(neighbours, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": popen}))
    with neighbours.busy(""):
        assert not started
    with neighbours.busy("python"):
        (process,) = started
        time.sleep(0.05)
        assert process.poll() is None
    assert process.poll() is not None
    monkeypatch.setitem(neighbours.NEIGHBOURS, "broken", "raise SystemExit(3)")
    with pytest.raises(subprocess.CalledProcessError), neighbours.busy("broken"):
        raise AssertionError


def test_pictures_of_any_size_pass_through_the_hyperprior(
    bench: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    import torch  # noqa: PLC0415  the networks' library

    class Network:
        """Instead of CompressAI's: keeps pixels as they are."""

        def __init__(self, quality: int, pretrained: bool) -> None:
            assert (quality, pretrained) == (3, False)

        def eval(self) -> Network:
            return self

        def update(self, force: bool) -> None:
            assert force

        def compress(self, x: torch.Tensor) -> dict[str, object]:
            assert x.shape == (1, 3, 64, 64)
            return {"strings": [[x.numpy().tobytes()], [b"z"]], "shape": torch.Size([4, 4])}

        def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, torch.Tensor]:
            assert (strings[1], shape) == ([b"z"], (4, 4))
            values = np.frombuffer(strings[0][0], np.float32).reshape(1, 3, 64, 64)
            return {"x_hat": torch.from_numpy(values.copy())}

    hyperprior = bench("hyperprior")
    monkeypatch.setattr(hyperprior, "_zoo", lambda: SimpleNamespace(bmshj2018_hyperprior=Network))
    codec = hyperprior.Hyperprior()
    pixels = np.asarray(Image.open(pictures / "b.png"))
    assert np.array_equal(codec.decode(codec.encode(pixels, 3)), pixels)
    assert hyperprior.available() == ("none" not in codec.versions.values())


def test_compressai_is_imported_without_torchvision(
    bench: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torchvision", "torchvision.transforms"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "compressai", SimpleNamespace(zoo="models"))
    assert bench("hyperprior")._zoo() == "models"
    import torchvision.transforms  # noqa: PLC0415  the stand-in

    assert torchvision.transforms.__spec__ is None
