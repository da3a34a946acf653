"""The command line meeting bad input: one line on stderr, the right exit code, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.make_golden import WEIGHTS
from vqcodec import loading
from vqcodec.bitstream import parse, write
from vqcodec.codec import Codec
from vqcodec.errors import CorruptData
from vqcodec.types import DEFAULT_LIMITS, Chunk, Limits
from vqcodec_cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def coded(codec, photo) -> Path:
    path = photo.with_suffix(".vqc")
    codec.compress_file(photo, path, quality=80, tile=64)
    return path


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        (None, 1, "No such file or directory"),
        (b"", 3, "the file is empty"),
        (b"some text\n", 3, "not a picture in a known format"),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(40),
            3,
            "damaged or unsupported PNG picture (broken PNG file (chunk b'\\x00\\x00\\x00\\x00'))",
        ),
    ],
)
def test_compress_bad_files(vqcodec, tmp_path, content, code, reason):
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    before = files(tmp_path)
    run = vqcodec("compress", path)
    assert (run.code, run.out) == (code, b"")
    assert run.err == f"vqcodec: {path}: {reason}\n"
    assert files(tmp_path) == before


def test_directory_needs_recursive(vqcodec, tmp_path):
    for arguments in (["compress"], ["decompress"], ["compress", "-o", tmp_path / "x.vqc"]):
        run = vqcodec(*arguments, tmp_path)
        assert run.code == 1
        assert run.err == f"vqcodec: {tmp_path}: is a directory (use -r to search it)\n"
    assert vqcodec("compress", "-r", tmp_path, "-o", "x.vqc").code == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    run = vqcodec("compress", "-r", empty)
    assert run.code == 1
    assert run.err.startswith(f"vqcodec: {empty}: no files ending in .png")
    for command in ("info", "verify"):
        run = vqcodec(command, tmp_path)
        assert run.code == 1
        assert run.err == f"vqcodec: {tmp_path}: Is a directory\n"


@pytest.mark.parametrize("kind", ["cmyk", "sixteen", "gif", "dot", "line"])
def test_unusual_pictures_are_coded(vqcodec, tmp_path, kind):
    image, name = {
        "cmyk": (Image.new("CMYK", (20, 10), (0, 255, 255, 0)), "a.jpg"),
        "sixteen": (Image.fromarray(np.full((10, 20), 40_000, np.uint16)), "a.png"),
        "gif": (Image.new("RGB", (20, 10), "red"), "a.gif"),
        "dot": (Image.new("RGB", (1, 1), "red"), "a.png"),
        "line": (Image.new("L", (1, 5000), 99), "a.png"),
    }[kind]
    path = tmp_path / name
    more: dict[str, Any] = (
        {"save_all": True, "append_images": [Image.new("RGB", (20, 10), "blue")]} if kind == "gif" else {}
    )
    image.save(path, **more)
    run = vqcodec("compress", path, "-q", 100)
    assert run.code == 0
    notes = {"cmyk": "CMYK without", "sixteen": "16-bit samples", "gif": "animated"}
    assert (": note: " in run.err) == (kind in notes)
    assert notes.get(kind, "") in run.err
    run = vqcodec("decompress", tmp_path / "a.vqc", "-o", tmp_path / "back.png")
    assert run.code == 0
    with Image.open(tmp_path / "back.png") as back:
        assert back.size == image.size
        assert back.mode == ("RGB" if kind in ("cmyk", "dot", "gif") else "L")
        if kind == "sixteen":
            assert back.getpixel((0, 0)) == 156


def test_existing_output(vqcodec, photo, coded):
    before = files(photo.parent)
    run = vqcodec("compress", photo)
    assert run.code == 1
    assert run.err == f"vqcodec: {photo}: {coded}: exists already (use -f to overwrite)\n"
    assert vqcodec("decompress", coded).code == 1
    assert files(photo.parent) == before
    assert vqcodec("decompress", coded, "-f").code == 0
    assert files(photo.parent) != before


def test_a_source_is_never_overwritten(vqcodec, photo, coded):
    photo = photo.rename(photo.with_suffix(""))  # -o of compress is no picture's name
    before = files(photo.parent)
    for command, path in (("compress", photo), ("decompress", coded)):
        run = vqcodec(
            command, path, "-o", path, "-f", *(["--format", "png"] if command == "decompress" else [])
        )
        assert run.code == 1
        assert "would overwrite its own source" in run.err
    assert files(photo.parent) == before


def test_unwritable_output(vqcodec, photo, tmp_path):
    blocker = tmp_path / "blocker"
    blocker.write_bytes(b"a file, not a folder")
    run = vqcodec("compress", photo, "--output-dir", blocker)
    assert run.code == 1
    assert run.err == f"vqcodec: {blocker}: is not a directory\n"
    before = files(tmp_path)
    for target, named, reason in (
        (blocker / "a.vqc", blocker, "Not a directory"),
        (tmp_path / "no" / "a.vqc", tmp_path / "no", "No such file or directory"),
    ):
        run = vqcodec("compress", photo, "-o", target)
        assert (run.code, run.err) == (1, f"vqcodec: {photo}: {named}: {reason}\n")
    folder = tmp_path / "models"
    run = vqcodec("compress", photo, "-o", folder)
    assert (run.code, run.err) == (1, f"vqcodec: {folder}: is a directory (use --output-dir)\n")
    run = vqcodec("compress", photo, "-o", f"{tmp_path}/new/")  # what is meant is a folder, as for cp
    assert (run.code, run.err) == (1, f"vqcodec: {tmp_path}/new/: is a directory (use --output-dir)\n")
    assert files(tmp_path) == before


def test_an_input_that_is_a_folder(vqcodec, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = vqcodec("compress", ".", photo, "-f")
    assert run.code == 1
    assert run.err.startswith("vqcodec: .: is a directory (use -r to search it)\n")
    assert photo.with_suffix(".vqc").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["compress"],
        ["compress", "--nothing", "a.png"],
        ["compress", "a.png", "-q", "101"],
        ["compress", "a.png", "-q", "50", "--bpp", "1"],
        ["compress", "a.png", "--bpp", "0"],
        ["compress", "a.png", "--target-size", "-3"],
        ["compress", "a.png", "--tile", "100"],
        ["compress", "a.png", "-d", "gpu"],
        ["compress", "a.png", "--ext", "png"],
        ["compress", "a.png", "-f", "--skip-existing"],
        ["compress", "a.png", "b.png", "-o", "x.vqc"],
        ["compress", "a.png", "-o", "x.vqc", "--output-dir", "d"],
        ["compress", "a.png", "-o", "x.JPG"],
        *(
            ["compress", "a.png", option, number]
            for option in ("-q", "--bpp", "--psnr")
            for number in ("nan", "inf")
        ),
        ["decompress", "a.vqc", "--realism", "nan"],
        ["decompress", "a.vqc", "--region", "0,0,0,8"],
        ["inspect", "default", "-o", "d", "-q", "nan"],
        ["compress", "-", "a.png"],
        ["decompress", "-"],
        ["decompress", "a.vqc", "-o", "-"],
        ["decompress", "a.vqc", "-o", "a.xyz"],
        ["decompress", "a.vqc", "-o", "a"],
        ["decompress", "a.vqc", "--format", "xyz"],
        ["info", "a.vqc", "--max-pixels", "-1"],
        ["models", "import"],
    ],
)
def test_usage_errors(vqcodec, arguments):
    run = vqcodec(*arguments)
    assert run.code == 2
    assert b"Traceback" not in run.out
    assert "Usage: " in run.err + run.out.decode()


def test_mutated_files(vqcodec, coded, tmp_path):
    data = coded.read_bytes()
    variants = {
        "magic": b"\x00" + data[1:],
        "major": data[:4] + b"\x02" + data[5:],
        "critical flag": data[:6] + b"\x80" + data[7:],
        "header": data[:20] + bytes([data[20] ^ 1]) + data[21:],
        "payload": data[:-7] + bytes([data[-7] ^ 1]) + data[-6:],
        "cut": data[:-1],
        "cut in header": data[:10],
        "empty": b"",
        "appended": data + b"\0",
        "text": b"not a vqc file",
        "bomb": data[:16] + b"\xff\xff\x03\xff\xff\x03" + data[18:],
    }
    out = tmp_path / "out.png"
    for name, content in variants.items():
        path = tmp_path / "bad.vqc"
        path.write_bytes(content)
        for arguments in (["decompress", path, "-o", out], ["verify", path]):
            run = vqcodec(*arguments)
            assert (name, run.code) == (name, 3)
            assert run.err.startswith(f"vqcodec: {path}: ")
            assert run.err.count("\n") == 1
        assert not out.exists()
        code = vqcodec("info", path).code
        assert code == (0 if name in ("payload", "cut", "appended") else 3), name


def test_damage_that_only_decoding_finds(vqcodec, codec, coded, tmp_path):
    container = parse(coded.read_bytes())
    garbled = [[bytes(len(segment or b"")) for segment in layers] for layers in container.segments]
    path = tmp_path / "garbled.vqc"
    path.write_bytes(write(container.header, garbled))
    assert vqcodec("verify", path).code == 0
    for arguments in (["verify", "--decode", path], ["decompress", path]):
        run = vqcodec(*arguments)
        assert run.code == 3
        assert run.err == f"vqcodec: {path}: segment does not decode\n"
    path.write_bytes(write(container.header, container.segments, [Chunk("xMPd", b"\1junk")]))
    assert vqcodec("verify", path).code == 3


def test_allow_partial_decodes_a_cut_file_and_exits_with_3(vqcodec, coded, tmp_path):
    coded.write_bytes(coded.read_bytes()[:-1])
    out = tmp_path / "out.png"
    run = vqcodec("decompress", coded, "-o", out)
    assert run.code == 3
    assert run.err.endswith(" (--allow-partial decodes what is whole)\n")
    assert not out.exists()
    empty = tmp_path / "empty.vqc"
    empty.touch()
    assert vqcodec("decompress", empty, "-o", out).err == f"vqcodec: {empty}: the file is empty\n"
    run = vqcodec("decompress", coded, "-o", out, "--allow-partial")
    assert run.code == 3
    assert f"vqcodec: {coded}: note: the data ends early: 1 of 4 segments are missing\n" in run.err
    with Image.open(out) as image:
        assert image.size == (72, 48)


def test_what_is_inspected_is_told_by_its_bytes(vqcodec, coded, photo, tmp_path):
    folder = tmp_path / "look"
    run = vqcodec("inspect", photo, "-o", folder)
    assert run.code == 3
    assert run.err == f"vqcodec: {photo}: neither a .vqc file nor a weight file (.safetensors)\n"
    other = coded.rename(tmp_path / "named.otherwise")
    assert "-q is for models" in vqcodec("inspect", other, "-o", folder, "-q", "50").err


def test_max_pixels(vqcodec, coded, tmp_path):
    for arguments in (["info"], ["verify"], ["decompress", "-o", tmp_path / "out.png"]):
        run = vqcodec(*arguments, coded, "--max-pixels", 100)
        assert run.code == 3
        assert "exceed the limit of 100" in run.err
        assert vqcodec(*arguments, coded, "--max-pixels", 72 * 48).code == 0


def test_max_pixels_0_also_lifts_the_limit_on_sides(vqcodec, codec, tmp_path):
    path = tmp_path / "long.vqc"
    wide = np.zeros((1, DEFAULT_LIMITS.side + 1, 3), np.uint8)
    path.write_bytes(codec.compress(wide, limits=Limits(side=0)))
    for arguments in (
        ["info"],
        ["verify"],
        ["verify", "--decode"],
        ["decompress", "-o", tmp_path / "out.png"],
    ):
        run = vqcodec(*arguments, path)
        assert (run.code, "side limit" in run.err) == (3, True)
        assert vqcodec(*arguments, path, "--max-pixels", 0).code == 0


def test_max_pixels_reaches_the_decoder(vqcodec, coded, tmp_path, monkeypatch):
    seen = []

    def transcode(_codec, _data, _kind, **options):
        seen.append(options["limits"])
        raise CorruptData("enough")

    monkeypatch.setattr(Codec, "transcode", transcode)
    vqcodec("decompress", coded, "-o", tmp_path / "out.png", "--max-pixels", 5000)
    assert seen == [Limits(pixels=5000)]


def test_another_model(vqcodec, other_codec, photo, models):
    path = photo.with_name("other.vqc")
    other_codec.compress_file(photo, path)
    run = vqcodec("decompress", path)
    assert run.code == 4
    assert run.err.startswith(
        f"vqcodec: {path}: the file needs model ffffffffffffffff, installed: default 00010203"
    )
    run = vqcodec("decompress", path, "-m", "default")
    assert run.code == 4
    assert "needs model ffffffffffffffff, but 'fake' is 0001020304050607" in run.err
    assert vqcodec("verify", path).code == 0
    assert vqcodec("verify", "--decode", path).code == 4


class Raising:
    """A codec whose work ends in an exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def compress_with_info(self, *_args, **_options):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "vqcodec: interrupted"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("CUDA out of memory.\nTried to allocate"), 1, "CUDA out of memory. Tried to allocate"),
        (KeyError("bug"), 1, "internal error: KeyError: 'bug'"),
    ],
)
def test_exit_codes_of_interruption_memory_and_bugs(vqcodec, photo, monkeypatch, error, code, text):
    monkeypatch.setattr(loading, "load", lambda *_args, **_options: Raising(error))
    before = files(photo.parent)
    run = vqcodec("compress", photo)
    assert run.code == code
    assert text in run.err
    assert "Traceback" not in run.err
    assert files(photo.parent) == before
    if code != 130:
        assert "Traceback" in vqcodec("compress", photo, "-vv").err


