"""The vector quantiser: its search, its gradient, its layout, its start and the revival of dead words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.model.codebook import (
    SLOPE,
    Band,
    VectorQuantizer,
    from_groups,
    to_groups,
)
from vqcodec.model.dial import hat_basis
from vqcodec.model.free_energy import Contexts, FreeEnergy, hat_rows, rows_between, softmax
from vqcodec.training.codebook_start import (
    class_of_scale,
    class_scales,
    rate_constrained_lloyd,
    revive_dead_words,
    start_quantizer,
)

BANDS = (Band(1, 2, 5), Band(2, 4, 6), Band(4, 8, 7))
LEVELS = (5, 3)


def random_quantizer(seed: int = 0) -> VectorQuantizer:
    generator = torch.Generator().manual_seed(seed)
    quantizer = VectorQuantizer(BANDS, LEVELS)
    with torch.no_grad():
        for parameter in quantizer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return quantizer


def random_call(quantizer: VectorQuantizer, seed: int = 1, size: tuple[int, int, int] = (2, 3, 4)):
    """A residual (B, C, h, w) and its contexts."""
    generator = torch.Generator().manual_seed(seed)
    b, h, w = size
    residual = torch.randn(b, sum(band.channels for band in quantizer.bands), h, w, generator=generator)
    context = torch.rand(b, len(LEVELS), quantizer.groups, h, w, generator=generator)
    top = torch.tensor([n - 1.0 for n in LEVELS])
    return residual, quantizer.arrange(context * top[:, None, None, None])


# -- free energy -------------------------------------------------------------------------------
def dense_logits(numbers, table, bias, levels=LEVELS):
    """bias + hat basis of every number @ its rows of the table, as it is defined."""
    features = torch.cat([hat_basis(u, n) for u, n in zip(numbers, levels, strict=True)], -1)
    return bias.unsqueeze(1) + features @ table


def free_energy(numbers, residual, table, bias, words):
    """-ln sum_k p(k) exp(-w |r - c_k|^2), written as it is defined."""
    log_p = dense_logits(numbers, table, bias).log_softmax(-1)
    distance = (residual.unsqueeze(2) - words.unsqueeze(1)).square().sum(-1)
    return -torch.logsumexp(log_p - SLOPE * distance, -1)


def energy_inputs(size: int, seed: int = 0):
    """Numbers (2, 2, 3), residual, table, bias and words of two groups at three positions."""
    generator = torch.Generator().manual_seed(seed)

    def values(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64) * 0.5

    share = torch.rand(2, 2, 3, generator=generator, dtype=torch.float64)
    numbers = share * torch.tensor([n - 1.0 for n in LEVELS])[:, None, None]
    inputs = numbers, values(2, 3, size), values(2, sum(LEVELS), 5), values(2, 5), values(2, 5, size)
    return tuple(v.requires_grad_() for v in inputs)


def apply(numbers, *inputs, levels=LEVELS, rounded=False):
    contexts = Contexts.of(numbers, rounded)
    return FreeEnergy.apply(contexts.numbers, contexts.taken, *inputs, levels, SLOPE, torch.float64)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_gradient_of_the_free_energy(size):
    assert torch.autograd.gradcheck(lambda *inputs: apply(*inputs)[0], energy_inputs(size))


@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_free_energy_is_what_it_says(monkeypatch, size, chunk):
    """However many groups are worked at together."""
    monkeypatch.setattr("vqcodec.model.free_energy.CHUNK", chunk)
    inputs = energy_inputs(size, seed=2)
    energy, index, rate = apply(*inputs)
    assert torch.allclose(energy, free_energy(*inputs), atol=1e-10)
    numbers, _, table, bias, _ = inputs
    log_p = dense_logits(numbers, table, bias).log_softmax(-1)
    assert torch.allclose(rate, -log_p.gather(-1, index.unsqueeze(-1)).squeeze(-1), atol=1e-10)


def test_the_gradient_of_a_residual_is_the_same_with_and_without_that_of_words():
    """Without it, as in the encoder's search, posteriors are not kept."""
    numbers, residual, table, bias, words = energy_inputs(2, seed=8)
    gradients = []
    for rest in ((table, bias, words), (table.detach(), bias.detach(), words.detach())):
        energy = apply(numbers, residual, *rest)[0]
        gradients.append(torch.autograd.grad(energy.sum(), (numbers, residual)))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_free_energy_far_from_all_words_has_a_gradient():
    numbers, residual, table, bias, words = energy_inputs(2, seed=4)
    far = (residual.detach() + 50).requires_grad_()
    energy = apply(numbers, far, table, bias, words)[0]
    assert torch.allclose(energy, free_energy(numbers, far, table, bias, words))
    (gradient,) = torch.autograd.grad(energy.sum(), far)
    (expected,) = torch.autograd.grad(free_energy(numbers, far, table, bias, words).sum(), far)
    assert torch.allclose(gradient, expected)


