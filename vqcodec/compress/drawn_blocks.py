"""Which blocks of a picture look drawn rather than photographed: most of its pixels are like a neighbour, and
the block is not plain. A camera's noise, and the rounding of a lossy file, leave few equal neighbours.

On photographs `suspicious` is all that runs: it looks at two rows of every eight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.image.webp import Mask, Pixels
from vqcodec.tiling import BLOCK

LARGE_TILE = 4096
"""Side of the tiles of pictures that are drawn everywhere."""
ALIKE, CONTRAST = 0.7, 48
"""A block is drawn if at least this share of its pixels equals a neighbour, and samples differ so much."""
JOIN_ALIKE, JOIN_CONTRAST = 0.5, 24
"""So do blocks that touch a drawn one, directly or through others."""
STILL = 0.95
"""Or they have at least this share, and any contrast: what is plain."""
LEAST = 0.02
"""Share of the blocks that must be drawn for a picture to be looked at further. Photographs with bright skies
have up to a twentieth."""
SUSPICION, SUSPECT_ALIKE = 0.01, 0.6
"""The same of the sample of rows, and the share of equal pixels there."""
PLAIN = 0.9
"""Or so many blocks are plain or drawn."""
_SAMPLE, _MOST_SAMPLES = 8, 512
"""Of every so many rows, the two in the middle are looked at; of more rows where there would be too many."""
SLOPING, _SLOPE_ROWS = 0.93, 16
"""Share of samples that follow from their neighbours on a slope, in every so many rows."""
_BAND = 1024
"""Rows of a mask whose edges are moved at once."""


def suspicious(pixels: Pixels) -> bool:
    """Whether a picture (H, W, 3) may have drawn blocks, from a quarter of its rows."""
    height, width = pixels.shape[:2]
    if height < BLOCK or width < BLOCK:
        return True
    step = _SAMPLE * -(-height // (_SAMPLE * _MOST_SAMPLES))
    lower = pixels[_SAMPLE // 2 :: step]
    upper = pixels[_SAMPLE // 2 - 1 :: step][: len(lower)]
    a, b = _packed(upper), _packed(lower)
    alike = b == a
    alike[:, 1:] |= (b[:, 1:] == b[:, :-1]) | (b[:, 1:] == a[:, :-1])
    alike[:, :-1] |= b[:, :-1] == a[:, 1:]
    alike[:, 2:] |= b[:, 2:] == b[:, :-2]
    columns = width // BLOCK
    share = alike[:, : columns * BLOCK].reshape(-1, columns, BLOCK).mean(2)
    still = share >= STILL
    if still.mean() >= PLAIN:
        return True
    sharp = share >= SUSPECT_ALIKE
    if sharp.mean() < SUSPICION:
        return False
    # Only now, and of few blocks.
    pairs = [rows[:, : columns * BLOCK].reshape(-1, columns, BLOCK, 3)[sharp] for rows in (upper, lower)]
    blocks = np.concatenate(pairs, 1)
    spread = blocks.max(1).astype(np.int16) - blocks.min(1)
    drawn = int((spread.max(1) >= CONTRAST).sum())
    return drawn >= SUSPICION * share.size or (still.sum() + drawn) >= PLAIN * share.size


def sloping(pixels: Pixels) -> bool:
    """Whether a picture (H, W, 3) is nearly all slopes, by a few of its rows; clear skies are less even."""
    lower = pixels[1::_SLOPE_ROWS].astype(np.int16)
    upper = pixels[::_SLOPE_ROWS][: len(lower)].astype(np.int16)
    bend = lower[:, 1:] - lower[:, :-1] - upper[:, 1:] + upper[:, :-1]
    return bend.size > 0 and bool((np.abs(bend) <= 1).mean() >= SLOPING)


def drawn_mask(pixels: Pixels) -> Mask | None:
    """The drawn pixels (H, W) of a picture (H, W, 3), None if there are not enough.

    They are whole blocks, and what continues the colour at a block's edge on the other side.
    """
    if not suspicious(pixels):
        return None
    height, width = pixels.shape[:2]
    share, spread = _measured(pixels)
    drawn = (share >= ALIKE) & (spread >= CONTRAST)
    still = share >= STILL
    if (drawn | still).mean() >= PLAIN:
        return np.ones((height, width), np.bool_)
    if drawn.mean() < LEAST:
        return None
    blocks = closed(grown(drawn, still | ((share >= JOIN_ALIKE) & (spread >= JOIN_CONTRAST))))
    mask = blocks.repeat(BLOCK, 0)[:height].repeat(BLOCK, 1)[:, :width]
    if mask.all():
        return mask
    moved = np.empty_like(mask)
    for top in range(0, height, _BAND):
        # What is further away than two blocks changes nothing here.
        start, stop = max(top - 2 * BLOCK, 0), min(top + _BAND + 2 * BLOCK, height)
        band = _to_edges(pixels[start:stop], mask[start:stop])
        moved[top : top + _BAND] = band[top - start : top - start + _BAND]
    return moved


def closed(blocks: Mask) -> Mask:
    """With the blocks that have others on three or four sides."""
    for _ in range(2):
        near = np.pad(blocks, 1, "edge").astype(np.uint8)
        blocks = blocks | (near[:-2, 1:-1] + near[2:, 1:-1] + near[1:-1, :-2] + near[1:-1, 2:] >= 3)
    return blocks


def _to_edges(pixels: Pixels, mask: Mask) -> Mask:
    """Move the edges of a mask of blocks to where drawn and other pixels meet, by up to a block.

    It gives up, from its edges on, what is like nothing near it, and then flows into areas of one colour.
    """
    colours = _packed(pixels)
    right, down = colours[:, 1:] == colours[:, :-1], colours[1:] == colours[:-1]
    busy, outside = ~_alike(colours), ~mask
    for _ in range(BLOCK):
        outside |= beside(outside) & busy
    mask = ~outside
    for _ in range(BLOCK):
        mask[:, 1:] |= mask[:, :-1] & right
        mask[:, :-1] |= mask[:, 1:] & right
        mask[1:] |= mask[:-1] & down
        mask[:-1] |= mask[1:] & down
    return mask


def beside(mask: Mask) -> Mask:
    """What is next to a mask or in it, on eight sides."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    tall = wide.copy()
    tall[1:] |= wide[:-1]
    tall[:-1] |= wide[1:]
    return tall


