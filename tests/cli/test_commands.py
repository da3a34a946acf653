"""The command line doing what it should: every command and flag, in-process with the fake codec."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vqcodec as library
from tests.image.icc_profiles import colour
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.types import Limits


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture
def coded(codec, photo) -> Path:
    """photo.vqc, lossless, beside photo.png."""
    path = photo.with_suffix(".vqc")
    codec.compress_file(photo, path, quality=100, drawn=False)
    return path


def test_default_names(vqcodec, photo, pixels, tmp_path):
    run = vqcodec("compress", photo, "-q", 100)
    assert (run.code, run.out) == (0, b"")
    path = photo.with_suffix(".vqc")
    size = path.stat().st_size
    assert run.err.startswith(f"{photo} -> {path}  72x48  q100  {size:,} B".replace(",", " "))
    assert f"{8 * size / (72 * 48):.3f} bpp  enc " in run.err
    assert run.err.count("\n") == 1

    photo.unlink()
    run = vqcodec("decompress", path)
    assert run.code == 0
    assert run.err.startswith(f"{path} -> {photo}  72x48  q100")
    assert np.array_equal(decoded(photo.read_bytes()), pixels)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["models", "photo.png", "photo.vqc"]


def test_file_stdin_and_option_order_give_identical_bytes(vqcodec, photo, codec, tmp_path):
    expected = codec.compress(photo, quality=30, tile=64)
    data = photo.read_bytes()
    out = tmp_path / "out.vqc"
    assert vqcodec("compress", photo, "-o", out, "-q", 30, "--tile", 64).code == 0
    assert out.read_bytes() == expected
    assert vqcodec("compress", "--tile=64", "-o", out, "-f", "-q30", "--", photo).code == 0
    assert out.read_bytes() == expected
    assert vqcodec("compress", "-", "-q", 30, "--tile", 64, stdin=data).out == expected
    assert vqcodec("compress", photo, "-o", "-", "-q", 30, "--tile", 64).out == expected
    out.unlink()
    assert vqcodec("compress", "-", "-o", out, "-q", 30, "--tile", 64, stdin=data).out == b""
    assert out.read_bytes() == expected


def test_decompress_streams_and_formats(vqcodec, coded, pixels, tmp_path):
    run = vqcodec("decompress", coded, "-o", "-", "--format", "ppm")
    assert run.out.startswith(b"P6")
    assert np.array_equal(decoded(run.out), pixels)
    assert f"{coded} -> <stdout>" in run.err
    assert vqcodec("decompress", "-", "--format", "ppm", stdin=coded.read_bytes()).out == run.out
    assert vqcodec("decompress", "-", "-o", tmp_path / "a.webp", stdin=coded.read_bytes()).code == 0
    assert vqcodec("decompress", coded, "--format", "BMP").code == 0
    for name, kind in (("a.webp", "WEBP"), ("photo.bmp", "BMP")):
        data = (tmp_path / name).read_bytes()
        assert Image.open(io.BytesIO(data)).format == kind
        assert np.array_equal(decoded(data), pixels)


def test_targets(vqcodec, photo, codec, tmp_path):
    out = tmp_path / "out.vqc"
    assert vqcodec("compress", photo, "-o", out, "--bpp", 6).code == 0
    assert out.read_bytes() == codec.compress(photo, bpp=6)
    assert vqcodec("compress", photo, "-o", out, "-f", "--target-size", 3000).code == 0
    assert out.read_bytes() == codec.compress(photo, target_size=3000)
    run = vqcodec("compress", photo, "-o", out, "-f", "--target-size", 50)
    assert run.code == 1
    assert run.err.startswith(f"vqcodec: {photo}: quality 0 already needs ")


def test_dry_run_and_compare(vqcodec, photo, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    run = vqcodec("compress", photo, "--dry-run", "--compare", "-q", 100)
    assert run.code == 0
    assert "-> (dry run)" in run.err
    assert "PSNR inf dB" in run.err
    assert sorted(tmp_path.rglob("*")) == before
    scores = [
        float(
            vqcodec("compress", photo, "--dry-run", "--compare", "-q", quality)
            .err.split("PSNR ")[1]
            .split()[0]
        )
        for quality in (10, 80)
    ]
    assert 20 < scores[0] < scores[1] < 60


def test_a_dry_run_skips_what_the_real_one_would(vqcodec, photo, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    assert vqcodec("compress", photo).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    run = vqcodec("compress", photo, other, "--skip-existing", "--dry-run")
    assert run.code == 0
    assert f"{photo} skipped, {photo.with_suffix('.vqc')} exists" in run.err
    assert "other.png -> (dry run)" in run.err
    assert vqcodec("compress", photo, "--dry-run").code == 0  # a size is no reason to fail
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_quiet_and_verbose(vqcodec, photo):
    assert vqcodec("compress", photo, "--quiet").err == ""
    loud = vqcodec("compress", photo, "-f", "-v").err
    assert f"level {library.probe(photo.with_suffix('.vqc')).level}, 1 tile, " in loud


def test_notes_are_lines(vqcodec, tmp_path, pixels):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    run = vqcodec("compress", path)
    assert run.code == 0
    assert f"vqcodec: {path}: note: animated picture, only the first of 2 frames is coded\n" in run.err


def test_metadata_flag(vqcodec, photo, codec, tmp_path):
    image = Image.open(io.BytesIO(photo.read_bytes()))
    image.save(tmp_path / "m.webp", xmp=b"<x/>", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    assert vqcodec("compress", tmp_path / "m.webp", "--metadata", "xmp").code == 0
    assert library.probe(tmp_path / "m.vqc").metadata.keys() == {"xMPd"}
    assert vqcodec("decompress", tmp_path / "m.vqc", "--metadata=none").code == 0
    assert "xmp" not in Image.open(io.BytesIO((tmp_path / "m.png").read_bytes())).info
    assert vqcodec("compress", photo, "--metadata", "gps").code == 2


def test_a_profile_costs_a_number_unless_exact(vqcodec, photo, tmp_path):
    image = Image.open(io.BytesIO(photo.read_bytes()))
    p3 = colour("Display P3")
    image.save(tmp_path / "m.png", icc_profile=p3)
    chunks, files = {}, {}
    for metadata, kept, named in (
        ("all", profile_bytes(2), True),
        ("exact", p3, False),
        ("icc,exact", p3, False),
    ):
        assert vqcodec("compress", tmp_path / "m.png", "-f", "--metadata", metadata).code == 0
        assert vqcodec("decompress", tmp_path / "m.vqc", "-f", "-o", tmp_path / "back.png").code == 0
        assert Image.open(io.BytesIO((tmp_path / "back.png").read_bytes())).info["icc_profile"] == kept
        info = json.loads(vqcodec("info", "--json", tmp_path / "m.vqc").out)
        assert info["profile"] == ("Display P3" if named else None)
        assert (b"iCCP (Display P3)" in vqcodec("info", tmp_path / "m.vqc").out) == named
        assert (b"2 B, Display P3\n" in vqcodec("info", "-v", tmp_path / "m.vqc").out) == named
        chunks[metadata], files[metadata] = info["metadata"]["iCCP"], (tmp_path / "m.vqc").stat().st_size
    assert chunks["all"] == 2
    assert chunks["exact"] == chunks["icc,exact"] > 150
    assert files["exact"] - files["all"] == chunks["exact"] - chunks["all"] + 1  # a byte more for its length


def test_output_dir_mirrors(vqcodec, tmp_path, photo, pixels):
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    (root / "a.png").write_bytes(photo.read_bytes())
    (root / "sub" / "b.PNG").write_bytes(photo.read_bytes())
    (root / "sub" / "c.jpg").write_bytes(photo.read_bytes())
    (root / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    run = vqcodec("compress", "-r", root, "--output-dir", out, "--ext", "png")
    assert run.code == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.vqc"))
    assert found == ["a.vqc", "sub/b.vqc"]
    stamps = [(out / name).stat().st_mtime_ns for name in found]
    again = vqcodec("compress", "-r", root, "--output-dir", out, "--skip-existing")
    assert again.code == 0
    assert again.err.count("skipped") == 2
    assert (out / "sub" / "c.vqc").exists()
    assert [(out / name).stat().st_mtime_ns for name in found] == stamps
    assert vqcodec("decompress", "-r", out, "--output-dir", tmp_path / "back", "--format", "bmp").code == 0
    assert len(list((tmp_path / "back").rglob("*.bmp"))) == 3


def test_batch_goes_on_and_sums_up(vqcodec, tmp_path, photo):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    missing = tmp_path / "missing.png"
    run = vqcodec("compress", bad, missing, photo)
    assert run.code == 1
    assert photo.with_suffix(".vqc").exists()
    assert f"vqcodec: {bad}: not a picture in a known format\n" in run.err
    assert f"vqcodec: {missing}: No such file or directory\n" in run.err
    assert run.err.endswith(f"vqcodec: 2 of 3 files failed: {bad}, {missing}\n")
    assert vqcodec("compress", bad, photo, "-f").code == 3
    photo.with_suffix(".vqc").unlink()
    assert vqcodec("compress", bad, photo, "--fail-fast").code == 3
    assert not photo.with_suffix(".vqc").exists()


def test_a_region_outside_of_one_picture_fails_that_one(vqcodec, codec, coded, tmp_path):
    small = tmp_path / "small.vqc"
    codec.compress_file(np.zeros((8, 8, 3), np.uint8), small)
    run = vqcodec("decompress", small, coded, "--region", "10,0,20,20", "--output-dir", tmp_path / "out")
    assert run.code == 1
    assert f"vqcodec: {small}: region 10,0,20,20 is not within 8x8\n" in run.err
    assert "  part 20x20  " in run.err
    with Image.open(tmp_path / "out" / "photo.png") as part:
        assert part.size == (20, 20)


def test_too_many_tiles_for_one_picture_fail_that_one(vqcodec, photo, tmp_path, monkeypatch):
    monkeypatch.setattr("vqcodec.compress.picture_encoder.DEFAULT_LIMITS", Limits(tiles=1))
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    run = vqcodec("compress", photo, tmp_path / "small.png", "--tile", "64")
    assert (run.code, "2 tiles are more than a decoder accepts" in run.err) == (1, True)
    assert (tmp_path / "small.vqc").exists()


def test_permissions_and_time_of_the_input_are_kept_if_so_asked(vqcodec, photo, tmp_path):
    photo.chmod(0o600)
    os.utime(photo, (1_000_000_000, 1_100_000_000))
    assert vqcodec("compress", photo, "--preserve").code == 0
    coded, back = photo.with_suffix(".vqc"), tmp_path / "back.png"
    assert vqcodec("decompress", coded, "-o", back, "--preserve").code == 0
    for path in (coded, back):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime) == (0o600, 1_100_000_000)
    assert vqcodec("decompress", coded, "-o", tmp_path / "plain.png").code == 0
    assert (tmp_path / "plain.png").stat().st_mtime != 1_100_000_000


def test_what_a_search_of_folders_leaves_out_is_told(vqcodec, photo):
    (photo.parent / "a.heic").write_bytes(b"")
    run = vqcodec("compress", "-r", photo.parent)
    assert (run.code, "note: files with other suffixes left out: .heic (1)" in run.err) == (0, True)
    assert "links" not in run.err


def test_links_to_folders_are_not_followed_and_told(vqcodec, photo, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "photo.png").write_bytes(photo.read_bytes())
    (tree / "loop").symlink_to(tree)
    run = vqcodec("compress", "-r", tree)
    assert run.code == 0
    assert "note: links to folders left out: 1" in run.err
    assert [path.name for path in tree.rglob("*.vqc")] == ["photo.vqc"]


def test_info(vqcodec, coded, codec):
    run = vqcodec("info", coded)
    assert run.code == 0
    line = run.out.decode()
    assert line.startswith(f"{coded}: 72x48 RGB  q100  ")
    assert f"model default ({codec.bitstream_id})" in line
    assert line.count("\n") == 1
    listing = vqcodec("info", "-v", coded).out.decode()
    assert "quality         100.00 (level 252)" in listing
    found = json.loads(vqcodec("info", "--json", coded).out)
    assert found["file"] == str(coded)
    assert (found["width"], found["height"], found["level"]) == (72, 48, 252)
    assert found["bpp"] == pytest.approx(8 * coded.stat().st_size / (72 * 48))
    two = vqcodec("info", "--json", coded, "-", stdin=coded.read_bytes()).out.decode().splitlines()
    assert [json.loads(text)["file"] for text in two] == [str(coded), "-"]


def test_names_with_control_characters_stay_in_their_line(vqcodec, coded):
    odd = coded.rename(coded.with_name("a\nb\x1b[31m.vqc"))
    for words in (("info", odd), ("verify", odd), ("decompress", odd, "-o", odd.with_suffix(".png"))):
        run = vqcodec(*words)
        told = run.out.decode() or run.err
        assert (run.code, told.count("\n"), "a\\nb\\x1b[31m.vqc" in told) == (0, 1, True)
    run = vqcodec("info", odd.with_name("c\nd.vqc"))
    assert (run.code, run.err.count("\n")) == (1, 1)


def test_the_tune_of_a_file_is_chosen_and_shown(vqcodec, photo, coded):
    assert "tune            eyes" in vqcodec("info", "-v", coded).out.decode()
    assert vqcodec("compress", photo, "--tune", "psnr", "-o", coded, "-f").code == 0
    assert "tune            psnr" in vqcodec("info", "-v", coded).out.decode()
    assert json.loads(vqcodec("info", "--json", coded).out)["tune"] == "psnr"
    assert vqcodec("compress", photo, "--tune", "ears", "-o", coded, "-f").code == 2


def test_info_marks_cut_files(vqcodec, coded):
    coded.write_bytes(coded.read_bytes()[:-5])
    run = vqcodec("info", coded)
    assert run.code == 0
    assert b"CUT SHORT" in run.out


def test_verify(vqcodec, coded, tmp_path):
    good = vqcodec("verify", coded, "-", stdin=coded.read_bytes())
    assert good.code == 0
    assert good.err == f"{coded}: OK\n-: OK\n"
    assert vqcodec("verify", "--decode", coded).code == 0
    bad = tmp_path / "bad.vqc"
    data = bytearray(coded.read_bytes())
    data[-9] ^= 1
    bad.write_bytes(data)
    run = vqcodec("verify", bad, coded)
    assert run.code == 3
    assert f"vqcodec: {bad}: " in run.err
    assert f"{coded}: OK" in run.err


def test_models(vqcodec, models, codec):
    run = vqcodec("models", "list")
    assert run.code == 0
    assert f"default  bitstream {codec.bitstream_id}  decoder {codec.decoder_id}" in run.out.decode()
    assert str(models) in vqcodec("models", "list", "-v").out.decode()
    assert vqcodec("models", "path").out.decode().strip() == str(models / "default.safetensors")
    run = vqcodec("models", "path", "nothing")
    assert run.code == 4
    assert "no model named 'nothing'" in run.err


def test_model_and_device_options(vqcodec, photo, coded, models):
    assert vqcodec("compress", photo, "-f", "-m", "default", "-d", "cpu").code == 0
    assert vqcodec("decompress", coded, "-f", "-m", models / "default.safetensors").code == 0
    assert vqcodec("compress", photo, "-f", "-m", "nothing").code == 4
    run = vqcodec("compress", photo, "-f", "-d", "cuda:77")
    assert run.code == 0
    assert "note: device cuda:77 is not available, using the CPU" in run.err


def test_version_and_help(vqcodec):
    run = vqcodec("-V")
    assert run.code == 0
    assert run.out.decode().startswith(f"vqcodec {library.__version__}, format 1, engine ")
    assert "130  interrupted" in vqcodec("-h").out.decode()
    for command in ("compress", "decompress", "info", "inspect", "verify", "models"):
        run = vqcodec(command, "--help")
        assert run.code == 0
        assert b"Usage: vqcodec " + command.encode() in run.out


@pytest.mark.slow
def test_packaged_weights_in_a_process(photo, pixels, tmp_path):
    def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "vqcodec", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, check=True, timeout=120)

    alpha = Image.fromarray(pixels)
    alpha.putalpha(Image.fromarray(pixels[:, :, 1]))
    alpha.save(tmp_path / "alpha.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "gray.png")
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    names = ("photo", "alpha", "gray", "dot")
    coded = [tmp_path / f"{name}.vqc" for name in names]
    run("compress", *(tmp_path / f"{name}.png" for name in names), "-q", 80, "--tile", 64, "-d", "cpu")
    run("verify", "--decode", *coded)
    run("decompress", *coded, "--output-dir", tmp_path / "back")
    for name in names:
        with (
            Image.open(tmp_path / f"{name}.png") as before,
            Image.open(tmp_path / "back" / f"{name}.png") as after,
        ):
            assert (after.mode, after.size) == (before.mode, before.size)
            if name == "alpha":
                assert after.getchannel("A").tobytes() == before.getchannel("A").tobytes()
            assert psnr(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB"))) > 20
