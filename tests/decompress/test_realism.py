"""Decoding with the perceptual decoder: same indices, other pixels, mixtures of weights, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.tiny import load_codec, picture
from vqcodec import errors
from vqcodec.decompress.blending import mixed
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.integers import to_reals
from vqcodec.weights.zoo import find_model
from vqcodec_cli.main import main


def test_same_file_two_decoders(tiny_weights, real_weights, monkeypatch):
    """Identical indices, other pixels; at 0 the pixels of a model without a perceptual decoder."""
    plain, both = load_codec(tiny_weights), load_codec(real_weights)
    assert (both.bitstream_id, both.decoder_id) == (plain.bitstream_id, plain.decoder_id)
    assert (len(both.realism_id), plain.realism_id) == (16, "")
    data = plain.compress(picture(96, 80, seed=3), quality=40)
    assert both.compress(picture(96, 80, seed=3), quality=40) == data
    latents = []
    original = both.model.coder.decode

    def watch(*args):
        latents.append(original(*args))
        return latents[-1]

    monkeypatch.setattr(both.model.coder, "decode", watch)
    seen = [np.asarray(both.decompress(data, realism=r)).astype(int) for r in (0, 0.5, 1)]
    assert len(latents) == 3
    assert all(np.array_equal(latents[0], latent) for latent in latents[1:])
    assert np.array_equal(seen[0], np.asarray(plain.decompress(data)))
    far, near = (np.abs(seen[i] - seen[0]).mean() for i in (2, 1))
    assert far > near > 0


def test_the_mixture_is_of_weights(tiny_weights, real_weights):
    codec = load_codec(real_weights)
    weights = load_weights(real_weights)
    zero, one = (weights.transforms | other for other in ({}, weights.realism))
    found = mixed(weights.transforms, weights.realism, 0.25)
    reals, first, second = (to_reals({n: a for n, a in x.items() if n in found}) for x in (found, zero, one))
    for name, real in reals.items():
        wanted = 0.75 * first[name] + 0.25 * second[name]
        # Inputs that are hardly ever awake may lose small weights.
        assert np.abs(real - wanted).mean() <= np.abs(wanted).mean() / 5 + 1e-12, name
    assert all((found[n] >= np.maximum(zero[n], one[n])).all() for n in found if n.endswith(".step"))
    # All of the perceptual decoder is just that, without another rounding.
    assert all(np.array_equal(array, one[n]) for n, array in mixed(zero, weights.realism, 1).items())
    assert codec.decoder._blends.at(0.25) is codec.decoder._blends.at(0.25)
    assert codec.decoder._blends.at(0.0) is codec.model.g_s


def test_bad_realism_is_refused(tiny_weights, real_weights):
    data = load_codec(tiny_weights).compress(picture(32, 32))
    with pytest.raises(errors.ModelNotFound, match="no perceptual decoder"):
        load_codec(tiny_weights).decompress(data, realism=0.5)
    for realism in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="realism must be from 0 to 1"):
            load_codec(real_weights).decompress(data, realism=realism)


def test_damaged_realism_is_noticed(tmp_path, real_weights):
    with safe_open(real_weights, framework="np") as file:
        tensors, notes = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata())  # noqa: SIM118
    name = next(n for n in tensors if n.startswith("realism.") and n.endswith(".bias"))
    tensors[name] = tensors[name] + np.float32(1)
    save_file(tensors, tmp_path / "bad.safetensors", metadata=notes)
    with pytest.raises(errors.ModelNotFound, match="fingerprints"):
        load_weights(tmp_path / "bad.safetensors")


def test_realism_on_the_command_line(tmp_path, tiny_weights, real_weights, capsys):
    Image.fromarray(picture(64, 64)).save(tmp_path / "x.png")
    file = str(tmp_path / "x.vqc")
    assert main(["compress", str(tmp_path / "x.png"), "-m", str(tiny_weights), "-o", file]) == 0
    for realism in ("0", "1"):
        words = ["decompress", file, "-m", str(real_weights), "--realism", realism]
        assert main([*words, "-o", str(tmp_path / f"{realism}.png")]) == 0
    zero, one = (np.asarray(Image.open(tmp_path / f"{r}.png")) for r in (0, 1))
    assert not np.array_equal(zero, one)
    capsys.readouterr()
    assert main(["decompress", file, "-m", str(tiny_weights), "--realism", "1", "-o", f"{file}.png"]) != 0
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["decompress", file, "-m", str(real_weights), "--realism", "2"]) == 2


def test_the_package_ships_both_decoders():
    path = find_model("default")
    assert path.stat().st_size < 32e6
    codec = load_codec(path)
    assert len(codec.realism_id) == 16
    pixels = picture(64, 96, seed=1)
    data = codec.compress(pixels, quality=20)
    zero, one = (np.asarray(codec.decompress(data, realism=r)).astype(float) for r in (0, 1))
    assert 0.5 < np.abs(zero - one).mean() < 20
    assert np.abs(one - pixels).mean() < 30