def grown(seeds: Mask, others: Mask) -> Mask:
    """The seeds, and those of the others that touch them, directly or through others of them."""
    mask = seeds.copy()
    for _ in range(sum(mask.shape)):  # longer ways than through the whole picture are given up
        near = np.pad(mask, 1)
        touched = near[:-2, 1:-1] | near[2:, 1:-1] | near[1:-1, :-2] | near[1:-1, 2:]
        more = touched & others & ~mask
        if not more.any():
            break
        mask |= more
    return mask


def _measured(pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Share of pixels equal to a neighbour, and largest difference of samples, of every block, row by row."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    share = np.empty((rows, columns), np.float32)
    spread = np.empty((rows, columns), np.int16)
    starts = np.arange(0, width, BLOCK)
    counts = np.diff(np.append(starts, width))
    for row in range(rows):
        top = row * BLOCK
        band = pixels[max(top - 2, 0) : top + BLOCK]
        above = top - max(top - 2, 0)
        alike = _alike(_packed(band))[above:]
        share[row] = np.add.reduceat(alike.sum(0, dtype=np.int32), starts) / (counts * len(alike))
        highest, lowest = band[above:].max(0), band[above:].min(0)
        highest, lowest = np.maximum.reduceat(highest, starts), np.minimum.reduceat(lowest, starts)
        spread[row] = (highest.astype(np.int16) - lowest).max(1)
    return share, spread


def _alike(colours: NDArray[np.uint32]) -> Mask:
    """Whether each pixel has the colour of one near it; the first in a row and column look the other way."""
    alike = np.zeros(colours.shape, np.bool_)
    right = colours[:, 1:] == colours[:, :-1]
    alike[:, 1:] |= right
    alike[:, : right.shape[1]][:, :1] |= right[:, :1]
    down = colours[1:] == colours[:-1]
    alike[1:] |= down
    alike[: down.shape[0]][:1] |= down[:1]
    alike[1:, 1:] |= colours[1:, 1:] == colours[:-1, :-1]
    alike[1:, :-1] |= colours[1:, :-1] == colours[:-1, 1:]
    alike[:, 2:] |= colours[:, 2:] == colours[:, :-2]
    alike[2:] |= colours[2:] == colours[:-2]
    return alike


def _packed(pixels: Pixels) -> NDArray[np.uint32]:
    """Each pixel (H, W, 3) as one number."""
    packed = pixels[:, :, 0].astype(np.uint32)
    packed |= pixels[:, :, 1].astype(np.uint32) << 8
    packed |= pixels[:, :, 2].astype(np.uint32) << 16
    return packed