def test_rounded_contexts_are_those_of_classes_with_the_gradient_between_them():
    numbers, residual, table, bias, words = energy_inputs(2, seed=5)
    hard = apply(numbers, residual, table, bias, words, rounded=True)[0]
    assert torch.equal(hard, apply(numbers.round(), residual, table, bias, words)[0])
    # A step of one class changes what the posterior expects of the logits by that of two rows.
    (gradient,) = torch.autograd.grad(hard.sum(), numbers)
    log_p = dense_logits(numbers.round(), table, bias).log_softmax(-1)
    distance = (residual.unsqueeze(2) - words.unsqueeze(1)).square().sum(-1)
    difference = log_p.exp() - (log_p - SLOPE * distance).softmax(-1)
    start = 0
    for number, steps, count in zip(numbers, gradient, LEVELS, strict=True):
        low = number.detach().floor().long() + start
        rows = torch.stack([table[g][low[g] + 1] - table[g][low[g]] for g in range(2)])
        assert torch.allclose(steps, (difference * rows).sum(-1))
        start += count


def test_dense_weights_of_rows_are_the_hat_basis():
    """On a card logits come of these, on a CPU of the rows themselves."""
    numbers = torch.tensor([[[0.0, 1.25, 4.0, 2.0]], [[2.0, 0.5, 0.0, 1.75]]])
    rows, shares = rows_between(numbers, LEVELS)
    expected = torch.cat([hat_basis(u, n) for u, n in zip(numbers, LEVELS, strict=True)], -1)
    assert torch.allclose(hat_rows(rows, shares, sum(LEVELS)), expected)


@pytest.mark.parametrize("floor", [True, False])
def test_softmax_and_its_logarithm(floor):
    """As a CPU computes it and as a card does."""
    x = 40 * torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(7))
    place = x.argmax(-1, keepdim=True)
    share, log_sum = softmax(x.clone(), place, floor)
    assert torch.allclose(share, x.softmax(-1), atol=1e-6)
    assert torch.allclose(log_sum, x.logsumexp(-1, keepdim=True), rtol=1e-6)
    assert torch.isfinite(softmax(x.clone(), x.argmin(-1, keepdim=True), floor)[1]).all()


def test_a_context_number_may_have_a_single_level():
    numbers, residual, table, bias, words = energy_inputs(1, seed=6)
    single = torch.stack([numbers[0], torch.zeros_like(numbers[1])])
    energy = apply(single, residual, table[:, :6], bias, words, levels=(5, 1))[0]
    both = table[:, :5] + table[:, 5:6]
    assert torch.allclose(energy, apply(numbers[:1], residual, both, bias, words, levels=(5,))[0])


def test_free_energy_bounds_the_cost_of_the_choice():
    """The sum holds the chosen word's own term, so the energy is at most rate plus distance."""
    numbers, residual, table, bias, words = energy_inputs(2, seed=3)
    energy, index, rate = apply(numbers, residual, table, bias, words)
    word = words.gather(1, index.unsqueeze(-1).expand(-1, -1, 2))
    cost = rate + SLOPE * (residual - word).square().sum(-1)
    assert bool((energy <= cost + 1e-12).all())
    assert bool((energy > cost - math.log(5)).all())


