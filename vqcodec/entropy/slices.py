"""Slices: neighbouring bands that are coded at once; within a pass one slice follows the other.

A pass knows its neighbourhood before its first slice. What the strong channels then turn out to be at a place
tells how much is going on there, and the weak channels at the same place are predicted with that knowledge
(channel-conditional context, Minnen and Singh 2020; slices that grow, He et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Slice:
    """Some neighbouring bands, and the channels and groups that these are."""

    bands: slice
    channels: slice
    groups: slice

    def rows(self, channels: int, groups: int, numbers: int) -> np.ndarray:
        """Which outputs of a prior's last layer, first the means of all channels, are of this slice.

        Args:
            channels, groups: of all bands.
            numbers: context numbers of each group; the first ones of all groups come first.
        """
        starts = channels + groups * np.arange(numbers)
        own = np.arange(self.groups.start, self.groups.stop)
        return np.concatenate(
            [np.arange(self.channels.start, self.channels.stop), (starts[:, None] + own).ravel()]
        )


def cut_slices(bands: Sequence[tuple[int, int]], starts: Sequence[int]) -> list[Slice]:
    """Slices of bands, given as (channels, groups), of which a new one begins at the bands of these numbers.

    Raises:
        ValueError: the numbers do not rise, or are not those of bands behind the first one.
    """
    ends = [0, *starts, len(bands)]
    if any(b <= a for a, b in pairwise(ends)):
        raise ValueError("slices begin at rising numbers of bands behind the first one")
    return list(_slices(bands, ends))


def _slices(bands: Sequence[tuple[int, int]], ends: list[int]) -> Iterator[Slice]:
    channel = group = 0
    for first, last in pairwise(ends):
        channels, groups = (sum(band[n] for band in bands[first:last]) for n in range(2))
        yield Slice(slice(first, last), slice(channel, channel + channels), slice(group, group + groups))
        channel, group = channel + channels, group + groups
