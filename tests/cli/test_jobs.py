"""Worker processes behind the command line and the batch calls, with a real, tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vqcodec as library
from tests.tiny import picture
from vqcodec.errors import UnsupportedImage


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(3):
        path = tmp_path / f"photo{number}.png"
        Image.fromarray(picture(64, 80 + number, seed=number)).save(path)
        paths.append(path)
    return paths


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(vqcodec, photos, tmp_path, tiny_weights, tiny_codec):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    words = ["compress", *photos, bad, "-q", 70, "-m", tiny_weights, "-j", 2, "--json", "--compare"]
    run = vqcodec(*words)
    assert run.code == 3
    assert run.err.splitlines() == [
        f"vqcodec: {bad}: not a picture in a known format",
        f"vqcodec: 1 of 4 files failed: {bad}",
    ]
    codec = tiny_codec
    for path in photos:
        assert path.with_suffix(".vqc").read_bytes() == codec.compress(path, quality=70)
    found = {entry["file"]: entry for entry in map(json.loads, run.out.decode().splitlines())}
    assert found.keys() == {str(path) for path in (*photos, bad)}
    assert found[str(bad)] == {
        "file": str(bad),
        "output": str(bad.with_suffix(".vqc")),
        "status": "failed",
        "error": "not a picture in a known format",
        "code": 3,
    }
    first = found[str(photos[0])]
    assert (first["status"], first["output"]) == ("ok", str(photos[0].with_suffix(".vqc")))
    level = library.probe(photos[0].with_suffix(".vqc")).level
    assert (first["width"], first["height"], first["level"]) == (80, 64, level)
    assert first["psnr"] > 10


@pytest.mark.slow
def test_batch_functions_with_two_processes(photos, tmp_path, tiny_weights, tiny_codec):
    codec, folder = tiny_codec, tmp_path / "coded"
    folder.mkdir()
    for path in photos:
        codec.compress_file(path, folder / (path.stem + ".vqc"))
    (folder / "bad.vqc").write_bytes(b"nothing")
    seen: list[library.FileResult] = []
    report = library.decompress_batch(
        [folder], tmp_path / "back", model=str(tiny_weights), jobs=2, suffix=".ppm", progress=seen.append
    )
    assert [Path(result.source).name for result in report.failed if result.source] == ["bad.vqc"]
    assert len(seen) == 4
    for path in photos:
        with Image.open(tmp_path / "back" / (path.stem + ".ppm")) as image:
            difference = np.asarray(image).astype(int) - np.asarray(
                codec.decompress(folder / (path.stem + ".vqc"))
            )
        assert np.abs(difference).max() <= 1  # another number of threads

    with pytest.raises(ValueError, match="works in this process"):
        library.compress_batch(photos, tmp_path / "x", codec=codec, jobs=2)
    with pytest.raises(library.errors.ModelNotFound):
        library.compress_batch(photos, tmp_path / "x", model="nothing", jobs=2)
    (photos[0]).write_bytes(b"nothing")
    with pytest.raises(UnsupportedImage):
        library.compress_batch(photos, model=str(tiny_weights), jobs=2, on_error="raise")


def test_jobs_of_the_library_are_for_the_cpu(photos, tmp_path, tiny_weights, monkeypatch, codec):
    """On a GPU the one process that has it does all the work."""
    from vqcodec import loading  # noqa: PLC0415  what is patched
    from vqcodec.batch import workers  # noqa: PLC0415  what is patched

    monkeypatch.setattr(loading, "resolve_device", lambda device: (device, None))
    monkeypatch.setattr(loading, "load", lambda _model, device, **_: codec if device == "cuda" else None)
    monkeypatch.setattr(workers, "run_in_workers", None)
    report = library.compress_batch(photos, model=str(tiny_weights), device="cuda", jobs=2)
    assert len(report.done) == 3


@pytest.mark.parametrize(("device", "counts"), [("cuda", []), ("cpu", [2]), ("auto", [2])])
def test_jobs_on_the_command_line_are_for_the_cpu(vqcodec, photos, tmp_path, monkeypatch, device, counts):
    """One process does all the work of a GPU; where none is named, several processes mean the CPU."""
    from vqcodec import loading  # noqa: PLC0415  what is patched
    from vqcodec.batch import workers  # noqa: PLC0415  what is patched

    seen: list[int] = []
    devices: list[str] = []

    def run_in_workers(jobs, do, count):
        seen.append(count)
        devices.append(do.keywords["work"].keywords["models"]._options["device"])
        yield from enumerate(map(do, jobs))

    monkeypatch.setattr(loading, "resolve_device", lambda device: (device, None))
    monkeypatch.setattr(workers, "run_in_workers", run_in_workers)
    assert vqcodec("compress", *photos, "-j", 2, "-d", device).code == 0
    assert seen == counts
    assert devices == ["cpu"] * len(counts)
    assert all(path.with_suffix(".vqc").exists() for path in photos)


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
@pytest.mark.slow
def test_interrupt_leaves_nothing(photos, tmp_path, tiny_weights):
    copies = []
    for number in range(400):
        copies.append(tmp_path / f"{number}.png")
        copies[-1].write_bytes(photos[0].read_bytes())
    out = tmp_path / "out"
    words = ["compress", *map(str, copies), "--output-dir", str(out), "-j", "2", "-m", str(tiny_weights)]
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "vqcodec", *words], stderr=subprocess.PIPE, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    while not (out.exists() and any(out.glob("*.vqc"))):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does on Ctrl-C
    # Ends only once every process that holds the pipe has ended, so no orphan is left.
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert messages.decode().splitlines()[-1] == "vqcodec: interrupted"
    assert b"Traceback" not in messages
    written = list(out.iterdir())
    assert 0 < len(written) < len(copies)
    for path in written:
        assert path.suffix == ".vqc"
        library.verify(path)
