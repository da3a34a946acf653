"""The encoder's search: better for its size, decodable by all, harmless where it finds nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import load_codec, picture
from vqcodec.codec import Codec
from vqcodec.compress import refine
from vqcodec.compress.efforts import EFFORT_STEPS, PARTS
from vqcodec.compress.refine import Refiner, parts, trusted
from vqcodec.entropy import steps
from vqcodec.metrics.rate_distortion import mse
from vqcodec.model.dial import lambda_of_level
from vqcodec_cli.main import main


def cost(codec: Codec, x: np.ndarray, level: int, effort: int, tile: int = 0) -> float:
    """J = lambda 255^2 MSE + bpp of real segments, decoded."""
    segments = codec.encode(x, level, tile, effort).segments
    height, width = x.shape[:2]
    decoded = codec.decode(segments, width=width, height=height, level=level, tile=tile)
    bits = 8 * sum(len(s) for layers in segments for s in layers)
    weight = float(lambda_of_level(torch.tensor(level / 252)))
    return weight * mse(x, decoded) + bits / (height * width)


@pytest.mark.slow
def test_effort_lowers_the_cost(tiny_codec):
    pictures = [picture(150, 170, seed=seed) for seed in (3, 4)]
    for level in (100, 200):
        greedy, searched = (sum(cost(tiny_codec, x, level, e) for x in pictures) for e in (1, 5))
        assert searched < 0.99 * greedy


@pytest.mark.slow
def test_the_greedy_choice_prices_errors_higher(tiny_weights, monkeypatch):
    """Other words and less error at effort 1; a search prices errors as training does."""
    pictures = [picture(200, 250, seed=seed) for seed in (3, 4)]

    def coded(effort: int) -> tuple[bytes, float]:
        # At a level that the tiny model's words reach: beyond, no price changes the error.
        codec, joined, error = load_codec(tiny_weights), b"", 0.0
        for x in pictures:
            encoded = codec.encode(x, 100, 0, effort)
            joined += b"".join(s for layers in encoded.segments for s in layers)
            error += encoded.error
        return joined, error

    greedy, searched = coded(1), coded(5)
    monkeypatch.setattr(steps, "GREEDY_SLOPES", {})
    plain = coded(1)
    assert greedy[0] != plain[0]
    assert greedy[1] < plain[1]
    assert coded(5) == searched


def test_effort_one_is_the_greedy_choice(tiny_weights):
    codec = load_codec(tiny_weights)
    x = picture(64, 80)
    assert codec.encode(x, 100, 0, 1) == codec.encode(x, 100, 0)
    assert codec.encoder._refiner is None
    codec.encode(x, 100, 0, 5)
    assert codec.encoder._refiner is not None


def test_the_search_never_returns_a_target_that_is_worse(tiny_weights, monkeypatch):
    """Steps in the wrong direction are noticed: the first target, the latent itself, comes back."""
    codec = load_codec(tiny_weights)
    refiner = codec.encoder._refine()
    evaluate = Refiner._evaluate

    def against(self, *arguments):
        y_hat, gradient, j = evaluate(self, *arguments)
        return y_hat, -20 * gradient, j

    x, level = picture(96, 96), 150
    y = codec.model.g_a(x, level)
    monkeypatch.setattr(Refiner, "_evaluate", against)
    assert np.array_equal(refiner.refine(x, y, level, EFFORT_STEPS[5]), y)


@pytest.mark.parametrize("size", [(1, 1), (17, 40), (530, 24)])
@pytest.mark.slow
def test_any_size_and_tile(tiny_codec, size):
    x = picture(*size)
    height, width = size
    for tile, effort in ((0, 2), (64, 2), (0, 5), (64, 5)):
        segments = tiny_codec.encode(x, 150, tile, effort).segments
        decoded = tiny_codec.decode(segments, width=width, height=height, level=150, tile=tile)
        assert decoded.shape == x.shape


@pytest.mark.slow
def test_effort_lowers_the_cost_of_pictures_in_pieces(tiny_codec, monkeypatch):
    """Blocks overlap: at the edge of a piece the error means nothing without the neighbours."""
    x = picture(136, 144, seed=3)
    greedy, whole = (cost(tiny_codec, x, 200, e) for e in (1, 5))
    monkeypatch.setattr(refine, "REFINE_SIDE", 4)
    pieces = cost(tiny_codec, x, 200, 5)
    assert whole < 0.99 * greedy
    assert pieces - whole < 0.3 * (greedy - whole)


def test_only_edges_inside_the_picture_are_not_trusted():
    mask = trusted((slice(0, 3), slice(4, 8)), (9, 8))
    assert mask[0, 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    assert trusted((slice(0, 1), slice(0, 2)), (1, 2)).min() == 1


def test_parts_fall():
    for count in EFFORT_STEPS.values():
        values = list(parts(count))
        assert len(values) == count
        assert values == sorted(values, reverse=True)
    assert [1, *PARTS] == list(range(1, 10))
    assert set(EFFORT_STEPS) == set(range(5, 10))
    assert sorted(EFFORT_STEPS.values()) == list(EFFORT_STEPS.values())


@pytest.mark.slow
def test_effort_through_codec_and_command_line(tiny_weights, tiny_codec, tmp_path):
    x = picture(128, 128, seed=6)
    codec = tiny_codec
    plain, searched = (codec.compress(x, quality=60, effort=e) for e in (1, 6))
    assert plain != searched
    assert codec.decompress(searched).size == (128, 128)
    for effort in (0, 10):
        with pytest.raises(ValueError, match="effort must be 1 to 9"):
            codec.compress(x, effort=effort)
    Image.fromarray(x).save(tmp_path / "x.png")
    arguments = ["compress", str(tmp_path / "x.png"), "-q", "60", "-m", str(tiny_weights)]
    for word in ("1", "6"):
        assert main([*arguments, "-e", word, "-o", str(tmp_path / f"{word}.vqc")]) == 0
    assert (tmp_path / "6.vqc").read_bytes() == searched
    assert main([*arguments, "-e", "10"]) == 2
