"""Weights in 8 bits: near what they were, and the same again when they are packed again."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

from vqcodec.weights.checkpoint import identities
from vqcodec.weights.packing import SCALE_SUFFIX, TOP, is_packed, pack, unpack


def weights(spread: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (6, 5, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("spread", [1e-7, 1e-3, 0.1, 50.0])
def test_each_output_keeps_its_own_precision(spread):
    weight = weights(spread) * 10.0 ** -np.arange(6, dtype=np.float32)[:, None, None, None]
    packed = pack("x.weight", weight)
    assert packed["x.weight"].dtype == np.int8
    assert packed["x.weight"].nbytes == weight.size
    largest = np.abs(weight).max((1, 2, 3))
    error = np.abs(unpack(packed)["x.weight"] - weight).max((1, 2, 3))
    assert (error <= 0.57 * largest / TOP).all()
    assert (np.abs(packed["x.weight"]).max((1, 2, 3)) == TOP).all()


def test_packing_again_changes_nothing():
    for seed in range(20):
        once = pack("x.weight", weights(seed=seed))
        again = pack("x.weight", unpack(once)["x.weight"])
        assert all(np.array_equal(once[name], again[name]) for name in once)


def test_zeros_stay_zeros():
    weight = weights()
    weight[2] = 0
    packed = pack("x.weight", weight)
    assert not unpack(packed)["x.weight"][2].any()
    assert np.isfinite(packed["x.weight" + SCALE_SUFFIX]).all()


def test_only_convolutions_are_packed():
    assert is_packed("g_s.tail.weight", (192, 128, 3, 3))
    assert not is_packed("g_s.tail.bias", (192,))
    assert not is_packed("g_s.restoration.kernels", (18, 1, 5, 5))
    assert not is_packed("g_a.shortcut", (448, 3, 16, 16))


def test_scales_count_in_the_fingerprint(tiny_weights):
    with safe_open(tiny_weights, framework="np") as file:
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    scales = [n for n in tensors if n.startswith("g_s.") and n.endswith(SCALE_SUFFIX)]
    assert scales
    decoder_id = identities(tensors)["decoder_id"]
    for name in scales:
        assert identities(tensors | {name: tensors[name] * np.float32(1.5)})["decoder_id"] != decoder_id
