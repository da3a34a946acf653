"""What people who know other codecs type without reading: every line of the project's table of conventions.

Most lines are tested where their subject is; this file has the rest. Shared conventions:

    line                                        test
    -o, --output; source kept                   test_long_and_short_options, test_sources_are_kept
    -q, --quality, higher is better             test_higher_quality_is_larger_and_better
    -e, --effort                                test_refine: test_effort_through_codec_and_command_line
    -f, --force                                 test_cli_errors: test_existing_output
    -j, --jobs                                  test_cli_jobs
    -v repeatable, --quiet                      test_cli: test_quiet_and_verbose; test_cli_errors: -vv
    -V, --version; -h, --help; --help-all       test_version_tells_devices, test_help_in_two_layers
    - for streams; -- ends options              test_two_dashes_end_options; test_cli: file_stdin_...
    suffix decides the format                   test_suffix_decides
    exit codes                                  test_cli_errors; told: test_cli: test_version_and_help
    messages on stderr, data on stdout          test_where_text_goes
    one summary line                            test_cli: test_default_names
    binary to a terminal is refused, -f waives  test_cli_errors: test_terminal_is_refused
    SIGINT deletes partial output, no other     test_interrupt_keeps_what_was_there; test_cli_jobs: interrupt
    output == input is found out                test_cli_errors: test_same_file
    identical bytes whatever the way            test_cli: file_stdin_and_option_order; here: ..._of_pictures
    dry run with statistics                     test_cli: test_dry_run_and_compare
    info and verify: exit codes                 test_exit_codes_of_info_and_verify; test_cli_errors

Flags and policies:

    --output-dir mirrors, refuses collisions    test_cli: test_output_dir_mirrors; test_cli_errors
    --skip-existing                             test_cli: test_output_dir_mirrors
    -q 50 by default; info shows it             test_defaults
    --bpp, --target-size, --psnr                test_cli: test_targets; test_targets
    -m name or path, never from a file's header test_a_file_cannot_name_a_path
    --tile 1024, 0 = whole                      test_defaults
    --metadata, --strip-gps                     test_cli: test_metadata_flag; test_gps
    -d auto|cpu|cuda[:N]|mps                    test_cli: test_model_and_device_options
    --realism, --region                         test_realism, test_region
    --allow-partial, --max-pixels               test_cli_errors
    -r, --ext                                   test_cli: test_output_dir_mirrors
    --compare: PSNR and MS-SSIM                 test_compare_has_ms_ssim; test_similarity
    --json                                      test_json_*; test_cli_jobs
    progress on a terminal only, --no-progress  test_bar_*
    summary, errors, --fail-fast, exit 1 or 3   test_cli: batch_goes_on; test_exit_code_of_mixed_failures
    no torch, no numpy, no Pillow for info      test_cli_errors: test_quick_commands_import_nothing_heavy
    environment sets no quality                 test_environment_changes_nothing
    shell completion                            test_completion_*
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture
from vqcodec import installation
from vqcodec.bitstream import parse, write
from vqcodec.metrics import psnr
from vqcodec.types import Chunk
from vqcodec_cli import progress


@pytest.fixture
def coded(codec, photo) -> Path:
    """photo.vqc beside photo.png."""
    path = photo.with_suffix(".vqc")
    codec.compress_file(photo, path, quality=80)
    return path


# -- section 1: what the tools share ---------------------------------------------------------------


def test_long_and_short_options(vqcodec, photo, tmp_path):
    short, long = tmp_path / "short.vqc", tmp_path / "long.vqc"
    words = ["-o", short, "-q", 30, "-e", 1, "-m", "default", "-d", "cpu", "-j", 1]
    first = vqcodec("compress", photo, *words)
    words = ["--output", long, "--quality=30", "--effort=1", "--model=default", "--device=cpu", "--jobs=1"]
    second = vqcodec("compress", *words, photo)
    assert (first.code, second.code) == (0, 0)
    assert short.read_bytes() == long.read_bytes()
    assert vqcodec("compress", photo, "--output", long, "--force", "-q", 10).code == 0
    assert short.read_bytes() != long.read_bytes()


def test_sources_are_kept(vqcodec, photo, coded):
    before = photo.read_bytes(), coded.read_bytes()
    assert vqcodec("compress", photo, "-f").code == 0
    written = coded.read_bytes()
    assert vqcodec("decompress", coded, "-o", photo.with_name("back.png")).code == 0
    assert (photo.read_bytes(), coded.read_bytes()) == (before[0], written)


def test_higher_quality_is_larger_and_better(vqcodec, photo, pixels):
    sizes, scores = [], []
    for quality in (0, 25, 50, 75, 100):
        data = vqcodec("compress", "-", "-q", quality, stdin=photo.read_bytes()).out
        back = vqcodec("decompress", "-", "--format=ppm", stdin=data).out
        sizes.append(len(data))
        scores.append(psnr(pixels, np.asarray(Image.open(io.BytesIO(back)))))
    assert sizes == sorted(set(sizes))
    assert scores == sorted(set(scores))


def test_version_tells_devices(vqcodec, monkeypatch):
    assert vqcodec("-V").out == vqcodec("--version").out
    monkeypatch.setattr("vqcodec_cli.main.devices", lambda: ["cpu", "cuda"])
    assert vqcodec("-V").out.decode().endswith(", devices cpu cuda\n")
    assert installation.devices()[0] == "cpu"


def test_help_in_two_layers(vqcodec):
    advanced = {
        "compress": ("--tile", "--ext", "--compare", "--fail-fast", "--no-progress"),
        "decompress": ("--max-pixels", "--fail-fast", "--no-progress"),
        "info": ("--max-pixels",),
        "verify": ("--max-pixels",),
        "inspect": ("--max-pixels",),
    }
    everything = vqcodec("--help-all").out.decode()
    assert everything.startswith("Usage: vqcodec [OPTIONS]")
    assert "Usage: vqcodec models import" in everything
    for command, names in advanced.items():
        brief = vqcodec(command, "-h").out.decode()
        full = vqcodec(command, "--help-all").out.decode()
        assert brief == vqcodec(command, "--help").out.decode()
        assert "--help-all" in brief
        assert full in everything
        for name in names:
            assert (name in brief, name in full) == (False, True), (command, name)


def test_two_dashes_end_options(vqcodec, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-q.png").write_bytes(photo.read_bytes())
    assert vqcodec("compress", "--", "-q.png").code == 0
    assert Path("-q.vqc").exists()


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "avif", "tif", "bmp", "ppm"])
def test_suffix_decides(vqcodec, coded, tmp_path, suffix):
    target = tmp_path / f"back.{suffix}"
    assert vqcodec("decompress", coded, "-o", target).code == 0
    names = {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}
    with Image.open(target) as image:
        assert image.format == names.get(suffix, suffix.upper())


def test_where_text_goes(vqcodec, photo, coded, tmp_path):
    target = tmp_path / "x.png"
    for words in (["compress", photo, "-f"], ["decompress", coded, "-o", target], ["verify", coded]):
        run = vqcodec(*words)
        assert (run.code, run.out, run.err.count("\n")) == (0, b"", 1)
    for words in (["info", coded], ["models", "list"], ["models", "path"], ["-V"], ["-h"]):
        run = vqcodec(*words)
        assert (run.code, run.err) == (0, "")
        assert run.out
    assert vqcodec("compress", "none.png").out == b""


def test_identical_bytes_of_pictures(vqcodec, coded, tmp_path):
    target = tmp_path / "a.webp"
    assert vqcodec("decompress", coded, "-o", target, "--metadata", "none").code == 0
    for words in (
        ["decompress", "--metadata=none", "-f", "-o", target, "--", coded],
        ["decompress", "-", "-o", target, "-f", "--metadata", "none"],
    ):
        before = target.read_bytes()
        target.write_bytes(b"")
        assert vqcodec(*words, stdin=coded.read_bytes()).code == 0
        assert target.read_bytes() == before
    for words in (["-", "--format", "webp"], [coded, "-o", "-", "--format", "webp"]):
        run = vqcodec("decompress", "--metadata", "none", *words, stdin=coded.read_bytes())
        assert run.out == target.read_bytes()


def test_interrupt_keeps_what_was_there(vqcodec, photo, coded, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    before = sorted((path, path.read_bytes()) for path in photo.parent.iterdir() if path.is_file())
    monkeypatch.setattr(Path, "replace", interrupt)
    assert vqcodec("compress", photo, "-f", "-q", 10).code == 130
    assert vqcodec("decompress", coded, "-f").code == 130
    assert before == sorted((path, path.read_bytes()) for path in photo.parent.iterdir() if path.is_file())


def test_exit_codes_of_info_and_verify(vqcodec, coded, tmp_path):
    text = tmp_path / "text.vqc"
    text.write_text("not a vqc file")
    missing = tmp_path / "missing.vqc"
    for command in ("info", "verify"):
        assert vqcodec(command, coded, coded).code == 0
        assert vqcodec(command, coded, text).code == 3
        assert vqcodec(command, missing, coded).code == 1
        assert vqcodec(command, missing, text).code == 1
        assert vqcodec(command, "-", stdin=b"").code == 3


# -- section 3: flags and policies -----------------------------------------------------------------


def test_defaults(vqcodec, tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(picture(70, 1100)).save(path)
    coded = path.with_suffix(".vqc")
    for words, quality, tile, tiles in (
        ([], 50, 1024, 2),
        (["-q", 75, "--tile", 512], 75, 512, 3),
        (["--tile", 0], 50, 0, 1),
    ):
        assert vqcodec("compress", path, "-f", *words).code == 0
        found = json.loads(vqcodec("info", "--json", coded).out)
        assert (round(found["quality"]), found["tile"], found["tiles"]) == (quality, tile, tiles)
        assert f"  q{quality}  " in vqcodec("info", coded).out.decode()


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


def test_bar_on_a_terminal(vqcodec, photo, tmp_path, monkeypatch):
    copies = [tmp_path / f"{number}.png" for number in range(3)]
    for path in copies:
        path.write_bytes(photo.read_bytes())
    quiet = vqcodec("compress", *copies).err
    monkeypatch.setattr(progress, "DELAY", 0)
    assert "\r" not in vqcodec("compress", *copies, "-f").err  # no terminal
    monkeypatch.setattr("vqcodec_cli.progress.sys.stderr.isatty", lambda: True, raising=False)
    shown = vqcodec("compress", *copies, "-f").err
    assert f"\r[{'#' * 10}{'.' * 20}] 1/3  0:00 left\r" in shown
    assert f"\r[{'#' * 20}{'.' * 10}] 2/3  0:00 left\r" in shown
    assert "3/3" not in shown
    # Lines stand alone: what follows the wiped bar is what would have been there without it.
    names = [line.rsplit("\r", 1)[-1].split(" ")[0] for line in shown.split("\n")]
    assert names == [line.split(" ")[0] for line in quiet.split("\n")]
    for words in (["--no-progress"], ["--quiet"]):
        assert "\r" not in vqcodec("compress", *copies, "-f", *words).err
    assert "\r" not in vqcodec("compress", copies[0], "-f").err
    monkeypatch.setattr(progress, "DELAY", 1000)
    assert "\r" not in vqcodec("compress", *copies, "-f").err


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


def test_completion_in_bash(tmp_path):
    """The line of the README, with a `vqcodec` on the path as pip would install it."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    script = tmp_path / "vqcodec"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m vqcodec \"$@\"\n")
    script.chmod(0o755)
    line = 'eval "$(_VQCODEC_COMPLETE=bash_source vqcodec)"'
    readme = Path(__file__).resolve().parents[1].joinpath("README.md").read_text(encoding="utf-8")
    assert line in readme
    rest = "COMP_WORDS=(vqcodec com); COMP_CWORD=1; _vqcodec_completion vqcodec; echo ${COMPREPLY[@]}"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "-c", f"{line}; {rest}"], env=environment, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"compress\n"
