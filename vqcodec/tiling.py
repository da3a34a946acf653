"""Pure geometry of pictures and latents: tiles, and windows with a halo; imports no torch.

Convolutions and overlapping blocks see a bounded neighbourhood. A window that is processed with a halo as
wide as that and cropped afterwards holds what processing the whole picture would have given, so that pictures
of any size pass through the transforms in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

BLOCK = 16
"""Pixels of the picture along one side of a position of the latent."""
TRANSFORM_SIDE = 136
"""Largest side, in blocks, of a window that passes through g_a or g_s: a camera's 12 megapixels are four."""
TRANSFORM_HALO = 12
"""Blocks that g_a and g_s of the default size see around one."""

Place = tuple[slice, slice]
"""Rows and columns of a rectangle."""


class _Array(Protocol):
    def __getitem__(self, key: Any, /) -> Any: ...


Array = TypeVar("Array", bound=_Array)


@dataclass(frozen=True)
class Window:
    """A rectangle, `inner`, and the same with its halo, `outer`, which ends where the picture does."""

    inner: Place
    outer: Place

    @classmethod
    def of(cls, shape: Sequence[int]) -> Window:
        """All of an array (h, w, ...)."""
        return cls(whole((shape[0], shape[1])), whole((shape[0], shape[1])))

    def crop(self, x: Array) -> Array:
        """Of an array (..., h, w) made for `outer`, the part that belongs to `inner`."""
        cropped: Array = x[at(within(self.inner, self.outer))]
        return cropped

    def scaled(self, factor: int) -> Window:
        """The same window in units `factor` times as small."""
        return Window(scaled(self.inner, factor), scaled(self.outer, factor))

    def narrowed(self, halo: int) -> Window:
        """The same window with a halo of at most so much."""
        outer = [
            slice(max(i.start - halo, o.start), min(i.stop + halo, o.stop))
            for i, o in zip(self.inner, self.outer, strict=True)
        ]
        return Window(self.inner, (outer[0], outer[1]))

    def clipped(self, place: Place) -> Window:
        """The window without what of `inner` lies outside `place`; the two must overlap."""
        return Window(overlap(self.inner, place) or self.inner, self.outer)


def tiles(rows: int, columns: int, tile: int) -> Iterator[Place]:
    """Places of the tiles in a latent, row by row; `tile` is their side in pixels, 0 = one tile."""
    step = tile // BLOCK or max(rows, columns)
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            yield slice(top, min(top + step, rows)), slice(left, min(left + step, columns))


def pixel_tiles(width: int, height: int, tile: int) -> Iterator[Place]:
    """Places of the tiles in a picture, in pixels, row by row; a `tile` of 0 is one tile."""
    for top in range(0, height, tile or height):
        for left in range(0, width, tile or width):
            yield (
                slice(top, min(top + (tile or height), height)),
                slice(left, min(left + (tile or width), width)),
            )


def windows(
    shape: tuple[int, int],
    side: int | tuple[int, int],
    halo: int = 0,
    align: int = 1,
    span: Place | None = None,
) -> list[Window]:
    """Cut an array of `shape`, or a part `span` of it, into windows of nearly equal size, row by row.

    Args:
        side: largest height and width without the halo.
        halo: positions around a window, as far as the array reaches.
        align: windows begin at multiples of it, counted from the start of the span.

    Raises:
        ValueError: `side` is less than `align`.
    """
    sides = (side, side) if isinstance(side, int) else side
    parts = span or whole(shape)
    rows, columns = (_pieces(part, most, align) for part, most in zip(parts, sides, strict=True))

    def grown(piece: slice, count: int) -> slice:
        return slice(max(piece.start - halo, 0), min(piece.stop + halo, count))

    return [Window((r, c), (grown(r, shape[0]), grown(c, shape[1]))) for r in rows for c in columns]


def _pieces(part: slice, side: int, align: int) -> list[slice]:
    if not 0 < align <= side:
        raise ValueError(f"pieces of {side} cannot begin at multiples of {align}")
    units = -(-(part.stop - part.start) // align)
    pieces = -(-units // (side // align))
    step = align * -(-units // pieces)
    return [slice(start, min(start + step, part.stop)) for start in range(part.start, part.stop, step)]


def batches(pieces: Sequence[Window], most: int) -> Iterator[list[Window]]:
    """Group consecutive windows of equal size with their halos into batches of at most `most`."""
    batch: list[Window] = []
    for piece in pieces:
        if batch and (len(batch) == most or size(piece.outer) != size(batch[0].outer)):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def whole(shape: tuple[int, int]) -> Place:
    """The place of everything."""
    return slice(0, shape[0]), slice(0, shape[1])


def at(place: Place) -> tuple[Any, slice, slice]:
    """The index of a place in an array (..., h, w)."""
    return (..., *place)


def size(place: Place) -> tuple[int, int]:
    """Height and width."""
    rows, columns = place
    return rows.stop - rows.start, columns.stop - columns.start


def within(inner: Place, outer: Place) -> Place:
    """Where `inner` lies in an array that holds `outer`."""
    rows, columns = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
    return rows, columns


def overlap(a: Place, b: Place) -> Place | None:
    """What two places share, None if nothing."""
    rows, columns = (slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def scaled(place: Place, factor: int) -> Place:
    """A place in units `factor` times as small."""
    rows, columns = (slice(factor * part.start, factor * part.stop) for part in place)
    return rows, columns
