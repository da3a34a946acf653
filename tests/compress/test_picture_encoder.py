"""Where codewords do not reach, a lower level is found, and large pictures are not coded 25 times for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.conftest import FakeModel
from tests.tiny import picture
from vqcodec.compress.encoded import Encoded
from vqcodec.compress.picture_encoder import PictureEncoder
from vqcodec.compress.preparing import prepare
from vqcodec.compress.reach import ALIKE, PATCH, SAMPLE, STEP, best_level, out_of_reach, spread


class Reaching(FakeModel):
    """Out of reach above level 137, and worse the further; remembers the sizes that it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[tuple[int, int, int]] = []

    def encode(self, pixels: Any, level: int, *rest: Any) -> Encoded:
        self.encoded.append((*pixels.shape[:2], level))
        encoded = super().encode(pixels, level, *rest)
        return replace(encoded, error=1e9) if level > 137 else encoded

    def decode(self, segments: Any, *, level: int, **size: Any) -> Any:
        decoded = super().decode(segments, level=level, **size)
        return decoded if level <= 137 else (decoded.astype(int) * 137 // level).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(96, 128), (600, 1000)])
def test_the_level_that_comes_out_best_is_taken(height, width):
    model: Any = Reaching()
    ready = prepare(picture(height, width))
    encoder = PictureEncoder(model, model, ready, 64, 1, drawn=False)
    assert encoder.encode(130).level == 130
    assert encoder.encode(200).level == 135  # the nearest of those that are tried
    assert encoder.encode(240).level == 135
    if height > SAMPLE:
        tried = {level for *shape, level in model.encoded if shape == [SAMPLE, SAMPLE]}
        assert tried == {200, 240, 216, 180, 144, 108, 126, 162, 135, 153, 99}
        assert [level for *shape, level in model.encoded if shape == [height, width]] == [
            130, 200, 135, 240, 135
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "best"),
    [(0, 0), (ALIKE / 252, 0), (ALIKE / STEP * 1.1, 252), (-0.1, 0)],
)
def test_of_levels_that_are_equally_good_the_lowest_is_taken(gain, best):
    assert best_level(252, lambda level: 5 + gain * level) == best


@pytest.mark.parametrize(
    ("level", "error", "rate", "out"),
    [
        (0, 50, 1e9, False),
        (0, 51, 1e9, True),
        (81, 100, 1e9, False),
        (81, 101, 1e9, True),
        (162, 150, 149, True),
        (162, 150, 151, False),
        (162, 99, 0, False),
        (162, 101, 0, True),
    ],
)
def test_reach_is_a_limit_of_the_error_that_doubles_and_half_of_it_above_the_rate(level, error, rate, out):
    assert out_of_reach(Encoded(level, [], error, rate)) == out


def test_a_sample_is_spread_over_the_picture():
    assert spread(SAMPLE).tolist() == list(range(SAMPLE))
    taken = spread(3000)
    assert len(taken) == SAMPLE
    assert taken[0] == 0
    assert taken[-1] == 2999
    assert np.all(np.diff(taken) >= 1)
    assert int((np.diff(taken) > 1).sum()) == SAMPLE // PATCH - 1
    assert len(set(spread(SAMPLE + 1))) == SAMPLE
