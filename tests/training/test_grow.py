"""Starting from another model: what is kept when the latent grows or its bands are cut differently."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from tests.tiny import TINY, open_restoration_, pictures, random_prior_, tiny_model
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops
from vqcodec.training.grow import kept_bands, resample_contexts, take_over
from vqcodec.training.idle_units import busiest_first

pytestmark = pytest.mark.slow

GROWN = dataclasses.replace(TINY, channels=24, bands=(*TINY.bands, (4, 8, 12)))
CUT = dataclasses.replace(TINY, bands=((1, 4, 16), (2, 12, 20)), slices=(1,))


@pytest.fixture(scope="module")
def source() -> VQVAE:
    model = tiny_model()
    model.set_exact(False)
    return model


def example() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures (2, 3, 64, 128) and their levels (2,)."""
    x = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    return x, torch.tensor([0.2, 0.9])


def energies(model: VQVAE, source: VQVAE, within: float = 1e-6) -> torch.Tensor:
    """The model's energies of the example, with gradients, after they and the pictures were compared."""
    output = model(*example())
    with torch.no_grad():
        old = source(*example())
    assert torch.allclose(output.energy.detach(), old.energy, rtol=1e-5)
    assert float((output.picture.detach() - old.picture).abs().max()) < within
    return output.energy


def started(config: ModelConfig, source: VQVAE) -> tuple[VQVAE, list[str]]:
    torch.manual_seed(1)
    model = VQVAE(config).eval()
    return model, take_over(model, source, Crops(pictures(), seed=2), 2, 64, spread=2.0)


def test_the_same_model_is_copied(source):
    model, afresh = started(TINY, source)
    assert afresh == []
    for name, parameter in source.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter), name


def test_a_second_tune_begins_as_the_first(source):
    model, afresh = started(dataclasses.replace(TINY, tunes=2), source)
    assert afresh == []
    x, dial = example()
    for tune in (0, 2):
        assert torch.allclose(model.analyse(x, dial + tune), source.analyse(x, dial), atol=1e-4)
    energies(model, source)
    back, _ = started(TINY, model)
    assert all(torch.equal(back.get_parameter(n), p) for n, p in source.named_parameters())


def test_old_channels_of_a_grown_latent_stay_what_they_were(source):
    model, afresh = started(GROWN, source)
    assert kept_bands(model, source) == [True, True, True, False]
    assert {"quantizer.words.3", "g_a.tail.weight", "log_gain", "prior.leave.2.bias"} <= set(afresh)
    assert not {"quantizer.words.2", "h_a.mix.weight", "prior.enter.1.weight", "g_a.head.weight"} & set(
        afresh
    )
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([0.7])
    with torch.no_grad():
        y, y_old = model.analyse(x, level), source.analyse(x, level)
        assert torch.allclose(y[:, :16], y_old, atol=1e-5)
        # The network does not look at the new channels yet, only the linear shortcut does.
        silent = torch.cat([y_old, torch.zeros_like(y[:, 16:])], 1)
        assert torch.allclose(model.synthesise(silent, level), source.synthesise(y_old, level), atol=1e-5)
        z = source.hyper_latent(y_old)
        assert torch.allclose(model.hyper_latent(y), z, atol=1e-5)
        basis = source.prior_basis(level)
        features = source.prior.hyper(z, basis, False)[:, :, :2, :2]
        maps_old, maps = [y_old[:, :, ::2, ::2]], [y[:, :, ::2, ::2]]
        state = model.prior.open(4, features, maps, basis, False)
        old_state = source.prior.open(4, features, maps_old, basis, False)
        for n, piece in enumerate(source.prior.slices):
            mean, context = model.prior.predict(n, state, basis, False)
            mean_old, context_old = source.prior.predict(n, old_state, basis, False)
            channels, groups = mean_old.shape[1], context_old.shape[2]
            assert channels == piece.channels.stop - piece.channels.start
            assert torch.allclose(mean[:, :channels], mean_old, atol=1e-5)
            assert torch.allclose(context[:, :, :groups], context_old, atol=1e-5)
            state.known.append(mean_old)
            old_state.known.append(mean_old)
    new = model.quantizer
    assert float(new.words[3].detach().abs().max()) > 0


