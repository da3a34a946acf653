"""The losses of the perceptual stage, each against its formula."""

from __future__ import annotations

import pytest
import torch

from vqcodec.model.blocks import opponent_colour
from vqcodec.training.perceptual.losses import (
    WEIGHT_MAX,
    PixelErrors,
    adaptive_weight,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    patch_loss,
    pixel_errors,
    relative_errors,
    wasserstein_loss,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_colour_error_is_that_of_both_colour_differences():
    difference = noise(2, 3, 32, 48)
    by_colour = torch.einsum("kc,bchw->bkhw", opponent_colour(), difference)
    errors = pixel_errors(difference)
    assert torch.allclose(errors.total, difference.square().mean((1, 2, 3)))
    assert torch.allclose(errors.colour, by_colour[:, 1:].square().mean((1, 2, 3)), rtol=1e-4)
    grey = pixel_errors(noise(1, 1, 32, 32).expand(-1, 3, -1, -1))
    assert grey.total > 0.5
    assert grey.colour < 1e-10


def test_relative_errors_are_over_the_references_of_the_same_kind():
    errors, reference = (PixelErrors(*(torch.tensor([v]) for v in row)) for row in ((2, 3), (8, 6)))
    assert [float(v) for v in relative_errors(errors, reference)] == [0.25, 0.5]


def maps(seed: int, count: int = 2, side: int = 128) -> list[torch.Tensor]:
    """A picture's worth of feature maps, the last two of 8 and 16 pixels a place."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((3, 1), (6, 8), (5, 16))
    return [torch.rand(count, c, side // p, side // p, generator=generator) for c, p in sizes]


@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_the_patch_loss_is_the_squared_distance_of_patch_means(stretch):
    one, other = maps(1), maps(2)
    wanted = 0.0
    for a, b, places in ((one[1], other[1], 8), (one[2], other[2], 4)):
        # Patches of 64 pixels begin every 32, three along a side of 128.
        first, second = (
            torch.stack(
                [
                    m[:, :, i : i + places, j : j + places].mean((2, 3))
                    for i in range(0, places + 1, places // 2)
                    for j in range(0, places + 1, places // 2)
                ],
                1,
            ).flatten(0, 1)
            for m in (a, b)
        )
        assert first.shape[0] == 18
        error = (stretch * first - second).square().sum(1).mean()
        wanted += float(error / first.var(0).sum()) / 2
    assert float(patch_loss(one, other, [], stretch)) == pytest.approx(wanted, rel=1e-5)
    assert float(patch_loss(one, [stretch * m for m in one], [], stretch)) < 1e-10


def test_the_patch_loss_of_average_patches_is_one():
    one = maps(1, count=40)
    flat = [m.mean((0, 2, 3), keepdim=True).expand_as(m) for m in one]
    assert float(patch_loss(one, flat, [])) == pytest.approx(1, abs=0.05)


def test_the_patch_loss_keeps_running_variances():
    """One batch that is all alike changes the variances by a hundredth."""
    variances: list[torch.Tensor] = []
    patch_loss(maps(1), maps(2), variances)
    before = [float(v) for v in variances]
    alike = [m.mean((0, 2, 3), keepdim=True).expand_as(m) for m in maps(3)]
    assert float(patch_loss(alike, maps(4), variances)) < 2
    assert [float(v) for v in variances] == pytest.approx([0.99 * v for v in before], rel=1e-5)


def test_the_patch_loss_decreases_towards_the_original():
    one, other = maps(1), maps(2)
    other[2].requires_grad_()
    patch_loss(one, other, []).backward()
    assert other[2].grad is not None
    assert (other[2].grad * (one[2] - other[2].detach())).sum() < 0


def test_discriminator_and_generator_loss_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert float(discriminator_loss(real, fake)) == pytest.approx(0.25 + 0.5)
    assert float(generator_loss(fake)) == pytest.approx(1.5)


def test_feature_matching_is_relative_to_the_originals_features():
    a = [torch.ones(2, 3), torch.full((4,), 2.0)]
    assert float(feature_matching_loss(a, a)) == 0
    assert float(feature_matching_loss(a, [2 * a[0], a[1]])) == pytest.approx(0.5)
    b = [2 * a[0], a[1]]
    assert float(feature_matching_loss(b, [a[0], a[1]])) == pytest.approx(0.25)


def test_the_adaptive_weight_is_the_ratio_of_gradients_at_the_last_layer():
    last = torch.tensor([2.0, 5.0], requires_grad=True)
    picture = last * torch.tensor([3.0, 1.0])
    fixed, adversarial = torch.tensor([1.0, 4.0]), torch.tensor([20.0, 80.0])
    assert float(adaptive_weight(picture, last, fixed, adversarial)) == pytest.approx(0.05)
    assert float(adaptive_weight(picture, last, fixed, torch.tensor([0.0, 0.5]))) == pytest.approx(
        10, rel=1e-5
    )
    assert float(adaptive_weight(picture, last, fixed, 1e-6 * fixed)) == WEIGHT_MAX


def stages(seed: int, side: int = 64) -> list[torch.Tensor]:
    """A picture's worth of feature maps, as DISTS has them, without the last."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.rand(2, c, side // p, side // p, generator=generator)
        for c, p in ((3, 1), (4, 1), (5, 2), (4, 4), (3, 8))
    ]


def window_mean(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3))


def window_deviation(x: torch.Tensor) -> torch.Tensor:
    return x.std((2, 3), correction=0)


def test_the_wasserstein_loss_compares_means_and_deviations_of_windows():
    one, other = stages(1), stages(2)
    wanted = 0.0
    for a, b, places in zip(one, other, (32, 32, 16, 8, 4), strict=True):
        # Windows of 32 pixels begin every 16, three along a side of 64.
        windows = [
            (..., slice(i, i + places), slice(j, j + places))
            for i in range(0, places + 1, places // 2)
            for j in range(0, places + 1, places // 2)
        ]
        assert len(windows) == 9
        (m, s), (m_hat, s_hat) = (
            (
                torch.stack([f[w].mean((2, 3)) for w in windows]),
                torch.stack([f[w].std((2, 3), correction=0) for w in windows]),
            )
            for f in (a, b)
        )
        error = (m - m_hat).square().mean() + (s - s_hat).square().mean()
        wanted += float(error / s.square().mean()) / 5
    assert float(wasserstein_loss(one, other)) == pytest.approx(wanted, rel=1e-3)
    assert float(wasserstein_loss(one, one)) == 0


def test_the_wasserstein_loss_does_not_see_where_texture_lies_but_that_it_is_there():
    one = stages(1, 128)
    # Windows begin at multiples of half a window, so shifts by one change nothing within the picture.
    moved = [m.roll((m.shape[2] // 8,) * 2, (2, 3)).flip(0) for m in one]
    flat = [m.mean((2, 3), keepdim=True).expand_as(m).clone().requires_grad_() for m in one]
    loss = wasserstein_loss(one, flat)
    assert loss.item() == pytest.approx(1, abs=0.1)
    assert float(wasserstein_loss(one, moved)) < 0.2 * loss.item()
    loss.backward()
    assert all(m.grad is not None and m.grad.isfinite().all() for m in flat)
