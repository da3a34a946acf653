"""The drawn layer of a file, decoded tile by tile, and pixels of the networks with it on top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from vqcodec.image.webp import Mask, Pixels, read_webp
from vqcodec.tiling import Place, overlap, pixel_tiles, size, within
from vqcodec.types import Region, TileProgress

Parts = Iterable[tuple[Place, Pixels]]
_GRAY = 128


class DrawnGrid:
    """Parts of a picture's drawn layer, to be asked for from top to bottom; passed tiles are dropped."""

    def __init__(
        self, drawn: Sequence[bytes | None], whole: Sequence[bool], *, width: int, height: int, tile: int
    ) -> None:
        """Look at the segments of all tiles.

        Args:
            drawn: of each tile, empty where there is none, None where it is missing.
            whole: tiles that are nothing else; such a one is gray where its segment is missing.
        """
        self._places = list(pixel_tiles(width, height, tile))
        tiles = zip(self._places, drawn, whole, strict=True)
        self._waiting = [(place, data) for place, data, alone in tiles if data or (alone and data is None)]
        self._decoded: list[tuple[Place, Pixels, Mask | None]] = []
        self.size = width, height

    def paste(self, place: Place, pixels: Pixels) -> Pixels:
        """The pixels (h, w, 3) of a place with what is drawn there; tiles that end above it are dropped.

        Raises:
            CorruptData: a segment does not decode.
        """
        self._decoded = [entry for entry in self._decoded if entry[0][0].stop > place[0].start]
        waiting = []
        for tile, data in self._waiting:
            if overlap(tile, place):
                gray = np.broadcast_to(np.uint8(_GRAY), (*size(tile), 3))
                self._decoded.append((tile, *(read_webp(data) if data else (gray, None))))
            elif tile[0].stop > place[0].start:
                waiting.append((tile, data))
        self._waiting = waiting
        shown = None
        for tile, drawn, mask in self._decoded:
            if shared := overlap(tile, place):
                shown = pixels.copy() if shown is None else shown
                here, there = within(shared, place), within(shared, tile)
                shown[here] = (
                    drawn[there]
                    if mask is None
                    else np.where(mask[there][..., None], drawn[there], shown[here])
                )
        return pixels if shown is None else shown

    def over(self, parts: Parts, region: Region | None) -> Iterator[tuple[Place, Pixels]]:
        """Rectangles as they come from the networks, of the picture or a region, with what is drawn on top.

        Raises:
            CorruptData: a segment does not decode.
        """
        x, y = region[:2] if region else (0, 0)
        for (rows, columns), pixels in parts:
            place = slice(rows.start + y, rows.stop + y), slice(columns.start + x, columns.stop + x)
            yield (rows, columns), self.paste(place, pixels)

    def alone(
        self, region: Region | None, progress: TileProgress | None = None
    ) -> Iterator[tuple[Place, Pixels]]:
        """Rectangles of a picture, or of a region, that no networks have a part in.

        Raises:
            CorruptData: a segment does not decode.
        """
        x, y, wide, tall = region or (0, 0, *self.size)
        asked = slice(y, y + tall), slice(x, x + wide)
        needed = [shared for tile in self._places if (shared := overlap(tile, asked))]
        for done, place in enumerate(needed, 1):
            yield within(place, asked), self.paste(place, np.zeros((*size(place), 3), np.uint8))
            if progress is not None:
                progress(done, len(needed))
