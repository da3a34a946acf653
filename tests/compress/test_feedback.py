"""Targets that make up for the errors of the last try, and never a worse file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.compress.test_refine import cost
from tests.tiny import picture
from vqcodec.compress import feedback
from vqcodec.compress.feedback import PARTS, Feedback
from vqcodec.compress.search import SCALE
from vqcodec.metrics.rate_distortion import mse
from vqcodec.model.codebook import SLOPE
from vqcodec.model.vqvae import lambda_of_level
from vqcodec.segments import SegmentCodec

LEVEL = 150
T = torch.tensor([LEVEL / 252])


def latent(codec: SegmentCodec, x: np.ndarray) -> torch.Tensor:
    """What a greedy file of x decodes to, (1, M, h, w)."""
    height, width = x.shape[:2]
    segments = codec.encode(codec.analyse(x), LEVEL, 0)
    decoded = codec.decode_latent(segments, width=width, height=height, level=LEVEL, tile=0)
    return torch.from_numpy(decoded.transpose(2, 0, 1).astype(np.float32))[None] / SCALE


def test_every_effort_lowers_the_cost(tiny_segments):
    pictures = [picture(150, 170, seed=seed) for seed in (3, 4, 5)]
    costs = [sum(cost(tiny_segments, x, LEVEL, e) for x in pictures) for e in range(1, 5)]
    assert costs[1] < 0.995 * costs[0]
    assert costs == sorted(costs, reverse=True)


def test_refined_targets_are_improved_further(tiny_segments, monkeypatch):
    pictures = [picture(150, 170, seed=seed) for seed in (3, 4, 5)]
    both = sum(cost(tiny_segments, x, LEVEL, 5) for x in pictures)
    monkeypatch.setitem(PARTS, 5, ())
    assert both < 0.999 * sum(cost(tiny_segments, x, LEVEL, 5) for x in pictures)


def test_tiles_are_searched_too(tiny_segments):
    x = picture(150, 170, seed=3)
    assert cost(tiny_segments, x, LEVEL, 3, tile=64) < 0.995 * cost(tiny_segments, x, LEVEL, 1, tile=64)


def test_pieces_come_close_to_the_whole(tiny_segments, monkeypatch):
    """Blocks overlap: the errors around a piece belong to its gradient."""
    x = picture(200, 210, seed=3)
    greedy, whole = (cost(tiny_segments, x, LEVEL, e) for e in (1, 3))
    monkeypatch.setattr(feedback, "WINDOW", 4)
    assert cost(tiny_segments, x, LEVEL, 3) - whole < 0.2 * (greedy - whole)


def test_a_step_of_no_use_does_no_harm(tiny_segments, monkeypatch):
    x = tiny_segments.analyse(picture(96, 96))
    greedy = tiny_segments.encode(x, LEVEL, 0, 1)
    errors = dict(x.errors)
    right = Feedback.move

    def wrong(self, target, y_hat, part):
        before = target.clone()
        error = right(self, target, y_hat, part)
        target.copy_(before - 20 * (target - before))
        return error

    monkeypatch.setattr(Feedback, "move", wrong)
    assert tiny_segments.encode(x, LEVEL, 0, 3) == greedy
    assert x.errors == pytest.approx(errors)


@pytest.mark.parametrize("size", [(96, 80), (83, 70), (5, 3)])
def test_the_error_is_that_of_the_decoded_picture(tiny_segments, size):
    """In nats; what lies behind the right and lower edge does not count."""
    height, width = size
    x = picture(height, width, seed=7)
    y_hat = latent(tiny_segments, x)
    found = Feedback(tiny_segments.transforms, tiny_segments.analyse(x), T).move(y_hat.clone(), y_hat, 0.0)
    segments = tiny_segments.encode(tiny_segments.analyse(x), LEVEL, 0)
    decoded = tiny_segments.decode(segments, width=width, height=height, level=LEVEL, tile=0)
    nats = float(lambda_of_level(T)) * mse(x, decoded) * height * width * np.log(2)
    assert found == pytest.approx(nats, rel=0.05)


def test_targets_move_against_the_gradient(tiny_segments):
    """A small step from y_hat itself lowers D by what the slope of the move says."""
    x = picture(96, 80, seed=8)
    look = Feedback(tiny_segments.transforms, tiny_segments.analyse(x), T)
    y_hat = latent(tiny_segments, x)
    target = y_hat.clone()
    before = look.move(target, y_hat, 1e-3)
    step = target - y_hat
    after = look.move(target.clone(), target, 0.0)
    gradient = -2 * SLOPE * step / 1e-3
    assert before - after == pytest.approx(-float((gradient * step).sum()), rel=0.05)
    same = y_hat.clone()
    assert look.move(same, y_hat, 0.0) == pytest.approx(before, rel=1e-5)
    assert torch.equal(same, y_hat)


def test_weights_that_were_loaded_in_inference_mode(tiny_weights, tiny_segments):
    x = picture(64, 64)
    with torch.inference_mode():
        codec = SegmentCodec.load(tiny_weights)
        segments = codec.encode(codec.analyse(x), LEVEL, 0, 2)
    assert segments == tiny_segments.encode(tiny_segments.analyse(x), LEVEL, 0, 2)


def test_progress_counts_every_try(tiny_segments):
    told: list[tuple[int, int]] = []
    x = tiny_segments.analyse(picture(130, 70))
    tiny_segments.encode(x, LEVEL, 64, 3, progress=lambda done, count: told.append((done, count)))
    tries = 1 + len(PARTS[3])
    assert told == [(n, 6 * tries) for n in range(1, 6 * tries + 1)]
