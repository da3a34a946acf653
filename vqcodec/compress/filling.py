"""What the networks see in place of drawn pixels: a smooth continuation of their surroundings, which costs
next to nothing and throws no halo on what is beside it.

Next to it, what lies inside is mirrored outwards, which keeps the error there as low as further inside; that
fades into means of what is known at coarser and coarser scales.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vqcodec.compress.drawn_blocks import beside
from vqcodec.image.webp import Mask, Pixels
from vqcodec.tiling import Window, windows, within

FADE = 9
"""Pixels over which the mirror image fades. Fewer cost fewer bits, and pixels along the mask more error
(`benchmarks.seams`)."""
_SIDE, _HALO = 1024, 128
"""Pixels of a window that is filled at once, and around it: what is further away counts for nothing."""


def filled(pixels: Pixels, mask: Mask) -> Pixels:
    """Pixels (H, W, 3) that continue those outside a mask (H, W) into it."""
    result = pixels.copy()
    for window in windows((mask.shape[0], mask.shape[1]), _SIDE, _HALO):
        here = mask[window.inner]
        if not here.any():
            continue
        values, known = pixels[window.outer].astype(np.float32), ~mask[window.outer]
        continued = window_of(_mirrored(values, _continued(values, known), known), window)
        result[window.inner][here] = continued[here].round().clip(0, 255).astype(np.uint8)
    return result


def window_of(array: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """The part of an array (h, w, C) for a window with its halo that belongs to the window."""
    return array[within(window.inner, window.outer)]


def _mirrored(values: NDArray[np.float32], smooth: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """Known values (h, w, C), mirrored at their edges for some pixels, fading into smooth ones."""
    result, (height, width) = smooth.copy(), known.shape
    reached = np.pad(known, 1)
    # Of each pixel that was reached, the known one that is about the nearest, with a margin of one.
    near = np.indices(reached.shape, np.int32).transpose(1, 2, 0).copy()
    for step in range(FADE):
        row, column = np.nonzero(beside(reached[1:-1, 1:-1]) & ~reached[1:-1, 1:-1])
        here = np.stack([row, column], 1).astype(np.int32) + 1
        edge, least = np.zeros_like(here), np.full(len(here), np.iinfo(np.int32).max, np.int32)
        for down, right in np.ndindex(3, 3):
            there = row + down, column + right
            far = np.square(near[there] - here).sum(1, dtype=np.int32)
            closer = reached[there] & (far < least)
            edge[closer], least[closer] = near[there][closer], far[closer]
        near[row + 1, column + 1] = edge
        reached[row + 1, column + 1] = True
        # The edge itself is repeated: without that it would be a ridge.
        away = edge - here
        mirror = edge + away - np.sign(away) - 1
        mirror = mirror.clip(0, (height - 1, width - 1))
        lost = ~known[mirror[:, 0], mirror[:, 1]]
        mirror[lost] = edge[lost] - 1
        seen = values[mirror[:, 0], mirror[:, 1]]
        result[row, column] += (1 - step / FADE) * (seen - result[row, column])
    return result


def _continued(values: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """Values (h, w, C) where known; elsewhere means of what is known at coarser and coarser scales."""
    weight = known[..., None].astype(np.float32)
    levels = list(_pyramid(values * weight, weight))
    total, count = levels[-1]
    result = np.where(count > 0, total / np.maximum(count, 1e-6), np.float32(128))
    for total, count in reversed(levels[:-1]):
        larger = _doubled(result, total.shape[0], total.shape[1])
        result = np.where(count > 0, total / np.maximum(count, 1e-6), larger)
    return result


def _pyramid(
    total: NDArray[np.float32], count: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Sums and weights, halved until one is left."""
    yield total, count
    while max(total.shape[:2]) > 1:
        total, count = _halved(total), _halved(count)
        yield total, count


def _halved(array: NDArray[np.float32]) -> NDArray[np.float32]:
    even = np.pad(array, ((0, array.shape[0] % 2), (0, array.shape[1] % 2), (0, 0)))
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


def _doubled(array: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Linear interpolation to twice the size, cut to so many rows and columns."""
    for axis, size in ((0, rows), (1, columns)):
        ends = np.pad(array, [(1, 1) if n == axis else (0, 0) for n in range(3)], "edge")
        here, before, after = (np.take(ends, range(s, s + array.shape[axis]), axis) for s in (1, 0, 2))
        pair = np.stack([here * 0.75 + before * 0.25, here * 0.75 + after * 0.25], axis + 1)
        array = pair.reshape(*array.shape[:axis], -1, *array.shape[axis + 1 :])
        array = array[:size] if axis == 0 else array[:, :size]
    return array
