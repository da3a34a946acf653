"""The pieces of a job: pictures, and units of them that one worker does in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Layout = Literal["files", "tar", "parquet"]
LAYOUTS: tuple[Layout, ...] = ("files", "tar", "parquet")
SUFFIX_OF = {"tar": ".tar", "parquet": ".parquet"}

MOST_PICTURES = 64
"""Pictures of a unit at most: what is lost with a worker, and done again."""
MOST_BYTES = 256 * 2**20
"""Their bytes at most, unless one picture alone has more."""
_PARTS = 3
"""A unit is at most this part of a worker's share of what is left, so that all workers end together."""

_LEAST_PICTURES = 16
"""Pictures of the last units of hundreds of workers: the driver hands out some hundred units a second."""


@dataclass(frozen=True)
class Picture:
    """One file to convert.

    Attributes:
        source: its path in the source's storage.
        output: its path in the destination's; None = nowhere, only to see what comes out.
        size: bytes.
        problem: what was found in planning; it fails this picture, and no other.
        make_parents: make the output's folder.
        inside: it is in a shard, and its source no file's name.
    """

    source: str
    output: str | None
    size: int = 0
    problem: OSError | None = None
    make_parents: bool = True
    inside: bool = False


@dataclass(frozen=True)
class Unit:
    """What one worker does in one go: pictures, or all samples of a shard.

    Attributes:
        number: counted in the order of planning.
        pictures: read one by one.
        shard: a tar or Parquet file to read instead; "" = none.
        table: a pyarrow.Table to read instead.
        output: a tar or Parquet file that takes all results, or of a shard whose results become files the
            folder for them; "" = each picture has an output of its own.
        origin: the number of the unit that it was cut from; None = of none.
    """

    number: int
    pictures: tuple[Picture, ...] = ()
    shard: str = ""
    table: Any = None
    output: str = ""
    origin: int | None = None

    @property
    def single(self) -> bool:
        """Whether it cannot be cut further."""
        return bool(self.output or self.shard) or len(self.pictures) <= 1


def in_units(pictures: Sequence[Picture], workers: int) -> Iterator[Unit]:
    """Pictures, the largest first, in units that get smaller towards the end.

    What is large and comes last would keep one worker busy when all others have nothing left to do.
    """
    least = min(_LEAST_PICTURES, max(1, workers // 8))
    waiting = sorted(pictures, key=lambda picture: -picture.size)
    left = sum(picture.size for picture in waiting)
    start = number = 0
    while start < len(waiting):
        # Of pictures of a size, those of the least unit always fit.
        bytes_bound = min(MOST_BYTES, max(left / (_PARTS * workers), least * waiting[start].size))
        count_bound = min(MOST_PICTURES, max(least, (len(waiting) - start) // (_PARTS * workers)))
        end, size = start, 0
        while end < len(waiting) and end - start < count_bound:
            size += waiting[end].size
            if end > start and size > bytes_bound:
                size -= waiting[end].size
                break
            end += 1
        yield Unit(number, tuple(waiting[start:end]))
        left -= size
        start, number = end, number + 1


def in_single_pictures(units: Sequence[Unit]) -> Iterator[Unit]:
    """Units cut as small as they can be: each picture for itself, so that one cannot fail others."""
    number = 0
    for unit in units:
        parts = [unit] if unit.single else [Unit(0, (picture,)) for picture in unit.pictures]
        for part in parts:
            yield replace(part, number=number, origin=unit.number)
            number += 1
