"""Targets that make up for the errors of the last try, and never a worse file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.compress.test_refine import cost
from tests.tiny import load_codec, picture
from vqcodec.codec import Codec
from vqcodec.compress import feedback
from vqcodec.compress.efforts import PARTS
from vqcodec.compress.feedback import SMALLEST_ERROR, Feedback, curvature
from vqcodec.compress.search import SCALE
from vqcodec.compress.source import PaddedPixels
from vqcodec.metrics.rate_distortion import mse
from vqcodec.model.codebook import SLOPE
from vqcodec.model.dial import lambda_of_level

LEVEL = 150
T = torch.tensor([LEVEL / 252])


def latent(codec: Codec, x: np.ndarray) -> np.ndarray:
    """What a greedy file of x decodes to, (h, w, M)."""
    height, width = x.shape[:2]
    segments = codec.encode(x, LEVEL, 0).segments
    decoded = codec.decoder.latent(segments, width=width, height=height, level=LEVEL, tile=0)
    return decoded.astype(np.float32) / SCALE


def test_every_effort_lowers_the_cost(tiny_codec):
    pictures = [picture(150, 170, seed=seed) for seed in (3, 4, 5)]
    costs = [sum(cost(tiny_codec, x, LEVEL, e) for x in pictures) for e in range(1, 5)]
    assert costs[1] < 0.995 * costs[0]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.slow
def test_refined_targets_are_improved_further(tiny_codec, monkeypatch):
    pictures = [picture(150, 170, seed=seed) for seed in (3, 4, 5)]
    both = sum(cost(tiny_codec, x, LEVEL, 5) for x in pictures)
    monkeypatch.setitem(PARTS, 5, ())
    assert both < 0.999 * sum(cost(tiny_codec, x, LEVEL, 5) for x in pictures)


def test_tiles_are_searched_too(tiny_codec):
    x = picture(150, 170, seed=3)
    assert cost(tiny_codec, x, LEVEL, 3, tile=64) < 0.995 * cost(tiny_codec, x, LEVEL, 1, tile=64)


@pytest.mark.slow
def test_pieces_come_close_to_the_whole(tiny_codec, monkeypatch):
    """Blocks overlap: the errors around a piece belong to its gradient."""
    x = picture(200, 210, seed=3)
    greedy, whole = (cost(tiny_codec, x, LEVEL, e) for e in (1, 3))
    monkeypatch.setattr(feedback, "FEEDBACK_SIDE", 4)
    assert cost(tiny_codec, x, LEVEL, 3) - whole < 0.2 * (greedy - whole)


def test_a_step_of_no_use_does_no_harm(tiny_codec, monkeypatch):
    x = picture(96, 96)
    greedy = tiny_codec.encode(x, LEVEL, 0, 1)
    right = Feedback.move

    def wrong(self, target, y_hat, y, part):
        before = target.copy()
        error = right(self, target, y_hat, y, part)
        target[:] = before - 20 * (target - before)
        return error

    monkeypatch.setattr(Feedback, "move", wrong)
    assert tiny_codec.encode(x, LEVEL, 0, 3) == greedy


@pytest.mark.parametrize(("more_bytes", "kept"), [(0, 1), (10**6, 0)])
def test_the_choice_is_by_error_and_rate(tiny_codec, more_bytes, kept):
    """A second try with less error is taken, unless its bytes cost more than that is worth."""
    x = picture(64, 64, seed=3)
    look = Feedback(tiny_codec.model.networks, PaddedPixels(x), LEVEL, "psnr")
    y_hat = latent(tiny_codec, x)
    tries = iter([({(0, 0): [b"0000"]}, 3 * y_hat), ({(0, 0): [b"1111", bytes(more_bytes)]}, y_hat)])
    found, _ = look.search(lambda target, y: next(tries), y_hat, y_hat, (0.25,))
    assert found[0, 0][0] == [b"0000", b"1111"][kept]


@pytest.mark.parametrize("size", [(96, 80), (83, 70), (5, 3)])
def test_the_error_is_that_of_the_decoded_picture(tiny_codec, size):
    """In nats; what lies behind the right and lower edge does not count."""
    height, width = size
    x = picture(height, width, seed=7)
    y_hat = latent(tiny_codec, x)
    found = Feedback(tiny_codec.model.networks, PaddedPixels(x), LEVEL, "psnr").move(
        y_hat.copy(), y_hat, y_hat, 0.0
    )
    segments = tiny_codec.encode(x, LEVEL, 0).segments
    decoded = tiny_codec.decode(segments, width=width, height=height, level=LEVEL, tile=0)
    nats = float(lambda_of_level(T)) * mse(x, decoded) * height * width * np.log(2)
    assert found == pytest.approx(nats, rel=0.05)


def test_targets_move_against_the_gradient(tiny_codec):
    """A small step from y_hat itself lowers D by what the slope of the move says."""
    x = picture(96, 80, seed=8)
    look = Feedback(tiny_codec.model.networks, PaddedPixels(x), LEVEL, "psnr")
    y_hat = latent(tiny_codec, x)
    target, far = y_hat.copy(), y_hat + 1e6  # an error so large that no channel is steep
    before = look.move(target, y_hat, far, 1e-3)
    step = target - y_hat
    after = look.move(target.copy(), target, far, 0.0)
    gradient = -2 * SLOPE * step / 1e-3
    assert before - after == pytest.approx(-float((gradient * step).sum()), rel=0.05)
    same = y_hat.copy()
    assert look.move(same, y_hat, far, 0.0) == pytest.approx(before, rel=1e-5)
    assert np.array_equal(same, y_hat)


def test_steps_are_shorter_where_the_error_is_steep(tiny_codec):
    """By channel, so that no channel moves further on average than it missed its value."""
    x = picture(96, 80, seed=8)
    look = Feedback(tiny_codec.model.networks, PaddedPixels(x), 250, "eyes")
    y_hat = latent(tiny_codec, x)
    missed = np.linspace(0.005, 0.02, y_hat.shape[2], dtype=np.float32)
    far, near = y_hat.copy(), y_hat.copy()
    look.move(far, y_hat, y_hat + 1e6, 1.0)
    look.move(near, y_hat, y_hat + missed, 1.0)
    whole, steps = (np.sqrt(np.square(moved - y_hat).mean((0, 1))) for moved in (far, near))
    assert (whole > 2 * missed).any()
    assert steps == pytest.approx(np.minimum(whole, missed), rel=1e-3, abs=1e-6)


def test_curvature_is_that_of_each_channel():
    missed = torch.tensor([1.0, 2.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    gradient = 2 * SLOPE * torch.tensor([3.0, 1.0, 0.5]).view(1, 3, 1, 1) * torch.ones(1, 3, 4, 5)
    found = curvature(gradient, missed)
    assert found.shape == (1, 3, 1, 1)
    assert found.flatten().tolist() == pytest.approx([3, 1, 0.5 / SMALLEST_ERROR**0.5])


def test_weights_that_were_loaded_in_inference_mode(tiny_weights, tiny_codec):
    x = picture(64, 64)
    with torch.inference_mode():
        codec = load_codec(tiny_weights)
        segments = codec.encode(x, LEVEL, 0, 2).segments
    assert segments == tiny_codec.encode(x, LEVEL, 0, 2).segments


def test_progress_counts_every_try(tiny_codec):
    told: list[tuple[int, int]] = []
    x = picture(130, 70)
    tiny_codec.encoder.encode(x, LEVEL, 64, 3, progress=lambda done, count: told.append((done, count)))
    tries = 1 + len(PARTS[3])
    assert told == [(n, 6 * tries) for n in range(1, 6 * tries + 1)]
