"""Windows over a latent, so that pictures of any size pass through the transforms in bounded memory.

Convolutions and overlapping blocks see a bounded neighbourhood. A window that is worked on with a halo as
wide as that, and cut back afterwards, holds what the whole picture would have given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SIDE = 80
"""Largest side of a transform's window in blocks of 16 pixels.

With its halo it is 1664 pixels wide, a plane of which takes less than the 32 MiB from which on the C library
gives every array back to the system; with 192 blocks, of less halo, 36 megapixels took a quarter longer and
0.6 GB more."""
HALO = 12
"""Blocks that a transform of the default size sees around one: 6 by its deep convolutions, 5 (g_a) or 4 (g_s)
by those at 1/8, half a block by its first or last layer, half by the overlap, and half by the restoration."""

Window = tuple[slice, slice]
"""A piece along one axis, and the piece with its halo, which ends where the picture does."""


def cut(
    count: int, side: int = SIDE, unit: int = 1, halo: int = HALO, span: slice | None = None
) -> list[Window]:
    """Cut `count` positions, or a span of them, into equal pieces of at most `side` and a rest.

    Args:
        unit: pieces begin at multiples of it, counted from the start of the span.

    Raises:
        ValueError: `side` is less than `unit`.
    """
    if not 0 < unit <= side:
        raise ValueError(f"pieces of {side} cannot begin at multiples of {unit}")
    start, stop = (span.start, span.stop) if span else (0, count)
    units = -(-(stop - start) // unit)
    pieces = -(-units // (side // unit))
    step = unit * -(-units // pieces)
    edges = ((a, min(a + step, stop)) for a in range(start, stop, step))
    return [(slice(a, b), slice(max(a - halo, 0), min(b + halo, count))) for a, b in edges]


def batches(windows: Sequence[Window], most: int) -> Iterator[list[Window]]:
    """Neighbours equally large with their halos, at most `most` at a time: what a network can stack."""
    batch: list[Window] = []
    for window in windows:
        if batch and (len(batch) == most or _size(window) != _size(batch[0])):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _size(window: Window) -> int:
    return int(window[1].stop - window[1].start)


def within(inner: slice, outer: slice, scale: int = 1) -> slice:
    """Where `inner` lies in an array that begins with `outer`, of `scale` elements for each position."""
    return slice(scale * (inner.start - outer.start), scale * (inner.stop - outer.start))


def overlap(a: slice, b: slice) -> slice | None:
    """What two slices share, None if nothing."""
    start, stop = max(a.start, b.start), min(a.stop, b.stop)
    return slice(start, stop) if start < stop else None
