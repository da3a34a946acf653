"""The patch loss: deep features of patches, in the units of how much originals' vary."""

from __future__ import annotations

import pytest
import torch

from vqcodec.training.perceptual.patches import PatchLoss


def maps(seed: int, count: int = 2, side: int = 128) -> list[torch.Tensor]:
    """A picture's worth of feature maps, the last two of 8 and 16 pixels a place."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((3, 1), (6, 8), (5, 16))
    return [torch.rand(count, c, side // p, side // p, generator=generator) for c, p in sizes]


@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_it_is_the_squared_distance_of_patch_means(stretch):
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
    loss = PatchLoss(stretch)
    assert float(loss(one, other)) == pytest.approx(wanted, rel=1e-5)
    assert float(loss(one, [stretch * m for m in one])) < 1e-10


def test_textures_that_all_look_the_average_cost_one():
    one = maps(1, count=40)
    flat = [m.mean((0, 2, 3), keepdim=True).expand_as(m) for m in one]
    assert float(PatchLoss()(one, flat)) == pytest.approx(1, abs=0.05)


def test_the_scale_is_a_running_one():
    """One batch that is all alike must not blow the loss up."""
    loss = PatchLoss()
    loss(maps(1), maps(2))
    alike = [m.mean((0, 2, 3), keepdim=True).expand_as(m) for m in maps(3)]
    assert float(loss(alike, maps(4))) < 2


def test_the_gradient_leads_to_the_original():
    one, other = maps(1), maps(2)
    other[2].requires_grad_()
    PatchLoss()(one, other).backward()
    assert other[2].grad is not None
    assert (other[2].grad * (one[2] - other[2].detach())).sum() < 0
