"""From the state of a run to weights that code pictures, and what `benchmarks.evaluate` says of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import pytest
import torch
from PIL import Image

from tests.entropy.plain_tables import combine_rows
from tests.tiny import TINY, load_codec, picture, pictures, tiny_integers
from vqcodec.entropy.tables import counts_from_codes, make_powers
from vqcodec.errors import ModelNotFound
from vqcodec.metrics.rate_distortion import mse, psnr
from vqcodec.model.codebook import SLOPE, VectorQuantizer, greedy_slope
from vqcodec.model.dial import lambda_of_level
from vqcodec.model.vqvae import VQVAE
from vqcodec.training import coding_tables, export
from vqcodec.training.data import Crops, load_images
from vqcodec.training.state import load_state, read_metadata
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore
from vqcodec.weights.writing import save_weights


def test_an_export_codes_pictures(exported):
    codec = load_codec(exported)
    assert codec.name == "mine"
    x = picture(150, 170, seed=77)
    segments = codec.encode(x, 252, 64).segments
    decoded = codec.decode(segments, width=170, height=150, level=252, tile=64)
    assert psnr(x, decoded) > 24


def test_parameters_may_lie_on_the_way_to_the_state(trained, exported, folder, tmp_path, monkeypatch):
    """Of the model that a run started from: at the start, in the middle, and another model's are refused."""
    model, _ = load_state(trained / "state.safetensors")
    start = VQVAE(TINY)
    ends = [{n: p.detach().clone() for n, p in m.named_parameters()} for m in (start, model)]
    export.mix(model, start, 0.25)
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, 0.75 * ends[0][name] + 0.25 * ends[1][name], atol=1e-6), name
    with pytest.raises(ModelNotFound, match="no parameter like"):
        export.mix(model, VQVAE(dataclasses.replace(TINY, prior_width=24)), 0.25)

    state, output = trained / "state.safetensors", tmp_path / "mixed.safetensors"
    words = [str(state), "--data", str(folder), "--batches", "1", "--share", "0", "--start", str(exported)]
    monkeypatch.setattr(sys, "argv", ["export", *words, "-o", str(output)])
    export.main()
    assert json.loads(read_metadata(output)["training"])["share"] == 0
    same, other = (restore(load_weights(path)).g_a.tail.weight.detach() for path in (output, exported))
    assert torch.allclose(same, other, atol=0.01 * float(other.abs().max()))


def test_the_estimated_rate_is_what_files_take(trained, folder, tmp_path, without_offsets, bench):
    """With the model's own tables, not corrected by counts, files take the rate that training optimises."""
    x = picture(256, 256, seed=78)
    Image.fromarray(x).save(tmp_path / "x.png")
    model, settings_then = load_state(trained / "state.safetensors")
    assert settings_then["step"] == 60
    crops = Crops(load_images(folder, 64), seed=0)
    arrays = export.export(model, crops, batches=1, side=64, pseudo=1e12)
    save_weights(
        tmp_path / "plain.safetensors", model.config, tiny_integers(model), arrays, {"name": "plain"}
    )
    codec = load_codec(tmp_path / "plain.safetensors")
    model.quantizer.use_greedy_slopes()
    for level in (40, 230):
        segments = codec.encode(x, level, 0).segments
        bpp = 8 * sum(len(s) for layers in segments for s in layers) / 256**2
        guess = bench("evaluate").evaluate(model, [tmp_path / "x.png"], level / 252)
        # Two segments end in whole words; table codes are rounded to 1/15 nat.
        assert guess["bpp"] == pytest.approx(bpp, rel=0.01, abs=128 / 256**2)
        decoded = codec.decode(segments, width=256, height=256, level=level, tile=0)
        assert guess["psnr"] == pytest.approx(psnr(x, decoded), abs=0.1)


def test_counts_make_coding_cheaper(trained, folder, tmp_path):
    """Tables corrected by the symbols of the pictures at hand lower J = lambda 255^2 MSE + bpp of those."""
    model, _ = load_state(trained / "state.safetensors")
    costs = []
    for pseudo in (60.0, 1e12):
        crops = Crops(load_images(folder, 64), seed=0)
        arrays = export.export(model, crops, batches=8, side=64, pseudo=pseudo)
        path = tmp_path / f"{pseudo:.0f}.safetensors"
        save_weights(path, model.config, tiny_integers(model), arrays, {"name": "x"})
        codec = load_codec(path)
        cost = 0.0
        for x in pictures(5, 256):
            segments = codec.encode(x, 100, 0).segments
            decoded = codec.decode(segments, width=256, height=256, level=100, tile=0)
            weight = float(lambda_of_level(torch.tensor(100 / 252)))
            cost += weight * mse(x, decoded) + 8 * sum(len(s) for s in segments[0]) / 256**2
        costs.append(cost)
    assert costs[0] < costs[1]