def test_interrupt_while_writing_leaves_nothing(vqcodec, photo, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    before = files(photo.parent)
    monkeypatch.setattr(Path, "replace", interrupt)
    assert vqcodec("compress", photo).code == 130
    assert files(photo.parent) == before


def test_terminal_is_refused(vqcodec, photo, coded, monkeypatch):
    monkeypatch.setattr("vqcodec_cli.streams.sys.stdout.isatty", lambda: True, raising=False)
    for arguments in (["compress", photo, "-o", "-"], ["decompress", coded, "-o", "-", "--format", "png"]):
        run = vqcodec(*arguments)
        assert (run.code, run.out) == (1, b"")
        assert run.err == "vqcodec: refusing to write binary data to a terminal (use -f)\n"
        assert vqcodec(*arguments, "-f").out != b""
    assert vqcodec("compress", photo, "--dry-run").code == 0


def run_process(*arguments: object, **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--help-all"],
        ["compress", "-h"],
        ["info", "{}"],
        ["info", "--json", "{}"],
        ["verify", "{}"],
        ["models", "list"],
        ["-V"],
    ],
)
def test_quick_commands_import_nothing_heavy(coded, arguments):
    words = [coded if word == "{}" else word for word in arguments]
    code = (
        "import resource, sys; from vqcodec_cli.main import main; code = main(sys.argv[1:]);"
        "use = resource.getrusage(resource.RUSAGE_SELF);"
        "print(code, {'torch', 'numpy', 'PIL'} & set(sys.modules), use.ru_utime + use.ru_stime)"
    )
    done = run_process("-c", code, *words)
    exit_code, heavy, seconds = done.stdout.decode().splitlines()[-1].split(" ")
    assert (exit_code, heavy) == ("0", "set()")
    # The goal is a quarter of a second; the bound leaves room for slow machines.
    assert float(seconds) < 1.0


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        (["info"], {"vqcodec_cli.inspect", "vqcodec_cli.compress", "multiprocessing", "importlib.metadata"}),
        (
            ["decompress", "-o", "x.png"],
            {"vqcodec.compress.coding", "vqcodec_cli.compress", "multiprocessing"},
        ),
    ],
)
def test_a_command_imports_what_it_needs_and_not_what_others_do(tmp_path, monkeypatch, command, spared):
    monkeypatch.chdir(tmp_path)
    code = (
        "import sys; from vqcodec_cli.main import main; code = main(sys.argv[1:]);"
        f"print(code, sorted({spared!r} & set(sys.modules)))"
    )
    model = [] if command[0] == "info" else ["-m", GOLDEN / WEIGHTS]
    done = run_process("-c", code, *command, GOLDEN / "dot.vqc", *model)
    assert done.stdout.decode().splitlines()[-1] == "0 []"