def test_new_channels_hold_more_of_the_picture(source):
    model, _ = started(GROWN, source)
    x, _ = Crops(pictures(), seed=5).batch(4, 96)
    level = torch.full((4,), 0.8)
    with torch.no_grad():
        errors = [(m.synthesise(m.analyse(x, level), level) - x).square().mean() for m in (model, source)]
    assert float(errors[0]) < float(errors[1])


def test_bands_cut_differently_start_anew(source):
    model, afresh = started(CUT, source)
    assert kept_bands(model, source) == [True, False]
    assert torch.equal(model.quantizer.words[0], source.quantizer.words[0])
    assert "quantizer.words.0" not in afresh
    assert {"quantizer.words.1", "prior.leave.0.weight"} <= set(afresh)
    x, level = Crops(pictures(), seed=5).batch(2, 64)
    with torch.no_grad():
        assert bool(torch.isfinite(model(x, level).energy).all())


def test_slices_change_nothing_yet(source):
    """A model that codes all bands at once becomes one of slices, and one of slices is cut anew."""
    torch.manual_seed(2)
    whole = VQVAE(dataclasses.replace(TINY, slices=(), slice_width=0)).eval()
    take_over(whole, source, Crops(pictures(), seed=2), 2, 64, spread=2.0)
    model, afresh = started(TINY, whole)
    assert afresh == [n for n, _ in model.named_parameters() if n.startswith(("prior.look.", "prior.tell."))]
    energies(model, whole).sum().backward()
    for number in range(8):
        gradient = model.get_parameter(f"prior.tell.{number}.weight").grad
        assert gradient is not None
        assert float(gradient.abs().max()) > 0
    again, afresh = started(dataclasses.replace(TINY, slices=(1,)), source)
    assert afresh == []
    assert torch.equal(
        again.get_parameter("prior.look.3.weight"), source.get_parameter("prior.look.3.weight")
    )
    _, afresh = started(dataclasses.replace(TINY, slices=(2,)), source)
    assert "prior.look.0.weight" in afresh


@pytest.mark.parametrize("levels", [(15, 5), (22, 3), (8, 9)])
def test_more_context_classes_change_nothing_yet(source, levels):
    """All old rows are among the new ones, which lie between them: real numbers cost what they did."""
    model, afresh = started(dataclasses.replace(TINY, context_levels=levels), source)
    assert afresh == []
    x, level = example()
    with torch.no_grad():
        ours, theirs = model(x, level), source(x, level)
    assert torch.allclose(ours.energy, theirs.energy, rtol=1e-4)
    assert float((ours.picture - theirs.picture).abs().max()) < 1e-4


def test_context_numbers_are_not_added(source):
    with pytest.raises(ValueError, match="not added"):
        resample_contexts(source, (8, 3, 2))
    with pytest.raises(ValueError, match="two bins"):
        resample_contexts(source, (8, 1))


def test_a_wider_prior_changes_nothing_yet(source):
    model, afresh = started(dataclasses.replace(TINY, prior_width=2 * TINY.prior_width), source)
    assert {"prior.enter.1.weight", "prior.middle.0.weight", "prior.leave.3.weight"} <= set(afresh)
    # The new units see something already, so that a first step can give them a voice.
    energies(model, source).sum().backward()
    gradient = model.get_parameter("prior.leave.3.weight").grad
    assert gradient is not None
    assert float(gradient[:, TINY.prior_width :].abs().max()) > 0


def test_a_narrower_prior_leaves_out_what_does_nothing(source):
    old, half = copy.deepcopy(source), TINY.prior_width // 2
    random_prior_(old, seed=4, spread=0.3)
    with torch.no_grad():
        for name, parameter in old.prior.named_parameters():
            layer, kind = name.split(".")[0], name.split(".")[-1]
            if layer in ("enter", "middle", "tell"):
                idle = parameter.movedim(-1, 0) if kind == "level_bias" else parameter
                # Below zero at any level, so that nothing comes through the activation.
                idle[1::2] = -1 if kind == "bias" and layer != "tell" else 0
    ordered = busiest_first(old, Crops(pictures(), seed=2), 2, 64)
    energies(ordered, old, within=1e-5)  # sums in another order
    name = "prior.enter.0.weight"
    assert not torch.equal(ordered.get_parameter(name), old.get_parameter(name))
    model, _ = started(dataclasses.replace(TINY, prior_width=half), old)
    energies(model, old, within=1e-5)
    # Not whichever come first.
    cut = VQVAE(dataclasses.replace(TINY, prior_width=half)).eval()
    with torch.no_grad():
        for name, parameter in cut.named_parameters():
            parameter.copy_(old.get_parameter(name)[tuple(slice(0, n) for n in parameter.shape)])
        assert not torch.allclose(cut(*example()).energy, old(*example()).energy, rtol=1e-3)


