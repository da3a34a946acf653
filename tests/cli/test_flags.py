"""Flags and policies of the command line that no other file tests; test_table.py has the list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import picture
from vqcodec.bitstream import parse, write
from vqcodec.compress.dial import busyness, level_from_quality
from vqcodec.types import Chunk


@pytest.fixture
def coded(codec, photo) -> Path:
    """photo.vqc beside photo.png."""
    path = photo.with_suffix(".vqc")
    codec.compress_file(photo, path, quality=80)
    return path


def test_defaults(vqcodec, tmp_path):
    path, pixels = tmp_path / "wide.png", picture(70, 1100)
    Image.fromarray(pixels).save(path)
    coded = path.with_suffix(".vqc")
    for words, quality, tile, tiles in (
        ([], 50, 1024, 2),
        (["-q", 75, "--tile", 512], 75, 512, 3),
        (["--tile", 0], 50, 0, 1),
    ):
        assert vqcodec("compress", path, "-f", *words).code == 0
        found = json.loads(vqcodec("info", "--json", coded).out)
        level = level_from_quality(quality, busyness(pixels))
        assert (found["level"], found["tile"], found["tiles"]) == (level, tile, tiles)
        assert f"  q{level / 2.52:.0f}  " in vqcodec("info", coded).out.decode()


def test_a_file_cannot_name_a_path(vqcodec, coded, models, tmp_path, make_model):
    """Only -m gives a path; the name in a file is for people."""
    container = parse(coded.read_bytes())
    elsewhere = make_model(tmp_path / "elsewhere.safetensors", b"\xee" * 8)
    named = Chunk("mODL", str(elsewhere).encode()[:64])
    coded.write_bytes(write(container.header, container.segments, [named]))
    (models / "default.safetensors").unlink()
    assert vqcodec("decompress", coded, "-f").code == 4
    make_model(models / "default.safetensors", container.header.bitstream_id)
    assert vqcodec("decompress", coded, "-f").code == 0


def test_compare_has_ms_ssim(vqcodec, photo, tmp_path):
    """Where the picture is large enough for it."""
    path = tmp_path / "large.png"
    Image.fromarray(picture(176, 180)).save(path)
    run = vqcodec("compress", "--dry-run", "--compare", path, "-q", 100)
    assert "  PSNR inf dB  MS-SSIM 1.0000  enc " in run.err
    worse = float(vqcodec("compress", path, "--compare", "-q", 0).err.split("MS-SSIM ")[1].split()[0])
    assert 0.5 < worse < 0.9999
    small = vqcodec("compress", "--dry-run", "--compare", photo).err
    assert "PSNR" in small
    assert "MS-SSIM" not in small
    found = json.loads(vqcodec("compress", "--dry-run", "--compare", path, "-q", 100, "--json").out)
    assert (found["psnr"], found["output"]) == (None, None)  # JSON has no infinity
    assert found["ms_ssim"] == pytest.approx(1)


def test_json_of_conversions(vqcodec, photo, coded, tmp_path):
    run = vqcodec("compress", photo, tmp_path / "none.png", "--skip-existing", "--json")
    assert run.code == 1
    skipped, failed = map(json.loads, run.out.splitlines())
    assert skipped == {"file": str(photo), "output": str(coded), "status": "skipped"}
    assert (failed["status"], failed["error"], failed["code"]) == ("failed", "No such file or directory", 1)
    assert run.err.splitlines()[0] == f"vqcodec: {tmp_path / 'none.png'}: No such file or directory"

    target = tmp_path / "x.png"
    run = vqcodec("decompress", "-", "-o", target, "--json", stdin=coded.read_bytes())
    found = json.loads(run.out)
    assert (found["file"], found["output"], found["status"]) == ("-", str(target), "ok")
    assert found["bpp"] == pytest.approx(8 * coded.stat().st_size / (72 * 48))
    assert run.err == ""
    for words in (["compress", "-"], ["compress", photo, "-o", "-"], ["decompress", "-", "--format", "png"]):
        run = vqcodec(*words, "--json", stdin=coded.read_bytes())
        assert (run.code, run.out) == (2, b"")
        assert "exclude each other" in run.err


def test_json_of_checks(vqcodec, coded, tmp_path):
    bad = tmp_path / "bad.vqc"
    bad.write_bytes(b"text")
    for command in ("verify", "info"):
        run = vqcodec(command, "--json", coded, bad)
        good, failed = map(json.loads, run.out.splitlines())
        assert run.code == 3
        assert (good["file"], good["status"], good["width"]) == (str(coded), "ok", 72)
        assert (failed["file"], failed["status"], failed["code"]) == (str(bad), "failed", 3)
        assert run.err == f"vqcodec: {bad}: {failed['error']}\n"


def test_exit_code_of_mixed_failures(vqcodec, coded, tmp_path):
    bad = tmp_path / "bad.vqc"
    bad.write_bytes(b"text")
    missing = tmp_path / "missing.vqc"
    assert vqcodec("decompress", bad, coded, "-f").code == 3
    assert vqcodec("decompress", bad, missing, coded, "-f").code == 1
    assert vqcodec("decompress", missing, coded, "-f").code == 1


def test_environment_changes_nothing(vqcodec, photo, coded, monkeypatch):
    expected = vqcodec("compress", photo, "-o", "-").out
    for name in ("VQCODEC_QUALITY", "VQCODEC_COMPRESS_QUALITY", "COMPRESS_QUALITY", "QUALITY"):
        monkeypatch.setenv(name, "10")
    assert vqcodec("compress", photo, "-o", "-").out == expected


@pytest.mark.parametrize(
    "words",
    [
        ("compress", "-r", ""),
        ("compress", "a.png", "--output-dir", ""),
        ("compress", "a.png", "-o", ""),
        ("decompress", "a.vqc", "-m", ""),
        ("info", ""),
        ("inspect", "a.vqc", "-o", ""),
    ],
)
def test_an_empty_name_is_not_this_folder(vqcodec, photo, monkeypatch, words):
    """As of a shell's variable that is not set."""
    monkeypatch.chdir(photo.parent)
    run = vqcodec(*words)
    assert (run.code, list(photo.parent.glob("**/*.vqc"))) == (2, [])
    assert "a name is empty" in run.err
