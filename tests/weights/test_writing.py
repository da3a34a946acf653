"""Weights files made from others: another decoder for the same bits, and a perceptual one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.tiny import add_random_realism
from vqcodec.errors import ModelNotFound
from vqcodec.weights.checkpoint import Arrays, load_weights
from vqcodec.weights.restore import restore_realism
from vqcodec.weights.writing import add_realism, replace_decoder


@pytest.fixture
def both(tmp_path, tiny_weights):
    """The tiny weights with a perceptual decoder."""
    path = tmp_path / "both.safetensors"
    add_random_realism(tiny_weights, path)
    return path


def decoder(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name.startswith("g_s.")}


def test_another_decoder_leaves_the_bits_and_the_perceptual_decoder(tmp_path, both):
    old, path = load_weights(both), tmp_path / "new.safetensors"
    own = decoder(old.transforms)
    own |= {"g_s.last.weight": -own["g_s.last.weight"], "g_s.lapping": 2 * own["g_s.lapping"]}
    decoder_id = replace_decoder(both, old.config, own, old.transforms["log_gain"], path)
    new = load_weights(path)
    assert new.bitstream_id == old.bitstream_id
    assert new.decoder_id == decoder_id != old.decoder_id
    for name, array in (old.transforms | own).items():
        assert np.array_equal(new.transforms[name], array), name
    # What both decoders had in common is now the perceptual one's own.
    before, after = (decoder(weights.transforms | weights.realism) for weights in (old, new))
    assert set(before) == set(after)
    assert all(np.array_equal(after[name], array) for name, array in before.items())
    assert set(new.realism) == set(old.realism) | {"g_s.lapping"}
    assert new.realism_id != old.realism_id


def test_a_decoder_of_other_latents_is_no_replacement(tmp_path, both):
    weights, path = load_weights(both), tmp_path / "x.safetensors"
    own, gain = decoder(weights.transforms), weights.transforms["log_gain"]
    with pytest.raises(ModelNotFound, match="its latents are of other sizes"):
        replace_decoder(both, dataclasses.replace(weights.config, prior_width=8), own, gain, path)
    wider = dataclasses.replace(weights.config, synthesis=(12, 8, 1, 1))
    with pytest.raises(ModelNotFound, match="its gains are others"):
        replace_decoder(both, wider, own, gain + 1, path)
    own["g_s.last.bias"] = own["g_s.last.bias"][1:]
    with pytest.raises(ModelNotFound, match="its perceptual decoder is of other sizes"):
        replace_decoder(both, wider, own, gain, path)
    assert not path.exists()


def test_a_perceptual_decoder_is_replaced_and_its_names_are_checked(tmp_path, tiny_weights, both):
    bias = np.ones_like(load_weights(tiny_weights).transforms["g_s.last.bias"])
    add_realism(both, {"g_s.last.bias": bias}, tmp_path / "one.safetensors")
    one = load_weights(tmp_path / "one.safetensors")
    assert set(one.realism) == {"g_s.last.bias"}
    tuned = restore_realism(one)
    assert float((tuned["tail.bias"][:64] ** 2 + tuned["tail.bias"][64:128] ** 2).min()) > 0
    assert restore_realism(load_weights(tiny_weights)) == {}
    for wrong in ({"g_s.last.bais": bias}, {"g_s.last.bias": bias[1:]}, {"log_gain": bias}):
        with pytest.raises(ModelNotFound, match="has no array like"):
            add_realism(tiny_weights, wrong, tmp_path / "two.safetensors")
    assert not (tmp_path / "two.safetensors").exists()