# -- search ------------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_choice_is_the_minimum(seed):
    quantizer = random_quantizer(seed)
    residual, contexts = random_call(quantizer, seed + 1)
    result = quantizer(residual, contexts)
    start = 0
    for i, band in enumerate(BANDS):
        r = to_groups(residual[:, start : start + band.channels], band).double()
        start += band.channels
        words = quantizer.words[i].double()
        logits = dense_logits(
            contexts[i].taken.double(), quantizer.table[i].double(), quantizer.bias[i].double()
        )
        distance = (r.unsqueeze(2) - words.unsqueeze(1)).square().sum(-1)
        cost = SLOPE * distance - logits.log_softmax(-1)
        chosen = cost.gather(-1, result.index[i].unsqueeze(-1)).squeeze(-1)
        assert bool((chosen <= cost.amin(-1) + 1e-4).all())


def test_ties_go_to_the_lowest_word():
    quantizer = VectorQuantizer((Band(2, 4, 9),), (2,))
    with torch.no_grad():
        # Words 0, 3, 6 are alike, and so are 1, 4, 7 and 2, 5, 8.
        grid = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        quantizer.words[0].copy_(grid.repeat(3, 1).expand(2, -1, -1))
    residual = torch.tensor([[0.1, 0.0], [0.9, 0.1], [0.2, 1.5], [0.5, 0.0]]).T.reshape(1, 2, 2, 2)
    residual = residual.repeat_interleave(2, 1)
    contexts = quantizer.arrange(torch.zeros(1, 1, 2, 2, 2))
    assert quantizer(residual, contexts).index[0].tolist() == [[0, 1, 2, 0], [0, 1, 2, 0]]


def test_value_is_the_word_and_passes_the_gradient_to_both():
    quantizer = random_quantizer()
    residual, contexts = random_call(quantizer)
    residual.requires_grad_()
    result = quantizer(residual, contexts)
    start = 0
    for i, band in enumerate(BANDS):
        value = to_groups(result.value[:, start : start + band.channels], band)
        start += band.channels
        word = quantizer.words[i].gather(1, result.index[i].unsqueeze(-1).expand(-1, -1, band.size))
        assert torch.allclose(value, word, atol=1e-6)
    result.value.sum().backward()
    assert residual.grad is not None
    assert torch.equal(residual.grad, torch.ones_like(residual))
    used = torch.zeros(1, 5).index_add_(1, result.index[0][0], torch.ones(1, result.index[0].shape[1]))
    assert quantizer.words[0].grad is not None
    assert torch.equal(quantizer.words[0].grad[0, :, 0], used[0])


def test_positions_that_are_not_kept_cost_nothing():
    quantizer = random_quantizer()
    residual, contexts = random_call(quantizer)
    keep = torch.ones(2, 3, 4)
    keep[0, 1, 2] = 0
    keep[1] = 0
    part, whole = quantizer(residual, contexts, keep), quantizer(residual, contexts)
    assert part.energy[1] == part.rate[1] == 0
    assert 0 < part.rate[0] < whole.rate[0]
    assert bool((part.value[1] == 0).all())
    assert bool((part.value[0, :, 1, 2] == 0).all())
    assert torch.equal(part.value[0, :, 0], whole.value[0, :, 0])


def test_exact_mode_has_words_on_the_grid():
    quantizer = random_quantizer()
    quantizer.grid = 1 / 32
    for i in range(len(BANDS)):
        words = quantizer.codewords(i) * 32
        assert torch.equal(words, words.round())
        assert bool(((quantizer.codewords(i) - quantizer.words[i]).abs() <= 1 / 64 + 1e-6).all())


