"""The transforms: DCT start, sizes, level dependence, and the small building blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import TINY
from vqcodec.entropy.coding_order import PASSES
from vqcodec.model.blocks import LevelModulation, ResidualBlock
from vqcodec.model.decoder import SynthesisTransform
from vqcodec.model.dial import (
    LAMBDA_MAX,
    LAMBDA_MIN,
    LEVEL_KNOTS,
    hat_basis,
    lambda_of_level,
    level_basis,
)
from vqcodec.model.encoder import AnalysisTransform
from vqcodec.model.integer_conv import HYPER_STEP
from vqcodec.model.interpolation import DC_CHANNELS, LINEAR_CHANNELS, start_interpolation
from vqcodec.model.shortcut import dct_filters, lap, pre_filter
from vqcodec.model.vqvae import Transforms

ALL = 3 * 16 * 16


# -- dct ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 16, 320, ALL])
def test_filters_are_orthonormal(count):
    filters, deviation = dct_filters(count)
    assert filters.shape == (count, 3, 16, 16)
    assert deviation.shape == (count,)
    flat = filters.flatten(1).double()
    assert torch.allclose(flat @ flat.T, torch.eye(count, dtype=torch.float64), atol=1e-6)
    assert bool((deviation.diff() <= 0).all())


def test_the_dc_filters_are_where_the_prior_expects_them():
    filters, _ = dct_filters(LINEAR_CHANNELS)
    flat = [c for c in range(LINEAR_CHANNELS) if bool((filters[c].flatten(1).std(1) < 1e-6).all())]
    assert flat == list(DC_CHANNELS)


def test_the_interpolation_starts_on_the_dc_channels_that_exist():
    for channels in (1, 3, 16, 320):
        weight = start_interpolation(PASSES[5], channels)
        assert weight.shape == (min(channels, LINEAR_CHANNELS), 2, 3, 3)
        started = weight.flatten(1).abs().sum(1).nonzero().flatten().tolist()
        assert started == [c for c in DC_CHANNELS if c < channels]


def test_the_first_filter_is_the_mean_of_the_picture():
    filters, _ = dct_filters(1)
    assert torch.allclose(filters, torch.full_like(filters, ALL**-0.5), atol=1e-7)


def test_all_channels_of_the_shortcut_reconstruct():
    analysis = AnalysisTransform(ALL, (4, 4, 0, 0))
    synthesis = SynthesisTransform(ALL, (4, 4, 0, 0), (4, 2))
    x = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(0))
    y = analysis.linear(x)
    assert y.shape == (2, ALL, 3, 2)
    blocks = torch.nn.functional.conv_transpose2d(y, synthesis.shortcut, stride=16)
    lapped = lap(x - 0.5, pre_filter().float())
    assert torch.allclose(blocks, lapped, atol=1e-5)
    assert torch.allclose(synthesis.linear(y) + 0.5, x, atol=1e-5)
    # Orthonormal: the energy of the latent is that of the lapped picture.
    assert torch.allclose(y.square().sum(), lapped.square().sum(), rtol=1e-4)


def test_with_silent_networks_the_transforms_are_the_shortcut():
    sizes = (4, 4, 1, 1)
    analysis, synthesis = AnalysisTransform(ALL, sizes), SynthesisTransform(ALL, sizes, (4, 2))
    with torch.no_grad():
        for layer in (analysis.tail, synthesis.tail):
            layer.weight.zero_()
            assert layer.bias is not None
            layer.bias.zero_()
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    level = torch.tensor([0.3])
    assert torch.allclose(synthesis(analysis(x, level), level), x, atol=1e-5)


# -- sizes and levels --------------------------------------------------------------------------
@pytest.fixture(scope="module")
def transforms() -> Transforms:
    torch.manual_seed(0)
    return Transforms(TINY).eval().requires_grad_(False)


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 7), columns=st.integers(1, 7), t=st.floats(0, 1))
def test_any_multiple_of_sixteen_works(transforms, rows, columns, t):
    level = torch.tensor([t])
    y = transforms.analyse(torch.rand(1, 3, 16 * rows, 16 * columns), level)
    assert y.shape == (1, TINY.channels, rows, columns)
    assert transforms.synthesise(y, level).shape == (1, 3, 16 * rows, 16 * columns)
    z = transforms.hyper_latent(y)
    assert z.shape == (1, TINY.hyper_channels, -(-rows // 4), -(-columns // 4))
    assert float(z.abs().max()) <= 127 * HYPER_STEP


def test_samples_of_a_batch_keep_to_themselves(transforms):
    x = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    level = torch.tensor([0.0, 0.4, 1.0])
    y = transforms.analyse(x, level)
    for i in range(3):
        one = transforms.analyse(x[i : i + 1], level[i : i + 1])
        assert torch.allclose(y[i : i + 1], one, rtol=1e-4, atol=1e-4 * float(one.abs().max()))


def test_gains_and_lambda_rise_with_the_level(transforms):
    level = torch.linspace(0, 1, 20)
    weight = lambda_of_level(level)
    assert torch.allclose(weight[[0, -1]], torch.tensor([LAMBDA_MIN, LAMBDA_MAX]))
    assert bool((weight.diff() > 0).all())
    gain = transforms.gain(level)
    assert gain.shape == (20, TINY.channels, 1, 1)
    assert bool((gain[:, 0, 0, 0].diff() > 0).all())


# -- hats and modulation -----------------------------------------------------------------------
@given(position=st.floats(-3, 20), knots=st.integers(2, 12))
def test_hats_sum_to_one_and_give_the_position_back(position, knots):
    basis = hat_basis(torch.tensor([position], dtype=torch.float64), knots)
    assert basis.shape == (1, knots)
    assert bool((basis >= 0).all())
    assert int((basis > 0).sum()) <= 2
    assert float(basis.sum()) == pytest.approx(1, abs=1e-9)
    inside = min(max(position, 0), knots - 1)
    assert float(basis @ torch.arange(knots, dtype=torch.float64)) == pytest.approx(inside, abs=1e-9)


@given(t=st.floats(0, 1, width=32))
def test_level_basis_sums_to_one(t):
    basis = level_basis(torch.tensor([t]))
    assert basis.shape == (1, LEVEL_KNOTS)
    assert float(basis.sum()) == pytest.approx(1, abs=1e-6)


def test_modulation_starts_as_the_identity_and_follows_its_table():
    modulation = LevelModulation(2)
    x = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    basis = level_basis(torch.tensor([0.0, 1 / 16]))
    assert torch.equal(modulation(x, basis), x)
    with torch.no_grad():
        modulation.table[0] = torch.tensor([1.0, 0.0, 0.0, 5.0])
    out = modulation(x, basis)
    assert torch.allclose(out[0], torch.stack([2 * x[0, 0], x[0, 1] + 5]))
    assert torch.allclose(out[1], torch.stack([1.5 * x[1, 0], x[1, 1] + 2.5]), atol=1e-5)


def test_residual_block_keeps_shape_and_passes_its_input_through():
    block = ResidualBlock(4)
    with torch.no_grad():
        block.conv2.weight.zero_()
        assert block.conv2.bias is not None
        block.conv2.bias.zero_()
    x = torch.randn(1, 4, 5, 6)
    assert torch.equal(block(x, level_basis(torch.tensor([0.5]))), x)
