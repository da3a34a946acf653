"""What people who know other codecs type without reading: every line of the project's table of conventions.

Most lines are tested where their subject is; this file has the rest. Shared conventions:

    line                                        test
    -o, --output; source kept                   test_long_and_short_options, test_sources_are_kept
    -q, --quality, higher is better             test_higher_quality_is_larger_and_better
    -e, --effort                                test_refine: test_effort_through_codec_and_command_line
    -f, --force                                 test_errors: test_existing_output
    -j, --jobs                                  test_jobs
    -v repeatable, --quiet                      test_commands: test_quiet_and_verbose; test_errors: -vv
    -V, --version; -h, --help; --help-all       test_version_names_the_format_..., test_help_in_two_layers
    - for streams; -- ends options              test_two_dashes_end_options; test_commands: file_stdin_...
    suffix decides the format                   test_suffix_decides
    exit codes                                  test_errors; told: test_commands: test_version_and_help
    messages on stderr, data on stdout          test_where_text_goes
    one summary line                            test_commands: test_default_names
    binary to a terminal is refused, -f waives  test_errors: test_terminal_is_refused
    SIGINT deletes partial output, no other     test_interrupt_keeps_what_was_there; test_jobs: interrupt
    output == input is found out                test_errors: test_a_source_is_never_overwritten
    identical bytes whatever the way            test_commands: file_stdin_...; here: ..._of_pictures
    dry run with statistics                     test_commands: test_dry_run_and_compare
    info and verify: exit codes                 test_exit_codes_of_info_and_verify; test_errors

Flags and policies (test_x without a file is in test_flags or test_terminal):

    --output-dir mirrors, refuses collisions    test_commands: test_output_dir_mirrors; test_errors
    --skip-existing                             test_commands: test_output_dir_mirrors
    -q 50 by default; info shows it             test_defaults
    --bpp, --target-size, --psnr                test_commands: test_targets; test_targets
    -m name or path, never from a file's header test_a_file_cannot_name_a_path
    --tile 1024, 0 = whole                      test_defaults
    --metadata, --strip-gps                     test_commands: test_metadata_flag; test_gps
    -d auto|cpu|cuda[:N]|mps                    test_commands: test_model_and_device_options
    --realism, --region, --preview              test_realism, test_region, test_preview
    --allow-partial, --max-pixels               test_errors
    -r, --ext                                   test_commands: test_output_dir_mirrors
    --compare: PSNR and MS-SSIM                 test_compare_has_ms_ssim; test_similarity
    --json                                      test_json_*; test_jobs
    progress on a terminal only, --no-progress  test_bar_*
    summary, errors, --fail-fast, exit 1 or 3   test_commands: batch_goes_on; test_exit_code_of_mixed_failures
    no torch, no numpy, no Pillow for info      test_errors: test_quick_commands_import_nothing_heavy
    environment sets no quality                 test_environment_changes_nothing
    shell completion                            test_completion_*
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqcodec.metrics.rate_distortion import psnr


@pytest.fixture
def coded(codec, photo) -> Path:
    """photo.vqc beside photo.png."""
    path = photo.with_suffix(".vqc")
    codec.compress_file(photo, path, quality=80)
    return path


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


def test_version_names_the_format_and_libraries(vqcodec):
    assert vqcodec("-V").out == vqcodec("--version").out
    names = [part.split(" ")[0] for part in vqcodec("-V").out.decode().split(", ")]
    assert names == ["vqcodec", "format", "engine", "torch", "constriction", "pillow"]


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
    for group in ([], ["models"], ["desktop"]):  # what a command does is told in a line that is not cut
        assert "..." not in vqcodec(*group, "--help").out.decode().replace("[ARGS]...", "")
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