def test_energy_and_rate_are_per_sample():
    quantizer = random_quantizer()
    residual, _ = random_call(quantizer)
    context = torch.zeros(2, 2, quantizer.groups, 3, 4)
    both = quantizer(residual, quantizer.arrange(context))
    for i in range(2):
        one = quantizer(residual[i : i + 1], quantizer.arrange(context[i : i + 1]))
        assert torch.allclose(both.energy[i], one.energy[0], rtol=1e-5)
        assert torch.allclose(both.rate[i], one.rate[0], rtol=1e-5)


# -- layout ------------------------------------------------------------------------------------
@given(
    size=st.integers(1, 4), groups=st.integers(1, 5), shape=st.tuples(*(st.integers(1, 4) for _ in range(3)))
)
def test_groups_and_back(size, groups, shape):
    b, h, w = shape
    band = Band(size, size * groups, 2)
    assert band.groups == groups
    x = torch.arange(b * size * groups * h * w).reshape(b, -1, h, w)
    grouped = to_groups(x, band)
    assert grouped.shape == (groups, b * h * w, size)
    assert torch.equal(from_groups(grouped, band, shape), x)


def test_group_g_takes_channels_g_and_g_plus_groups():
    band = Band(3, 12, 2)
    x = torch.arange(12.0)[None, :, None, None].expand(2, -1, 2, 2)
    grouped = to_groups(x, band)
    for g in range(4):
        assert grouped[g].unique(dim=0).tolist() == [[g, g + 4, g + 8]]


def test_positions_are_row_major_within_samples():
    band = Band(1, 1, 2)
    x = torch.arange(12.0).reshape(2, 1, 2, 3)
    assert to_groups(x, band).flatten().tolist() == list(range(12))


def test_context_numbers_are_split_by_band():
    quantizer = VectorQuantizer(BANDS, LEVELS)
    context = torch.zeros(2, 2, quantizer.groups, 1, 2)
    context[1, 0, :, 0, 1] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 1.5])
    context[1, 1, :, 0, 1] = 1.4
    parts = quantizer.arrange(context)
    assert [part.numbers.shape for part in parts] == [(2, band.groups, 4) for band in BANDS]
    numbers = torch.cat([part.taken for part in parts], 1)
    assert numbers[0, :, 3].tolist() == [0, 1, 2, 3, 4, 1.5]
    assert not numbers[:, :, :3].any()
    quantizer.grid = 1 / 32
    rounded = torch.cat([part.taken for part in quantizer.arrange(context)], 1)
    assert rounded[:, :, 3].tolist() == [[0, 1, 2, 3, 4, 2], [1] * 6]


