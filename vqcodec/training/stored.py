"""Pictures that stay in their files or tar shards until a crop is cut from them, for sets beyond memory.

Of every picture only place and size are kept. Ranks share the work of looking through the files.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vqcodec.errors import CorruptData
from vqcodec.shards import members, whole_tar
from vqcodec.training.data import SUFFIXES, find_images, load_images, read_picture
from vqcodec.training.ranks import Ranks

TAR = ".tar"
SHARD_CACHE = 1.0
"""GB of decoded pictures that are kept where shards are read and nothing else was asked for."""
FILE = -1
"""Offset of a picture that is a file by itself."""


class StoredPictures(Sequence[np.ndarray]):
    """Decodes RGB pictures (H, W, 3) uint8 when they are asked for, and keeps those used last.

    Attributes:
        sizes: heights and widths (N, 2).
    """

    def __init__(self, files: list[str], places: NDArray[np.int64], cache: float) -> None:
        """Nothing is read yet.

        Args:
            places: rows (file, offset, bytes, height, width); offset `FILE` stands for a file by itself.
            cache: GB of decoded pictures to keep.
        """
        self._files, self._places = files, places
        self.sizes = places[:, 3:]
        self._room = cache * 1e9
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._bad: set[int] = set()
        self._gone: set[int] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]  # no slices
        """Picture of this number, or the next one that can be decoded.

        Raises:
            FileNotFoundError: none can.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        for i in range(number, number + len(self)):
            picture = self._picture(i % len(self))
            if picture is not None:
                return picture
        raise FileNotFoundError("no picture can be decoded")

    def _picture(self, number: int) -> np.ndarray | None:
        file, offset, length = self._places[number, :3].tolist()
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            if number in self._bad or file in self._gone:
                return None
        # Looked for and decoded without the lock: the threads that cut crops wait for nobody.
        if not Path(self._files[file]).exists():
            with self._lock:
                if file not in self._gone:  # a shard's pictures are told of in one line
                    print(f"skipped {self._files[file]}, which is gone", file=sys.stderr)
                self._gone.add(file)
            return None
        picture = read_picture(self._files[file], offset, length)
        with self._lock:
            if picture is None:
                self._bad.add(number)
                return None
            if number not in self._kept:
                self._room -= picture.nbytes
                self._kept[number] = picture
            while self._room < 0:
                self._room += self._kept.popitem(last=False)[1].nbytes
        return picture


def open_pictures(
    data: str, smallest: int, cache: float | None = None, ranks: Ranks | None = None, progress: bool = False
) -> Sequence[np.ndarray]:
    """RGB pictures (H, W, 3) uint8 with both sides at least `smallest`; what is no picture is skipped.

    Args:
        data: a folder, searched through, with pictures and tar shards of pictures; a shard; or a path
            whose last part has *.
        cache: GB of decoded pictures to keep; None keeps all of a folder, and `SHARD_CACHE` of shards.
        ranks: those that look through the files together.

    Raises:
        FileNotFoundError: no picture is large enough.
    """
    files = find_sources(data)
    if cache is None and not any(name.lower().endswith(TAR) for name in files):
        return load_images(data, smallest, progress)
    ranks = ranks or Ranks()
    mine = range(ranks.number, len(files), ranks.count)
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // ranks.local_count)) as pool:
        found = list(pool.map(lambda i: [(i, *place) for place in _look(files[i])], mine))
    rows = torch.tensor([row for rows in found for row in rows], dtype=torch.int64).reshape(-1, 5)
    places = ranks.gather(rows).numpy()
    places = places[np.lexsort((places[:, 1], places[:, 0]))]
    places = places[places[:, 3:].min(1, initial=1 << 62) >= smallest]
    if not len(places):
        raise FileNotFoundError(f"{data}: no picture has both sides >= {smallest}")
    return StoredPictures(files, places, SHARD_CACHE if cache is None else cache)


def find_sources(data: str) -> list[str]:
    """Sorted paths of the pictures and tar shards that `data` of `open_pictures` stands for.

    Raises:
        FileNotFoundError: there are none.
    """
    # In the order of `load_images`, so that a cache does not change which crops are cut.
    return [str(path) for path in find_images(data, {TAR, *SUFFIXES})]


def _look(path: str) -> Iterator[tuple[int, int, int, int]]:
    """Offset, bytes, height and width of each picture in a file."""
    if not path.lower().endswith(TAR):
        if size := _size(path, path):
            yield FILE, 0, *size
        return
    links: list[str] = []
    try:
        with Path(path).open("rb") as shard, whole_tar():
            for member, content in members(shard, links):
                known = member.name.lower().endswith(tuple(SUFFIXES))
                if known and (size := _size(content, f"{path}: {member.name}")):
                    yield member.offset, member.size, *size
    except (CorruptData, OSError) as error:
        print(f"skipped {path}: {error}", file=sys.stderr)
    if links := [name for name in links if name.lower().endswith(tuple(SUFFIXES))]:
        print(f"skipped {path}: {links[0]}: links are not followed, of {len(links)}", file=sys.stderr)


def _size(file: str | IO[bytes], name: str) -> tuple[int, int] | None:
    """Height and width, from a picture's first bytes; None of what is no picture."""
    try:
        with Image.open(file) as image:
            return image.height, image.width
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  as in `read_picture`
        print(f"skipped {name}: {error}", file=sys.stderr)
        return None