def test_further_blocks_of_the_transforms_change_nothing_yet(source):
    wide, deep, blocks_wide, blocks_deep = TINY.analysis
    deeper = dataclasses.replace(
        TINY,
        analysis=(wide, deep, blocks_wide + 1, blocks_deep + 2),
        synthesis=(*TINY.synthesis[:2], TINY.synthesis[2] + 2, TINY.synthesis[3] + 1),
    )
    model, afresh = started(deeper, source)
    assert {f"g_a.blocks_wide.{blocks_wide}.conv2.weight", "g_s.blocks_deep.1.conv1.weight"} <= set(afresh)
    assert all(".blocks_" in name for name in afresh)
    x, level = torch.rand(1, 3, 64, 64), torch.tensor([0.6])
    with torch.no_grad():
        ours, theirs = model(x, level), source(x, level)
    assert torch.equal(ours.passes[0].index[0], theirs.passes[0].index[0])
    assert torch.allclose(ours.energy, theirs.energy, rtol=1e-5)
    assert (ours.picture - theirs.picture).abs().max() < 1e-5
    assert all(p.requires_grad for n, p in model.named_parameters() if n in afresh)
    assert float(model.g_a.get_parameter(f"blocks_wide.{blocks_wide}.conv1.weight").detach().std()) > 0


def test_wider_transforms_change_nothing_yet(source):
    """Old channels look at nothing new, and keep what the level does to them."""
    old = copy.deepcopy(source)
    with torch.no_grad():
        for name, parameter in old.named_parameters():
            if "modulation" in name:
                parameter.add_(torch.linspace(-0.4, 0.4, parameter.numel()).reshape(parameter.shape))
    wide, deep, blocks_wide, blocks_deep = TINY.analysis
    wider = dataclasses.replace(TINY, analysis=(wide + 4, deep + 8, blocks_wide, blocks_deep))
    model, afresh = started(wider, old)
    assert "g_a.blocks_wide.0.modulation.table" in afresh
    x, level = torch.rand(1, 3, 64, 64), torch.tensor([0.6])
    with torch.no_grad():
        assert torch.allclose(model.analyse(x, level), old.analyse(x, level), atol=1e-4)
        assert not torch.allclose(source.analyse(x, level), old.analyse(x, level), atol=1e-2)
    scales, shifts = model.g_a.get_parameter("blocks_wide.0.modulation.table").detach().chunk(2, 1)
    assert not scales[:, wide:].any()
    assert not shifts[:, wide:].any()


def test_more_kernels_of_the_restoration_change_nothing_yet(source):
    """Its gates and kernels lie colour by colour, and stay with theirs."""
    opened = copy.deepcopy(source)
    open_restoration_(opened, seed=3, spread=0.2)
    features, kernels = TINY.restoration
    model, afresh = started(dataclasses.replace(TINY, restoration=(features, kernels + 2)), opened)
    assert {"g_s.restoration.kernels", "g_s.restoration.gates.weight"} <= set(afresh)
    y, level = torch.randn(1, 16, 4, 5), torch.tensor([0.3])
    with torch.no_grad():
        assert torch.allclose(model.synthesise(y, level), opened.synthesise(y, level), atol=1e-5)
        assert not torch.allclose(model.synthesise(y, level), source.synthesise(y, level), atol=1e-3)
    assert bool(model.g_s.restoration.kernels.unflatten(0, (3, -1))[:, kernels:].abs().sum((2, 3, 4)).all())


def test_another_hyper_latent_is_refused(source):
    with pytest.raises(ValueError, match="hyper-latent"):
        started(dataclasses.replace(TINY, hyper_bands=((2, 8, 16),)), source)