# -- start -------------------------------------------------------------------------------------
def laplacian(groups: int, count: int, size: int, scale: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(groups, count, size, generator=generator) - 0.5
    return -scale * uniform.sign() * torch.log1p(-2 * uniform.abs())


def cost_of(samples, words, log_p):
    """Mean of w |r - c|^2 - ln p at the best word."""
    distance = torch.cdist(samples, words).square()
    return float((SLOPE * distance - log_p.unsqueeze(1)).amin(-1).mean())


def k_means(samples, count, passes=30):
    """Plain k-means, and the log probabilities of its cells."""
    groups, n, size = samples.shape
    words = samples[:, :count].clone()
    for _ in range(passes):
        index = torch.cdist(samples, words).argmin(-1)
        used = torch.zeros(groups, count).scatter_add_(1, index, torch.ones(groups, n))
        sums = torch.zeros_like(words).scatter_add_(1, index.unsqueeze(-1).expand(-1, -1, size), samples)
        words = torch.where((used > 0).unsqueeze(-1), sums / used.clamp_min(1).unsqueeze(-1), words)
    return words, ((used + 1) / (n + count)).log()


@pytest.mark.parametrize(("size", "scale"), [(2, 0.3), (2, 1.0), (4, 0.5)])
def test_rate_constrained_start_beats_k_means(size, scale):
    torch.manual_seed(0)
    samples = laplacian(2, 4000, size, scale)
    fresh = laplacian(2, 4000, size, scale, seed=1)
    words, log_p = rate_constrained_lloyd(samples, 32)
    assert words.shape == (2, 32, size)
    assert bool((words[:, 0] == 0).all())
    assert bool((log_p.exp().sum(-1) - 1).abs().max() < 1e-5)
    assert cost_of(fresh, words, log_p) < cost_of(fresh, *k_means(samples, 32)) - 0.02


def test_one_dimensional_words_start_on_a_line_that_reaches_far():
    torch.manual_seed(0)
    words, _ = rate_constrained_lloyd(laplacian(1, 5000, 1, 2.0), 256)
    assert words[0, 0] == 0
    assert float(words.max()) > 128
    assert float(words.min()) < -128
    ordered = words[0, :, 0].sort().values
    assert bool((ordered.diff() > 0).all())


def test_fewer_samples_than_words_are_enough():
    torch.manual_seed(0)
    words, log_p = rate_constrained_lloyd(laplacian(2, 7, 2, 1.0), 16)
    assert words.shape == (2, 16, 2)
    assert bool(torch.isfinite(words).all())
    assert bool(torch.isfinite(log_p).all())


def test_start_sets_everything_and_finds_the_scale():
    torch.manual_seed(0)
    bands = (Band(1, 2, 16), Band(2, 4, 16), Band(4, 8, 16))
    quantizer = VectorQuantizer(bands, (20, 6))
    samples = [laplacian(b.groups, 500, b.size, 0.3 + i) for i, b in enumerate(bands)]
    typical = start_quantizer(quantizer, samples)
    assert typical.shape == (quantizer.groups,)
    assert typical[0] < typical[-1]
    for i in range(len(bands)):
        assert bool((quantizer.words[i][:, 0] == 0).all())
        table = quantizer.table[i].detach()
        # A wider class makes far words more likely; the second context number starts without effect.
        far = quantizer.words[i].detach()[0].norm(dim=-1).argmax()
        assert float(table[0, 19, far] - table[0, 19, 0]) > float(table[0, 0, far] - table[0, 0, 0])
        assert bool((table[:, 20:] == 0).all())


def test_scales_of_classes_and_back():
    scales = class_scales(20)
    assert torch.allclose(class_of_scale(scales, 20), torch.arange(20.0), atol=1e-4)
    assert class_of_scale(torch.tensor([0.0, 1e9]), 20).tolist() == pytest.approx([0, 19])


# -- revival -----------------------------------------------------------------------------------
def test_dead_words_move_to_the_worst_coded_samples():
    quantizer = VectorQuantizer((Band(2, 2, 4),), (2,))
    with torch.no_grad():
        quantizer.words[0].copy_(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [50.0, 0.0], [60.0, 0.0]]]))
        quantizer.bias[0].copy_(torch.tensor([[0.0, -1.0, -2.0, -3.0]]))
    samples = torch.tensor([[[0.1, 0.0], [0.9, 0.0], [0.0, -9.0], [0.0, 5.0], [0.2, 0.1]]])
    usage = torch.tensor([[3.0, 2.0, 0.0, 0.0]])
    assert revive_dead_words(quantizer, [usage], [samples]) == 2
    assert quantizer.words[0][0].tolist() == [[0, 0], [1, 0], [0, -9], [0, 5]]
    assert quantizer.bias[0][0, 2:].tolist() == [-3, -3]


def test_words_that_live_or_have_nowhere_to_go_stay():
    quantizer = VectorQuantizer((Band(1, 1, 3), Band(2, 2, 3)), (2,))
    with torch.no_grad():
        quantizer.words[0].copy_(torch.tensor([[[0.0], [1.0], [90.0]]]))
        quantizer.words[1].copy_(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [90.0, 0.0]]]))
    before = [w.clone() for w in quantizer.words]
    # Dead: word 2 of the line (never moved), word 0 (zero, never moved) and word 2 without a bad sample.
    usage = [torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])]
    samples = [torch.tensor([[[30.0], [0.0]]]), torch.tensor([[[0.5, 0.1], [1.1, 0.0]]])]
    assert revive_dead_words(quantizer, usage, samples) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, quantizer.words, strict=True))