def test_words_are_counted_as_files_have_them(trained, monkeypatch):
    model, _ = load_state(trained / "state.safetensors")
    slopes = []
    count = coding_tables.count_symbols

    def watched(counted: VQVAE, *rest: Any) -> Any:
        slopes.append(list(counted.quantizer.slopes))
        return count(counted, *rest)

    monkeypatch.setattr(export, "count_symbols", watched)
    export.export(model, Crops(pictures(2), seed=0), batches=1, side=64)
    assert slopes == [[greedy_slope(size) for size, _, _ in TINY.bands]]
    assert slopes != [[SLOPE] * len(TINY.bands)]


def test_tables_fit_what_was_counted(trained):
    """Fitted rows give each value of each context number the words that were counted there."""
    model, _ = load_state(trained / "state.safetensors")
    quantizer = model.quantizer
    assert isinstance(quantizer, VectorQuantizer)
    band, levels = quantizer.bands[0], quantizer.context_levels
    classes = levels[0] * levels[1]
    random = torch.Generator().manual_seed(0)
    counts = torch.rand(band.groups, classes, band.codewords, generator=random).square() * 1000
    rows = coding_tables.table_rows(quantizer, 0, counts, pseudo=1e-6)
    codes = combine_rows(rows, levels)
    fitted = counts.sum(-1, keepdim=True) * torch.from_numpy(
        counts_from_codes(codes, make_powers()) / 2.0**24
    )
    for axis in (2, 1):
        wanted, got = (v.reshape(band.groups, *levels, band.codewords).sum(axis) for v in (counts, fitted))
        # Codes are rounded to 1/15 nat, twice.
        assert bool(((got / wanted).log().abs() < 0.08).all())


def test_evaluation_command(trained, folder, monkeypatch, capsys, bench):
    arguments = [str(trained / "state.safetensors"), "--data", str(folder / "below"), "--levels", "0,0.5"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, "--exact", "--codebooks"])
    bench("evaluate").main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["pictures"] == 1
    assert lines[1]["bpp"] < lines[2]["bpp"]
    assert lines[1]["psnr"] < lines[2]["psnr"]
    assert "perplexity" in lines[3]


def test_evaluation_against_another_model(trained, folder, monkeypatch, capsys, bench):
    state = str(trained / "state.safetensors")
    words = ["evaluate", state, "--data", str(folder / "below"), "--levels", "0.5", "--exact", "--greedy"]
    monkeypatch.setattr(sys, "argv", [*words, "--against", state])
    bench("evaluate").main()
    row = json.loads(capsys.readouterr().out.splitlines()[1])
    assert row == {"level": 0.5} | dict.fromkeys(("bpp", "mse", "seen", "cost", "cost_seen"), 0.0)
    for more, said in (
        (["--against", f"{state}x"], f"{state}x"),
        (["--against", state, "--codebooks"], "not allowed"),
    ):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        with pytest.raises(SystemExit):
            bench("evaluate").main()
        assert said in capsys.readouterr().err


def test_greedy_evaluation_chooses_as_files_do(trained, folder, monkeypatch, capsys, bench):
    rows = []
    for more in ([], ["--greedy"]):
        words = [
            "evaluate",
            str(trained / "state.safetensors"),
            "--data",
            str(folder / "below"),
            "--levels",
            "0.5",
        ]
        monkeypatch.setattr(sys, "argv", [*words, *more])
        bench("evaluate").main()
        rows.append(json.loads(capsys.readouterr().out.splitlines()[1]))
    # Errors are dearer, so they get smaller for more bits.
    assert rows[1]["bpp"] > rows[0]["bpp"]


def test_evaluation_without_networks(trained, folder, monkeypatch, capsys, bench):
    state = str(trained / "state.safetensors")
    rows = []
    for more in ([], ["--linear"]):
        words = ["evaluate", state, "--data", str(folder / "below"), "--levels", "0.5", *more]
        monkeypatch.setattr(sys, "argv", words)
        bench("evaluate").main()
        rows.append(json.loads(capsys.readouterr().out.splitlines()[1]))
    assert rows[0]["cost"] != rows[1]["cost"]
    model, _ = load_state(trained / "state.safetensors")
    x, level = torch.rand(1, 3, 32, 32), torch.tensor([0.5])
    assert not torch.equal(model.g_a(x, level), model.g_a.linear(x))
    bench("evaluate").silence_networks(model)
    assert torch.equal(model.g_a(x, level), model.g_a.linear(x))
    y = torch.rand(1, TINY.channels, 2, 2)
    assert torch.equal(model.g_s(y, level), model.g_s.linear(y) + 0.5)
