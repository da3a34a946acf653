"""Golden files decode to the same indices and latents under every instruction set and thread count."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.make_golden import PICTURES, SUMS, WEIGHTS, decode
from tests.tiny import load_codec, picture
from vqcodec.bitstream import parse, write
from vqcodec.entropy.class_offsets import ClassOffsets
from vqcodec.errors import CorruptData, ModelMismatch
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.native.choice import built

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
FILES = sorted(GOLDEN.glob("*.vqc"))
LEVELS = ("DEFAULT", "AVX2", "AVX512")
"""torch's names of what a CPU can do, weakest first."""

# name -> weakest CPU, threads, torch, oneDNN, OpenBLAS (numpy's matrix products)
SETTINGS = {
    "plain": ("DEFAULT", 1, "default", "SSE41", "Prescott"),
    "plain, two threads": ("DEFAULT", 2, "default", "SSE41", "Prescott"),
    "avx2": ("AVX2", 1, "avx2", "AVX2", "Haswell"),
    "avx2, two threads, other BLAS": ("AVX2", 2, "avx2", "AVX2", "Prescott"),
    "avx512": ("AVX512", 1, "avx512", "AVX512_CORE", "SkylakeX"),
    "avx512, two threads": ("AVX512", 2, "avx512", "AVX512_CORE", "SkylakeX"),
}


# name -> instructions of the C engine (or the best below them that the CPU has), threads
NATIVE_SETTINGS = {
    "C, portable": ("portable", 1),
    "C, avx2, two threads": ("avx2", 2),
    "C, avxvnni": ("avxvnni", 1),
    "C, avx512vnni, two threads": ("avx512vnni", 2),
    "C, amx": ("amx", 1),
}


def strength(name: str) -> int:
    """Position in LEVELS; what torch calls otherwise on other processors counts as the weakest."""
    return LEVELS.index(name) if name in LEVELS else 0


def test_the_files_are_those_that_were_written():
    lines = (GOLDEN / SUMS).read_text().splitlines()
    sums = {line.split("  ")[1]: line.split("  ")[0] for line in lines}
    assert set(sums) == {p.name for p in GOLDEN.iterdir()} - {SUMS}
    assert {path.stem for path in FILES} == set(PICTURES)
    for name, digest in sums.items():
        assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == digest, name
    assert sum(p.stat().st_size for p in GOLDEN.iterdir()) < 500_000


def test_here_and_now():
    codec = load_codec(GOLDEN / WEIGHTS)
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
    for kind in ("indices", "latent"):
        assert np.array_equal(results[kind], np.load(GOLDEN / f"{name}.{kind}.npy")), (name, kind)
    wanted = np.load(GOLDEN / f"{name}.pixels.npy").astype(int)
    assert results["pixels"].shape == wanted.shape
    difference = results["pixels"] - wanted
    assert np.abs(difference).max() <= 1, name
    # Rounded to the nearest: few samples differ, and those that do lie on both sides.
    assert abs(difference.mean()) < 0.01, name


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.slow
def test_other_instructions_and_threads(tmp_path, setting):
    weakest, threads, aten, onednn, blas = SETTINGS[setting]
    if strength(torch.backends.cpu.get_cpu_capability()) < strength(weakest):
        pytest.skip(f"this CPU has no {weakest}")
    changes = {
        "VQCODEC_ENGINE": "torch",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "ATEN_CPU_CAPABILITY": aten,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "OPENBLAS_CORETYPE": blas,
    }
    capability, used = decode_elsewhere(tmp_path, changes)
    if torch.backends.cpu.get_cpu_capability() in LEVELS:
        assert capability.lower() == aten
    assert used == threads


@pytest.mark.parametrize("setting", NATIVE_SETTINGS)
@pytest.mark.slow
def test_other_instructions_and_threads_of_the_engine_in_c(tmp_path, setting):
    if built("_entropy") is None:
        pytest.skip("the C engine was not built")
    isa, threads = NATIVE_SETTINGS[setting]
    changes = {"VQCODEC_ENGINE": "native", "VQCODEC_ISA": isa, "OMP_NUM_THREADS": str(threads)}
    decode_elsewhere(tmp_path, changes)


def decode_elsewhere(tmp_path: Path, changes: dict[str, str]) -> tuple[str, int]:
    """Decode the golden files in a process with these variables; torch's CPU, and its threads."""
    script = (
        "import sys, torch; sys.path.append(sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.make_golden import check\n"
        "check(Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())\n"
    )
    out = tmp_path / "results.npz"
    command = [sys.executable, "-c", script, str(ROOT), str(GOLDEN), str(out)]
    done = subprocess.run(command, env=os.environ | changes, check=True, capture_output=True, text=True)
    with np.load(out) as results:
        assert {key.split(".")[0] for key in results} == set(PICTURES)
        for name in PICTURES:
            compare(name, {kind: results[f"{name}.{kind}"] for kind in ("indices", "latent", "pixels")})
    capability, used = done.stdout.split()
    return capability, int(used)


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
        assert write(container.header, segments, container.chunks) == data


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
