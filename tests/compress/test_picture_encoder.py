"""Where codewords do not reach, a lower level is found, and large pictures are not coded 25 times for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tiny import picture
from vqcodec.codec import Codec
from vqcodec.compress.picture_encoder import PATCH, SAMPLE, FileEncoder, spread


class Reaching:
    """Segments that get worse above level 137, and remember the sizes that they encode."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.encoded: list[tuple[int, int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def overloaded(self, _analysis: Any, level: int) -> bool:
        return level > 137

    def encode(self, analysis: Any, level: int, *rest: Any) -> Any:
        self.encoded.append((*analysis.shape[:2], level))
        return self._inner.encode(analysis, level, *rest)

    def decode(self, segments: Any, *, level: int, **size: Any) -> Any:
        decoded = self._inner.decode(segments, level=level, **size)
        return decoded if level <= 137 else decoded // 2


@pytest.mark.parametrize(("height", "width"), [(96, 128), (600, 1000)])
def test_the_level_that_comes_out_best_is_taken(codec, height, width):
    segments = Reaching(codec.segments)
    pixels = picture(height, width)
    ready = Codec(segments).prepare(pixels)
    encoder = FileEncoder(segments, ready, 64, 1)
    assert encoder.encode(130)[0] == 130
    assert encoder.encode(200)[0] == 130  # the nearest of those that are tried
    assert encoder.encode(240)[0] == 130
    if height > SAMPLE:
        tried = {level for *shape, level in segments.encoded if shape == [SAMPLE, SAMPLE]}
        assert tried == {*range(0, 240, 10), 200, 240}
        assert [level for *shape, level in segments.encoded if shape == [height, width]] == [
            130, 200, 130, 240, 130
        ]  # fmt: skip


def test_a_sample_is_spread_over_the_picture():
    assert spread(SAMPLE).tolist() == list(range(SAMPLE))
    taken = spread(3000)
    assert len(taken) == SAMPLE
    assert taken[0] == 0
    assert taken[-1] == 2999
    assert np.all(np.diff(taken) >= 1)
    assert int((np.diff(taken) > 1).sum()) == SAMPLE // PATCH - 1
    assert len(set(spread(SAMPLE + 1))) == SAMPLE
