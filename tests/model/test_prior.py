"""The prior: what training sees and what coding computes are the same, and no pass looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import TINY, random_prior_
from vqcodec.entropy.coding_order import PASSES, PHASES
from vqcodec.entropy.integer_prior import IntegerPrior
from vqcodec.entropy.tile_coder import prior_level_of
from vqcodec.model.blocks import Bounded
from vqcodec.model.integer_conv import ACTIVATION_STEP, HYPER_STEP, VALUE_STEP, QuantizableConv
from vqcodec.model.interpolation import start_interpolation
from vqcodec.model.prior import CONTEXT_GAIN, put_together
from vqcodec.model.vqvae import PRIOR_LEVELS, VQVAE
from vqcodec.training.prior_arrays import export_prior
from vqcodec.types import LEVEL_MAX

SCALE = round(1 / VALUE_STEP)


def lively_model(seed: int) -> VQVAE:
    """A model whose prior has large random weights and classes over their whole range."""
    torch.manual_seed(seed)
    model = VQVAE(TINY).eval().requires_grad_(False)
    random_prior_(model, seed)
    middle = torch.tensor([0.5 * (n - 1) / CONTEXT_GAIN for n in TINY.context_levels])
    for layer in model.prior.tell:
        # What slices tell each other moves hidden units, and does not drive all of them to an end.
        layer.get_parameter("weight").mul_(0.3)
    for layer in model.prior.leave:
        assert isinstance(layer, QuantizableConv)
        layer.weight[TINY.channels :] *= 0.5
        layer.bias[TINY.channels :] = middle.repeat_interleave(model.prior.groups)
    model.set_exact(True)
    return model


def integer_prior(model: VQVAE) -> IntegerPrior:
    return IntegerPrior(export_prior(model), model.prior.slices, TINY.context_levels)


def to_torch(x: np.ndarray, step: float) -> torch.Tensor:
    """(h, w, C) integers -> (1, C, h, w) real."""
    return torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None] * step


def to_numpy(x: torch.Tensor, step: float) -> np.ndarray:
    """(1, C, h, w) real -> (h, w, C) in steps, not rounded."""
    return (x[0].permute(1, 2, 0) / step).double().numpy()


def number_classes(context: torch.Tensor) -> np.ndarray:
    """(1, dims, G, h, w) -> class numbers (h, w, G); the context must be in range."""
    values = context[0].permute(0, 2, 3, 1).double().round().numpy()
    classes = np.zeros(values.shape[1:], dtype=np.int64)
    for value, levels in zip(values, TINY.context_levels, strict=True):
        assert value.min() >= 0
        assert value.max() <= levels - 1
        classes = classes * levels + value.astype(np.int64)
    return classes


@pytest.fixture(scope="module")
def differences():
    """Training minus coding over random priors, four levels and all passes.

    Sixteen priors: the share of means that differ varies from .7 to 4 % between them.
    """
    names = ("features", "first", "later", "classes", "used")
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for seed in range(16):
        model = lively_model(seed)
        coded = integer_prior(model)
        random = np.random.default_rng(seed)
        for level in (0, 13, 29, 64):
            basis = model.prior_basis(torch.tensor([level / PRIOR_LEVELS]))
            z = random.integers(-127, 128, (6, 5, TINY.hyper_channels))
            features = coded.hyper(z, level)
            trained = model.prior.hyper(to_torch(z, HYPER_STEP), basis, True)
            rows["features"].append((to_numpy(trained, ACTIVATION_STEP) - features).ravel())
            latent = np.zeros((24, 20, TINY.channels), dtype=np.int64)
            phases = [latent[i::2, j::2] for i, j in PHASES]
            given = to_torch(features, ACTIVATION_STEP)
            for p, place in enumerate(PASSES):
                maps = phases[: place.maps]
                state = coded.open(p, features, maps, level)
                inputs = [to_torch(y, VALUE_STEP) for y in maps]
                trained_state = model.prior.open(p, given, inputs, basis, True)
                for n, piece in enumerate(coded.slices):
                    mean, classes = coded.predict(n, state, level)
                    mean_trained, context = model.prior.predict(n, trained_state, basis, True)
                    difference = (to_numpy(mean_trained, VALUE_STEP) - mean).ravel()
                    rows["later" if p else "first"].append(difference)
                    rows["classes"].append((number_classes(context) - classes).ravel())
                    rows["used"].append(classes.ravel())
                    latent[place.places][:, :, piece.channels] = random.integers(-1200, 1201, mean.shape)
                    residual = random.integers(-1200, 1201, mean.shape)
                    state.known.append(residual)
                    trained_state.known.append(to_torch(residual, VALUE_STEP))
                    # Each slice's own rounding is looked at, not what the one before handed on.
                    trained_state.hidden = to_torch(state.hidden, ACTIVATION_STEP)
    return {name: np.abs(np.concatenate(parts)) for name, parts in rows.items()}


@pytest.mark.slow
def test_features_differ_by_rounding_only(differences):
    features = differences["features"]
    assert features.max() <= 1 + 1e-4
    assert (features > 1e-4).mean() < 0.01


@pytest.mark.slow
def test_means_agree(differences):
    # One activation that lands on the other side of a half moves a mean by its weight times 1/32 * 4.
    assert (differences["first"] > 1e-3).mean() < 0.02
    # From the second pass on coding rounds network and interpolation one by one, training their sum.
    assert (differences["later"] > 1 + 1e-3).mean() < 0.01
    assert max(differences["first"].max(), differences["later"].max()) * VALUE_STEP <= 10 / 32


@pytest.mark.slow
def test_classes_agree(differences):
    assert len(np.unique(differences["used"])) == np.prod(TINY.context_levels)
    assert (differences["classes"] != 0).mean() < 0.002


def test_levels_of_both_halves_agree():
    """The coder's integer rule and the model's rounding of level * 64 never part."""
    level = torch.arange(LEVEL_MAX + 1) / LEVEL_MAX
    trained = (level * PRIOR_LEVELS).round().int().tolist()
    assert trained == [prior_level_of(n) for n in range(LEVEL_MAX + 1)]


# -- phases ------------------------------------------------------------------------------------
@given(rows=st.integers(1, 13), columns=st.integers(1, 13))
def test_every_position_is_coded_once(rows, columns):
    times = np.zeros((rows, columns), dtype=int)
    for place in PASSES:
        part = times[place.places]
        assert part.shape == place.sides(rows, columns)
        part += 1
    assert (times == 1).all()


def test_passes_of_the_first_phase_are_its_phases():
    assert [(p.row, p.column) for p in PASSES[:4]] == [(2 * i, 2 * j) for i, j in PHASES]
    assert [(p.row, p.column) for p in PASSES[4:]] == list(PHASES[1:])
    assert [p.maps for p in PASSES] == [0, 1, 1, 1, 1, 2, 3]
    assert [p.phase for p in PASSES] == [0, 0, 0, 0, 1, 2, 3]
    assert [p.layer for p in PASSES] == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("count", range(1, 8))
def test_parts_are_put_together(count):
    y = torch.arange(1, 2 * 3 * 8 * 12 + 1).reshape(2, 3, 8, 12)
    begun = put_together([y[place.last] for place in PASSES[:count]])
    for p, place in enumerate(PASSES):
        expected = y[place.last] if p < count else torch.zeros_like(y[place.last])
        assert torch.equal(begun[place.last], expected)


def test_the_interpolation_starts_on_neighbours():
    """Every pass starts as a weighted sum of four decoded positions next to it, the nearest there are."""
    for place in PASSES:
        if not place.maps:
            continue
        weight = start_interpolation(place, TINY.channels)
        offsets = []
        for phase, row, column in weight[0].nonzero().tolist():
            y, x = PHASES[phase]
            offsets.append((2 * (row - 1) + y, 2 * (column - 1) + x))
        far = place.stride // 2
        here = (place.row, place.column) if far == 1 else (0, 0)
        offsets = sorted(((y - here[0]) // far, (x - here[1]) // far) for y, x in offsets)
        if (place.row // far + place.column // far) % 2 == 0:
            assert offsets == [(-1, -1), (-1, 1), (1, -1), (1, 1)]
        else:
            assert offsets == [(-1, 0), (0, -1), (0, 1), (1, 0)]


# -- causality ---------------------------------------------------------------------------------
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("p", range(7))
@pytest.mark.parametrize("n", range(3))
def test_training_never_looks_ahead(monkeypatch, exact, p, n):
    """With the hyper-latent held, a change in slice n of pass p leaves what is coded before it alone."""
    model = lively_model(1)
    model.set_exact(exact)
    with torch.no_grad():
        for words in model.quantizer.words:
            words.copy_(torch.randn(words.shape, generator=torch.Generator().manual_seed(5)) * 3)
    y = torch.randn(1, TINY.channels, 12, 8, generator=torch.Generator().manual_seed(6)) * 4
    level = torch.tensor([0.5])
    held = model.encode_hyper(y, model.prior_basis(level))
    monkeypatch.setattr(model, "encode_hyper", lambda *_: held)
    predictions: list[tuple[torch.Tensor, torch.Tensor]] = []
    predict, slices = model.prior.predict, model.prior.slices

    def recorded(*args):
        predictions.append(predict(*args))
        return predictions[-1]

    monkeypatch.setattr(model.prior, "predict", recorded)
    model.quantise(y, level)
    changed = y.clone()
    part = changed[PASSES[p].last][:, slices[n].channels]
    part[:] = -part + 7
    model.quantise(changed, level)
    total, changed = 7 * len(slices), p * len(slices) + n
    pairs = zip(predictions[:total], predictions[total:], strict=True)
    same = [torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in pairs]
    assert all(same[: changed + 1])
    # Slices see all of those before them, later passes the strongest channels and each channel its own.
    assert not any(same[changed + 1 : (p + 1) * len(slices)])
    for q in range(p + 1, 7):
        assert not all(same[q * len(slices) : (q + 1) * len(slices)])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), p=st.integers(0, 6), n=st.integers(0, 2), level=st.integers(0, LEVEL_MAX))
def test_coding_never_looks_ahead(tiny_codec, seed, p, n, level):
    coder = tiny_codec.model.coder
    random = np.random.default_rng(seed)
    z_index = [random.integers(b.codewords.shape[1], size=(2, 2, b.groups)) for b in coder.hyper_bands]
    indices = {
        q: [random.integers(b.codewords.shape[1], size=(*place.sides(8, 6), b.groups)) for b in coder.bands]
        for q, place in enumerate(PASSES)
    }

    def walk():
        seen = []
        for part, mean in coder.walk(z_index, (8, 6), level):
            seen.append((mean.copy(), part.classes.copy()))
            part.index = indices[PASSES.index(part.place)][part.piece.bands]
        return seen

    before = walk()
    # A slice of the tiny model is one band.
    indices[p][n] = (indices[p][n] + 1) % 16
    after = walk()
    changed = 3 * p + n
    for q in range(changed + 1):
        assert np.array_equal(before[q][0], after[q][0])
        assert np.array_equal(before[q][1], after[q][1])
    assert len(before) == 21
    for q in range(p + 1, 7):
        pairs = zip(before[3 * q : 3 * q + 3], after[3 * q : 3 * q + 3], strict=True)
        assert not all(np.array_equal(a[0], b[0]) for a, b in pairs)


# -- the layers --------------------------------------------------------------------------------
def test_exact_layers_keep_the_bound_on_sums():
    """However large the weights grow, the integers of a layer stay within their bound."""
    torch.manual_seed(0)
    layer = QuantizableConv([(900, VALUE_STEP)], 3, 3, relu=True)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([1e-3, 1.0, 1e4])[:, None, None, None])
    integer, scale = layer.integer_weight()
    assert bool((integer.round().abs().flatten(1).amax(1) <= 127).all())
    assert bool((integer.round().abs().flatten(1).sum(1) * 255 + 2**22 < 2**24).all())
    assert torch.allclose(integer * scale[:, None, None, None], layer.weight * VALUE_STEP, rtol=1e-5)


def test_exact_mode_stays_close_to_the_real_one():
    model = lively_model(2)
    z = torch.randn(1, TINY.hyper_channels, 6, 6, generator=torch.Generator().manual_seed(7)).clamp(-3.9, 3.9)
    basis = model.prior_basis(torch.tensor([0.5]))
    real, exact = (model.prior.hyper(z, basis, e) for e in (False, True))
    assert float((real - exact).abs().max()) < 0.15
    assert float((real - exact).abs().mean()) < 0.1 * float(real.abs().mean())


@pytest.mark.parametrize(
    ("gradient", "passed"),
    [(1.0, [-0.05, 0.0, 1.0, 1.0, 1.0, 1.0]), (-1.0, [-1.0, -1.0, -1.0, -1.0, 0.0, 0.05])],
    ids=["a step goes down", "a step goes up"],
)
def test_gradients_of_context_numbers_lead_inside(gradient, passed):
    x = torch.tensor([-3.0, -0.5, 0.0, 4.0, 4.5, 900.0], requires_grad=True)
    y = Bounded.apply(x, torch.tensor(4.0))
    assert y.tolist() == [0, 0, 0, 4, 4, 4]
    y.backward(torch.full_like(y, gradient))
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx(passed)


def test_context_numbers_do_not_run_away():
    """However much the lowest class pays, its number stays at the end, and comes back from far outside."""
    x = torch.tensor([2.0, -50.0], requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=0.5)
    for _ in range(400):
        optimizer.zero_grad()
        Bounded.apply(x, torch.tensor(4.0)).sum().backward()
        optimizer.step()
    assert (x.detach() > -3).all()
    assert (x.detach() < 1).all()
