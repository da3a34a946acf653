"""The encoder's search: better for its size, decodable by all, harmless where it finds nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import picture
from vqcodec.codec import Codec
from vqcodec.compress import refine
from vqcodec.compress.feedback import PARTS
from vqcodec.compress.refine import EFFORT_STEPS, HALO, WINDOW, Refiner, parts, trusted, windows
from vqcodec.metrics.rate_distortion import mse
from vqcodec.model import codebook as quantizer
from vqcodec.model.vqvae import lambda_of_level
from vqcodec.segments import SegmentCodec
from vqcodec_cli.main import main


def cost(codec: SegmentCodec, x: np.ndarray, level: int, effort: int, tile: int = 0) -> float:
    """J = lambda 255^2 MSE + bpp of real segments, decoded."""
    segments = codec.encode(codec.analyse(x), level, tile, effort)
    height, width = x.shape[:2]
    decoded = codec.decode(segments, width=width, height=height, level=level, tile=tile)
    bits = 8 * sum(len(s) for layers in segments for s in layers)
    weight = float(lambda_of_level(torch.tensor(level / 252)))
    return weight * mse(x, decoded) + bits / (height * width)


def test_effort_lowers_the_cost(tiny_segments):
    pictures = [picture(150, 170, seed=seed) for seed in (3, 4)]
    for level in (100, 200):
        greedy, searched = (sum(cost(tiny_segments, x, level, e) for x in pictures) for e in (1, 8))
        assert searched < 0.99 * greedy


def test_the_greedy_choice_prices_errors_higher(tiny_weights, monkeypatch):
    """Other words and less error at effort 1; a search prices errors as training does."""
    pictures = [picture(200, 250, seed=seed) for seed in (3, 4, 5)]

    def coded(effort: int) -> tuple[bytes, float]:
        # At a level that the tiny model's words reach: beyond, no price changes the error.
        codec, joined, error = SegmentCodec.load(tiny_weights), b"", 0.0
        for x in pictures:
            analysis = codec.analyse(x)
            segments = codec.encode(analysis, 100, 0, effort)
            joined += b"".join(s for layers in segments for s in layers)
            error += analysis.errors[100]
        return joined, error

    greedy, searched = coded(1), coded(5)
    monkeypatch.setattr(quantizer, "GREEDY_SLOPES", {})
    plain = coded(1)
    assert greedy[0] != plain[0]
    assert greedy[1] < plain[1]
    assert coded(5) == searched


def test_effort_one_is_the_greedy_choice(tiny_weights):
    codec = SegmentCodec.load(tiny_weights)
    x = codec.analyse(picture(64, 80))
    assert codec.encode(x, 100, 0, 1) == codec.encode(x, 100, 0)
    assert codec._refiner is None
    assert "search" not in codec.timings
    codec.encode(x, 100, 0, 5)
    assert "search" in codec.timings


def test_the_search_never_returns_a_target_that_is_worse(tiny_weights, monkeypatch):
    """Steps in the wrong direction are noticed: the first target, the latent itself, comes back."""
    codec = SegmentCodec.load(tiny_weights)
    refiner = codec._refine()
    evaluate = Refiner._evaluate

    def against(self, *arguments):
        y_hat, gradient, j = evaluate(self, *arguments)
        return y_hat, -20 * gradient, j

    x = codec.analyse(picture(96, 96)).x
    level = torch.tensor([0.6])
    y = codec.transforms.analyse(x, level)
    monkeypatch.setattr(Refiner, "_evaluate", against)
    assert torch.equal(refiner.refine(x, y, level, 5), y)


@pytest.mark.parametrize("size", [(1, 1), (17, 40), (530, 24)])
def test_any_size_and_tile(tiny_segments, size):
    x = picture(*size)
    height, width = size
    for tile, effort in ((0, 2), (64, 2), (0, 5), (64, 5)):
        segments = tiny_segments.encode(tiny_segments.analyse(x), 150, tile, effort)
        decoded = tiny_segments.decode(segments, width=width, height=height, level=150, tile=tile)
        assert decoded.shape == x.shape


def test_effort_lowers_the_cost_of_pictures_in_pieces(tiny_segments, monkeypatch):
    """Blocks overlap: at the edge of a piece the error means nothing without the neighbours."""
    x = picture(200, 210, seed=3)
    greedy, whole = (cost(tiny_segments, x, 200, e) for e in (1, 8))
    monkeypatch.setattr(refine, "WINDOW", 4)
    pieces = cost(tiny_segments, x, 200, 8)
    assert whole < 0.99 * greedy
    assert pieces - whole < 0.3 * (greedy - whole)


def test_windows_cover_are_bounded_and_aligned():
    for count in (1, 3, 23, 24, 25, 31, 36, 64, 65, 100, 313):
        pieces = windows(count)
        inner = [piece for piece, _ in pieces]
        assert [p.start for p in inner[1:]] == [p.stop for p in inner[:-1]]
        assert (inner[0].start, inner[-1].stop) == (0, count)
        assert all(0 < p.stop - p.start <= WINDOW for p in inner)
        assert all(p.start % 4 == 0 and outer.start % 4 == 0 for p, outer in pieces)
        for p, outer in pieces:
            assert (outer.start, outer.stop) == (max(p.start - HALO, 0), min(p.stop + HALO, count))


def test_only_edges_inside_the_picture_are_not_trusted():
    mask = trusted((slice(0, 3), slice(4, 8)), (9, 8))
    assert mask[0, 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    assert trusted((slice(0, 1), slice(0, 2)), (1, 2)).min() == 1


def test_parts_fall():
    for steps in EFFORT_STEPS.values():
        values = list(parts(steps))
        assert len(values) == steps
        assert values == sorted(values, reverse=True)
    assert [1, *PARTS] == list(range(1, 10))
    assert set(EFFORT_STEPS) == set(range(5, 10))
    assert sorted(EFFORT_STEPS.values()) == list(EFFORT_STEPS.values())


def test_effort_through_codec_and_command_line(tiny_weights, tiny_segments, tmp_path):
    x = picture(128, 128, seed=6)
    codec = Codec(tiny_segments)
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
