"""Standard streams that are full, closed or unbuffered, in real processes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vqcodec.codec import Codec

MAIN = [sys.executable, "-c", "import sys; from vqcodec_cli.main import main; sys.exit(main(sys.argv[1:]))"]


@pytest.fixture
def environment(models: Path) -> dict[str, str]:
    """What finds the models of the test."""
    return {**os.environ, "VQCODEC_MODELS": str(models)}


@pytest.fixture
def coded(tmp_path: Path, pixels: np.ndarray, tiny_codec: Codec) -> Path:
    """A file of 72x48 pixels."""
    path = tmp_path / "a.vqc"
    path.write_bytes(tiny_codec.compress(pixels))
    return path


def run(arguments: list[str], environment: dict[str, str], shell: str) -> tuple[int, str]:
    """Exit code and stderr of the command under a shell that changes its streams."""
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *MAIN, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["info"], ["info", "--json"], ["info", "-v"]])
def test_a_full_disk_is_told_once(coded, environment, arguments, unbuffered):
    environment["PYTHONUNBUFFERED"] = unbuffered
    code, err = run([*arguments, str(coded)], environment, '"$@" >/dev/full')
    assert code == 1
    assert "No space left on device" in err
    assert "Traceback" not in err
    assert "Exception" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["info", "-v"], ["decompress", "-o", "-", "--format", "ppm", "-m"]])
def test_trouble_with_stdout_is_told_once_and_blames_no_file(coded, environment, tiny_weights, arguments):
    arguments = [*arguments, *([str(tiny_weights)] if arguments[-1] == "-m" else []), str(coded)]
    for shell, told in ((">/dev/full", "No space left on device"), (">&-", "standard output is closed")):
        code, err = run(arguments, environment, f'"$@" {shell}')
        assert (code, err) == (1, f"vqcodec: <stdout>: {told}\n")
    assert run(arguments, environment, 'exec 3>&1; { sleep .1; "$@" 2>&3; } | true')[1] == ""


@pytest.mark.parametrize(
    "arguments", [["info"], ["info", "--json"], ["verify", "--json"], ["models", "list"]]
)
def test_a_closed_stdout_is_a_failure(coded, environment, arguments):
    code, err = run(
        [*arguments, *([] if arguments[0] == "models" else [str(coded)])], environment, '"$@" >&-'
    )
    assert (code, "standard output is closed" in err) == (1, True)


def test_a_closed_stdin_is_a_failure_and_a_closed_stderr_is_none(coded, environment):
    code, err = run(["info", "-"], environment, '"$@" <&-')
    assert (code, err) == (1, "vqcodec: -: standard input is closed\n")
    assert run(["verify", str(coded)], environment, '"$@" 2>&-') == (0, "")


def test_short_writes_of_an_unbuffered_stdout_fail(coded, environment, tmp_path, tiny_weights):
    environment["PYTHONUNBUFFERED"] = "1"
    out = tmp_path / "out"
    command = f'ulimit -f 8; "$@" >{out}'  # 4096 bytes, of 72 * 48 * 3
    arguments = ["decompress", str(coded), "-m", str(tiny_weights), "-o", "-", "--format", "ppm"]
    code, err = run(arguments, environment, command)
    assert (code, "too large" in err, out.stat().st_size) == (1, True, 4096)


def test_a_refused_picture_has_one_line(environment, tmp_path, tiny_weights):
    path = tmp_path / "a.tif"
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 110), (277, 2048), (278, 8)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4 + 64))
    code, err = run(["compress", str(path), "-m", str(tiny_weights)], environment, '"$@"')
    assert (code, err.count("\n")) == (3, 1)
    assert err.startswith(f"vqcodec: {path}: damaged or unsupported TIFF picture")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text there")
@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", b"\xff\xe2\x82\xac.vqc: "), ("latin-1", b"\\udcff\\u20ac.vqc: ")]
)
def test_any_name_of_a_file_can_be_shown(environment, tmp_path, encoding, shown):
    name = os.fsdecode(b"\xff\xe2\x82\xac.vqc")
    (tmp_path / name).write_bytes((Path(__file__).parents[1] / "golden" / "dot.vqc").read_bytes())
    done = subprocess.run(
        [*MAIN, "info", name],
        cwd=tmp_path,
        env={**environment, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(shown)
