"""Weights files made from others: another decoder for the same bits, and a perceptual one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.tiny import add_random_realism
from vqcodec.errors import ModelNotFound
from vqcodec.model.vqvae import Transforms
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.writing import add_realism, replace_decoder


@pytest.fixture
def both(tmp_path, tiny_weights):
    """The tiny weights with a perceptual decoder."""
    path = tmp_path / "both.safetensors"
    add_random_realism(tiny_weights, path)
    return path


def test_another_decoder_leaves_the_bits_and_the_perceptual_decoder(tmp_path, both):
    old = load_weights(both)
    transforms = Transforms(old.config).requires_grad_(False)
    transforms.load_state_dict(old.transforms.state_dict())
    for parameter in transforms.g_s.tail.parameters():
        parameter.neg_()
    decoder_id = replace_decoder(both, transforms, tmp_path / "new.safetensors")
    new = load_weights(tmp_path / "new.safetensors")
    assert (new.bitstream_id, new.realism_id) == (old.bitstream_id, old.realism_id)
    assert new.decoder_id == decoder_id != old.decoder_id
    for name, parameter in old.transforms.named_parameters():
        sign = -1 if name.startswith("g_s.tail.") else 1
        assert torch.equal(new.transforms.get_parameter(name), sign * parameter), name
    assert all(torch.equal(new.realism[name], tensor) for name, tensor in old.realism.items())


def test_a_decoder_of_other_latents_is_no_replacement(tmp_path, both):
    weights, path = load_weights(both), tmp_path / "x.safetensors"
    other = Transforms(dataclasses.replace(weights.config, prior_width=8))
    with pytest.raises(ModelNotFound, match="its latents are of other sizes"):
        replace_decoder(both, other, path)
    wider = Transforms(dataclasses.replace(weights.config, synthesis=(12, 8, 1, 1)))
    with pytest.raises(ModelNotFound, match="its gains are others"):
        replace_decoder(both, wider, path)
    wider.load_state_dict({"log_gain": weights.transforms.log_gain}, strict=False)
    with pytest.raises(ModelNotFound, match="its perceptual decoder is of other sizes"):
        replace_decoder(both, wider, path)
    assert not path.exists()


def test_a_perceptual_decoder_is_replaced_and_its_names_are_checked(tmp_path, tiny_weights, both):
    bias = torch.ones_like(load_weights(tiny_weights).transforms.g_s.tail.get_parameter("bias"))
    add_realism(both, {"tail.bias": bias}, tmp_path / "one.safetensors")
    assert set(load_weights(tmp_path / "one.safetensors").realism) == {"tail.bias"}
    for wrong in ({"tail.bais": bias}, {"tail.bias": bias[1:]}):
        with pytest.raises(ModelNotFound, match="has no parameter like"):
            add_realism(tiny_weights, wrong, tmp_path / "two.safetensors")
    assert not (tmp_path / "two.safetensors").exists()
