"""What export counts: symbols of real crops, in the class that a coder would look them up in."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor

from tests.tiny import TINY, pictures, random_prior_
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.coding_tables import count_symbols
from vqcodec.training.data import Crops


class AtOneLevel:
    """Crops whose level is always the same."""

    def __init__(self, level: int) -> None:
        self.crops, self.level = Crops(pictures(2), seed=0), level

    def batch(self, count: int, side: int) -> tuple[Tensor, Tensor]:
        x, _ = self.crops.batch(count, side)
        return x, torch.full((count,), self.level / 252)


@pytest.fixture(scope="module")
def model() -> VQVAE:
    torch.manual_seed(0)
    result = VQVAE(TINY).eval()
    random_prior_(result, seed=0)
    result.set_exact(True)
    return result


@pytest.mark.parametrize(("level", "kind"), [(0, 0), (15, 0), (16, 1), (100, 6), (251, 15), (252, 15)])
def test_symbols_of_the_hyper_latent_are_counted_in_the_class_of_their_level(model, level, kind):
    _, (counts,) = count_symbols(model, cast("Crops", AtOneLevel(level)), batches=2, side=64)
    groups = TINY.hyper_channels // TINY.hyper_bands[0][0]
    assert counts.shape[:2] == (groups, 16)
    by_class = counts.sum((0, 2))
    # Two batches of four crops; 64 pixels are one step of the hyper-latent's grid.
    assert by_class.tolist() == [8.0 * groups if k == kind else 0.0 for k in range(16)]


def test_symbols_of_the_latent_are_counted_in_the_class_of_their_contexts(model):
    crops = Crops(pictures(2), seed=0)
    counts, _ = count_symbols(model, crops, batches=1, side=64)
    x, level = Crops(pictures(2), seed=0).batch(4, 64)
    with torch.inference_mode():
        output = model(x, (level * 252).round() / 252)
    for i, (size, channels, words) in enumerate(TINY.bands):
        wanted = torch.zeros(channels // size, 8 * 3, words)
        for result in output.passes:
            first, second = result.contexts[i].taken.round().long()
            for group, rows in enumerate(zip(first, second, result.index[i], strict=True)):
                for u0, u1, k in zip(*(row.tolist() for row in rows), strict=True):
                    wanted[group, 3 * u0 + u1, k] += 1
        assert torch.equal(counts[i], wanted)
        assert int((wanted.sum((0, 2)) > 0).sum()) > 6  # classes
