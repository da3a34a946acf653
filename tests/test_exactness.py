"""Golden files decode to the same pixels by every engine, instruction set and thread count."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.make_golden import DRAWINGS, LOSSY, PICTURES, SUMS, WEIGHTS, decode
from tests.tiny import DEVICES, load_codec, picture
from vqcodec.bitstream import parse, write
from vqcodec.entropy.class_offsets import ClassOffsets
from vqcodec.errors import CorruptData, ModelMismatch
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.native.choice import built

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
FILES = sorted(GOLDEN.glob("*.vqc"))
SETTINGS = {
    "C, portable": {"VQCODEC_ENGINE": "native", "VQCODEC_ISA": "portable", "OMP_NUM_THREADS": "1"},
    "C, AVX2": {"VQCODEC_ENGINE": "native", "VQCODEC_ISA": "avx2", "OMP_NUM_THREADS": "3"},
    "C, AVX-VNNI": {"VQCODEC_ENGINE": "native", "VQCODEC_ISA": "avxvnni", "OMP_NUM_THREADS": "1"},
    "C, AVX-512": {"VQCODEC_ENGINE": "native", "VQCODEC_ISA": "avx512vnni", "OMP_NUM_THREADS": "2"},
    "C, what there is": {"VQCODEC_ENGINE": "native", "OMP_NUM_THREADS": "2"},
    "torch, plain": {
        "VQCODEC_ENGINE": "torch",
        "OMP_NUM_THREADS": "2",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Prescott",
    },
    "torch, AVX2": {
        "VQCODEC_ENGINE": "torch",
        "OMP_NUM_THREADS": "1",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "torch, what there is": {"VQCODEC_ENGINE": "torch", "OMP_NUM_THREADS": "2"},
}
"""Engines, instructions and threads; a processor that lacks what is asked for takes what it has."""


def test_the_files_are_those_that_were_written():
    lines = (GOLDEN / SUMS).read_text().splitlines()
    sums = {line.split("  ")[1]: line.split("  ")[0] for line in lines}
    assert set(sums) == {p.name for p in GOLDEN.iterdir()} - {SUMS}
    assert {path.stem for path in FILES} == {*PICTURES, *DRAWINGS, LOSSY}
    for name, digest in sums.items():
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest, name
    assert sum(p.stat().st_size for p in GOLDEN.iterdir()) < 500_000


@pytest.mark.parametrize("device", DEVICES)
def test_here_and_now(device):
    codec = load_codec(GOLDEN / WEIGHTS, device)
    for path in FILES:
        indices, latent, pixels = decode(codec, path.read_bytes())
        compare(path.stem, {"indices": indices, "latent": latent, "pixels": pixels})
        assert np.array_equal(np.asarray(codec.decompress(path.read_bytes())), pixels)


@pytest.mark.parametrize("effort", [1, 3])
def test_the_model_of_the_set_encodes(effort):
    codec = load_codec(GOLDEN / WEIGHTS)
    x = picture(70, 90, seed=9)
    data = codec.compress(x, quality=80, effort=effort)
    pixels = np.asarray(codec.decompress(data))
    assert psnr(x, pixels) > psnr(x, np.broadcast_to(x.mean((0, 1)), x.shape).round().astype(np.uint8)) + 6
    # Fewer than a byte in two pixels, though this prior knows nothing.
    assert len(data) < x.shape[0] * x.shape[1] / 2


def compare(name: str, results: dict[str, np.ndarray]) -> None:
    for kind in ("indices", "latent", "pixels"):
        assert np.array_equal(results[kind], np.load(GOLDEN / f"{name}.{kind}.npy")), (name, kind)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.slow
def test_other_engines_instructions_and_threads(tmp_path, setting):
    changes = SETTINGS[setting]
    if changes["VQCODEC_ENGINE"] == "native" and built("_kernels") is None:
        pytest.skip("the C engine was not built")
    script = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.make_golden import check\n"
        "check(Path(sys.argv[2]), Path(sys.argv[3]))\n"
    )
    out = tmp_path / "results.npz"
    command = [sys.executable, "-c", script, str(ROOT), str(GOLDEN), str(out)]
    # In a checkout its package, without the engine, would hide the installed one.
    subprocess.run(
        command, env=os.environ | changes, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    with np.load(out) as results:
        assert {key.split(".")[0] for key in results} == {*PICTURES, *DRAWINGS, LOSSY}
        for name in (*PICTURES, *DRAWINGS, LOSSY):
            compare(name, {kind: results[f"{name}.{kind}"] for kind in ("indices", "latent", "pixels")})


def test_the_set_is_worth_testing():
    """Several tiles, both layers, every band, many words: a decoder that guesses would not pass."""
    container = parse((GOLDEN / "tiles.vqc").read_bytes())
    assert len(container.segments) > 4
    assert sum(len(segment or b"") for layers in container.segments for segment in layers) > 800
    indices = np.load(GOLDEN / "tiles.indices.npy")
    assert len(np.unique(indices)) >= 12
    assert np.bincount(indices).max() < 0.8 * len(indices)
    latent = np.load(GOLDEN / "tiles.latent.npy")
    assert np.abs(latent).max() > 2000
    assert (latent % 128 != 0).mean() > 0.5
    assert any(moves_classes(path) for path in FILES)
    assert all(parse((GOLDEN / "text.vqc").read_bytes()).drawn_whole)
    beside = parse((GOLDEN / "beside.vqc").read_bytes())
    assert sum(bool(segment) for segment in beside.drawn) >= 2
    assert sum(bool(layers[0]) for layers in beside.segments) >= 2


def moves_classes(path: Path) -> bool:
    """Whether any tile of a file moves classes."""
    coder = load_codec(GOLDEN / WEIGHTS)
    read, moved = ClassOffsets.read, []

    def recorded(self, *arguments):
        offsets = read(self, *arguments)
        moved.append(any((numbers != self.zero).any() for numbers in offsets))
        return offsets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassOffsets, "read", recorded)
        decode(coder, path.read_bytes())
    return any(moved)


def test_files_are_canonical():
    for path in FILES:
        data = path.read_bytes()
        container = parse(data)
        segments = [[s for s in layers if s is not None] for layers in container.segments]
        assert write(container.header, segments, container.chunks, container.drawn) == data


def test_another_model_is_refused(tiny_codec):
    data = (GOLDEN / "whole.vqc").read_bytes()
    with pytest.raises(ModelMismatch):
        tiny_codec.decompress(data)


@pytest.mark.parametrize("byte", range(8))
def test_every_byte_of_the_fingerprint_counts(byte):
    container = parse((GOLDEN / "dot.vqc").read_bytes())
    changed = bytearray(container.header.bitstream_id)
    changed[byte] ^= 1
    segments = [[s for s in layers if s is not None] for layers in container.segments]
    data = write(replace(container.header, bitstream_id=bytes(changed)), segments, container.chunks)
    with pytest.raises(ModelMismatch):
        load_codec(GOLDEN / WEIGHTS).decompress(data)


def test_every_damaged_byte_is_found():
    codec = load_codec(GOLDEN / WEIGHTS)
    data = (GOLDEN / "dot.vqc").read_bytes()
    for i in range(30, len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 0x10
        with pytest.raises(CorruptData):
            codec.decompress(bytes(damaged))
