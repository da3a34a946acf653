"""Parameters of the float model to the engine's layers and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import TINY
from vqcodec.model.vqvae import Transforms
from vqcodec.weights.layout import to_layers, to_parameters


@pytest.fixture
def transforms() -> Transforms:
    torch.manual_seed(0)
    made = Transforms(TINY)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        kernels = made.g_s.restoration.kernels
        kernels[:, :, 2, 2] -= kernels.sum((2, 3))  # as they act, and as they come back
    return made


def arrays(transforms: Transforms) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in transforms.state_dict().items()}


def test_all_parameters_come_back(transforms):
    before = arrays(transforms)
    after = to_parameters(to_layers(before))
    assert set(after) == set(before)
    for name, array in before.items():
        assert np.allclose(after[name], array, atol=1e-6, rtol=1e-5), name


def test_g_s_alone(transforms):
    own = {name: array for name, array in arrays(transforms).items() if name.startswith("g_s.")}
    layers = to_layers(own)
    assert all(np.array_equal(layer, to_layers(arrays(transforms))[name]) for name, layer in layers.items())
    assert set(to_parameters(layers)) == set(own)
