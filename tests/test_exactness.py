"""Golden files decode to the same indices and latents under every instruction set and thread count."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.make_golden import PICTURES, SUMS, WEIGHTS, decode
from tests.tiny import load_codec, picture
from vqcodec.bitstream import parse, write
from vqcodec.entropy.class_offsets import Shifts
from vqcodec.errors import CorruptData, ModelMismatch
from vqcodec.metrics.rate_distortion import psnr

ROOT = Path(__file__).resolve().parents[1]
SETS = sorted((ROOT / "tests" / "golden").iterdir())
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


@pytest.fixture(params=SETS, ids=lambda path: path.name)
def golden(request):
    return request.param


def strength(name: str) -> int:
    """Position in LEVELS; what torch calls otherwise on other processors counts as the weakest."""
    return LEVELS.index(name) if name in LEVELS else 0


def test_there_is_a_set():
    assert [path.name for path in SETS] == ["v1", "v2", "v3", "v4", "v5", "v6"]
    assert all(path.is_dir() for path in SETS)


def test_the_files_are_those_that_were_written(golden):
    lines = (golden / SUMS).read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert set(sums) == {p.name for p in golden.iterdir()} - {SUMS}
    assert {f"{name}.vqc" for name in PICTURES} < set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((golden / name).read_bytes()).hexdigest() == digest, name
    assert sum(p.stat().st_size for p in golden.iterdir()) < 500_000


def test_here_and_now(golden):
    codec = load_codec(golden / WEIGHTS)
    for path in golden.glob("*.vqc"):
        indices, latent, pixels = decode(codec, path.read_bytes())
        compare(golden, path.stem, {"indices": indices, "latent": latent, "pixels": pixels})
        assert np.array_equal(np.asarray(codec.decompress(path.read_bytes())), pixels)


@pytest.mark.parametrize("effort", [1, 3])
def test_models_of_every_age_encode(golden, effort):
    codec = load_codec(golden / WEIGHTS)
    x = picture(70, 90, seed=9)
    data = codec.compress(x, quality=80, effort=effort)
    pixels = np.asarray(codec.decompress(data))
    assert psnr(x, pixels) > psnr(x, np.broadcast_to(x.mean((0, 1)), x.shape).round().astype(np.uint8)) + 6
    # Fewer than a byte in two pixels, though this prior knows nothing.
    assert len(data) < x.shape[0] * x.shape[1] / 2


def compare(golden: Path, name: str, results: dict[str, np.ndarray]) -> None:
    for kind in ("indices", "latent"):
        assert np.array_equal(results[kind], np.load(golden / f"{name}.{kind}.npy")), (name, kind)
    wanted = np.load(golden / f"{name}.pixels.npy").astype(int)
    assert results["pixels"].shape == wanted.shape
    assert np.abs(results["pixels"] - wanted).max() <= 1, name


@pytest.mark.parametrize("setting", SETTINGS)
def test_other_instructions_and_threads(tmp_path, setting):
    weakest, threads, aten, onednn, blas = SETTINGS[setting]
    if strength(torch.backends.cpu.get_cpu_capability()) < strength(weakest):
        pytest.skip(f"this CPU has no {weakest}")
    changes = {
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "ATEN_CPU_CAPABILITY": aten,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "OPENBLAS_CORETYPE": blas,
    }
    # One process for all sets: most of its time it starts.
    script = (
        "import sys, torch; sys.path.append(sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.make_golden import check\n"
        "out = Path(sys.argv[2])\n"
        "for folder in map(Path, sys.argv[3:]): check(folder, out / f'{folder.name}.npz')\n"
        "print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())\n"
    )
    command = [sys.executable, "-c", script, str(ROOT), str(tmp_path), *map(str, SETS)]
    done = subprocess.run(command, env=os.environ | changes, check=True, capture_output=True, text=True)
    capability, used = done.stdout.split()
    if torch.backends.cpu.get_cpu_capability() in LEVELS:
        assert capability.lower() == aten
    assert int(used) == threads
    for golden in SETS:
        with np.load(tmp_path / f"{golden.name}.npz") as results:
            assert {key.split(".")[0] for key in results} == {p.stem for p in golden.glob("*.vqc")}
            for path in golden.glob("*.vqc"):
                kinds = ("indices", "latent", "pixels")
                compare(golden, path.stem, {kind: results[f"{path.stem}.{kind}"] for kind in kinds})


def test_the_set_is_worth_testing(golden):
    """Several tiles, both layers, every band, many words: a decoder that guesses would not pass."""
    container = parse((golden / "tiles.vqc").read_bytes())
    assert len(container.segments) > 4
    assert sum(len(segment or b"") for layers in container.segments for segment in layers) > 800
    indices = np.load(golden / "tiles.indices.npy")
    assert len(np.unique(indices)) >= 12
    assert np.bincount(indices).max() < 0.8 * len(indices)
    latent = np.load(golden / "tiles.latent.npy")
    assert np.abs(latent).max() > 2000
    assert (latent % 128 != 0).mean() > 0.5
    if golden.name != "v1":  # older than shifts
        assert any(shifted(golden, path) for path in golden.glob("*.vqc"))


def shifted(golden: Path, path: Path) -> bool:
    """Whether any tile of a file moves classes."""
    coder = load_codec(golden / WEIGHTS)
    read, moved = Shifts.read, []

    def recorded(self, *arguments):
        shifts = read(self, *arguments)
        moved.append(any((numbers != self.still).any() for numbers in shifts))
        return shifts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shifts, "read", recorded)
        decode(coder, path.read_bytes())
    return any(moved)


def test_files_are_canonical(golden):
    for path in golden.glob("*.vqc"):
        data = path.read_bytes()
        container = parse(data)
        segments = [[s for s in layers if s is not None] for layers in container.segments]
        assert write(container.header, segments, container.chunks) == data


def test_another_model_is_refused(golden, tiny_codec):
    data = (golden / "whole.vqc").read_bytes()
    with pytest.raises(ModelMismatch):
        tiny_codec.decompress(data)


def test_every_damaged_byte_is_found(golden):
    codec = load_codec(golden / WEIGHTS)
    data = (golden / "dot.vqc").read_bytes()
    for i in range(30, len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 0x10
        with pytest.raises(CorruptData):
            codec.decompress(bytes(damaged))