def test_module_entry_point_and_exit_code(coded, tmp_path):
    done = run_process("-m", "vqcodec", "info", coded)
    assert done.returncode == 0
    assert done.stdout.startswith(str(coded).encode())
    done = run_process("-m", "vqcodec", "info", tmp_path / "none.vqc")
    assert done.returncode == 1
    assert done.stderr.decode() == f"vqcodec: {tmp_path / 'none.vqc'}: No such file or directory\n"
    assert run_process("-m", "vqcodec", "bogus").returncode == 2


def test_reader_that_goes_away(coded):
    command = f"{sys.executable} -m vqcodec info {' '.join([coded.name] * 3000)} | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], cwd=coded.parent, capture_output=True, check=False, timeout=60
    )
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_stdin_pipe_process(coded):
    done = run_process("-m", "vqcodec", "verify", "-", input=coded.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"-: OK\n")


def test_main_without_a_fixture_returns_codes(capsys):
    assert main(["--help"]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [("decompress",), ("verify",), ("verify", "--decode"), ("info",)])
def test_endless_files_are_refused_at_their_beginning(vqcodec, tmp_path, command):
    path = tmp_path / "endless.vqc"
    path.touch()
    os.truncate(path, 1 << 40)
    run = vqcodec(*command, path)
    assert (run.code, run.err) == (3, f"vqcodec: {path}: this is not a .vqc file\n")
