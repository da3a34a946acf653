"""Slices cut the bands, and find their own outputs in a prior's last layer."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.entropy.coding_order import Slice, cut_slices

BANDS = [(4, 4), (4, 2), (8, 2)]
"""Channels and groups."""


def test_slices_follow_one_another():
    first, second = cut_slices(BANDS, [1])
    assert first == Slice(slice(0, 1), slice(0, 4), slice(0, 4))
    assert second == Slice(slice(1, 3), slice(4, 16), slice(4, 8))
    assert cut_slices(BANDS, []) == [Slice(slice(0, 3), slice(0, 16), slice(0, 8))]


@pytest.mark.parametrize("starts", [[], [1], [2], [1, 2]])
def test_every_output_belongs_to_one_slice(starts):
    slices = cut_slices(BANDS, starts)
    rows = [piece.rows(16, 8, 3) for piece in slices]
    assert sorted(np.concatenate(rows)) == list(range(16 + 3 * 8))
    for piece, own in zip(slices, rows, strict=True):
        channels = piece.channels.stop - piece.channels.start
        assert own[:channels].tolist() == list(range(piece.channels.start, piece.channels.stop))
        # Context number by context number, each of the slice's groups in order.
        numbers, groups = divmod(own[channels:] - 16, 8)
        count = piece.groups.stop - piece.groups.start
        assert numbers.tolist() == sorted([0, 1, 2] * count)
        assert groups.tolist() == list(range(piece.groups.start, piece.groups.stop)) * 3


@pytest.mark.parametrize("starts", [[0], [3], [2, 1], [1, 1], [-1]])
def test_slices_without_bands_are_refused(starts):
    with pytest.raises(ValueError, match=r"^slices begin at rising numbers of bands behind the first one$"):
        cut_slices(BANDS, starts)
