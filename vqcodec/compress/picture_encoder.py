"""A prepared picture -> the bytes of a .vqc file.

Prepared --choose a level, encode--> Encoded --PictureEncoder.file--> bytes
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import Written, compose
from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX, NO_MODEL
from vqcodec.bitstream.header import TILE_MAX, TILE_UNIT, tile_count
from vqcodec.compress.drawn_blocks import drawn_mask
from vqcodec.compress.drawn_encoder import LARGE_TILE, MOST_PIXELS, DrawnEncoder
from vqcodec.compress.encoded import Encoded, out_of_reach
from vqcodec.compress.preparing import LABELS, Prepared
from vqcodec.compress.targets import within
from vqcodec.decompress.drawn_grid import DrawnGrid
from vqcodec.errors import TargetTooSmall, UnsuitableOption
from vqcodec.image.colour import mean_of_channels
from vqcodec.image.extremes import extremes_of, snapped
from vqcodec.metrics import rate_distortion
from vqcodec.tiling import Place, pixel_tiles, size
from vqcodec.types import (
    DEFAULT_LIMITS,
    DEFAULT_TILE,
    EFFORT_MAX,
    LEVEL_MAX,
    NEUTRAL,
    Header,
    TileProgress,
)

if TYPE_CHECKING:
    from vqcodec.compress.tile_encoder import TileEncoder
    from vqcodec.decompress.tile_decoder import TileDecoder

REACH_STEP, REACH_STEPS = 36, (18, 9)
"""Levels that are tried where codewords do not reach: by such steps down until it gets worse, then around."""
FILLED = 0.8
"""A file of less than this share of a size that was asked for may be far from the best."""
SAMPLE, PATCH = 512, 128
"""They are tried on a sample of at most so many pixels a side, of patches of so many pixels."""


@dataclass(frozen=True)
class Coded:
    """A coded picture, and the file of it."""

    encoded: Encoded
    file: Written

    def __len__(self) -> int:
        return len(self.file)


@dataclass
class PictureEncoder:
    """Codes one prepared picture at as many levels as it takes.

    Attributes:
        tile, effort, progress, drawn: as for `Codec.compress`.

    Raises:
        ValueError: effort or tile out of range.
        UnsuitableOption: more tiles than a decoder accepts.
    """

    encoder: TileEncoder
    decoder: TileDecoder
    ready: Prepared
    tile: int
    effort: int
    progress: TileProgress | None = None
    drawn: bool = True

    def __post_init__(self) -> None:
        if self.tile % TILE_UNIT or not 0 <= self.tile <= TILE_MAX:
            raise ValueError(f"tile must be 0 or a multiple of {TILE_UNIT} up to {TILE_MAX}, not {self.tile}")
        if not 1 <= self.effort <= EFFORT_MAX:
            raise ValueError(f"effort must be 1 to {EFFORT_MAX}, not {self.effort}")
        self._sampled: dict[int, float] = {}
        picture = self.ready.picture
        self._header = Header(
            width=picture.width,
            height=picture.height,
            level=0,
            bitstream_id=self.encoder.model.bitstream_id,
            gray=picture.gray,
            alpha=picture.alpha is not None,
            tile=self.tile,
            tune=self.encoder.model.tune,
            ignorable=(NEUTRAL if picture.neutral else 0) | extremes_of(picture.pixels),
        )
        tiles = tile_count(self._header)
        if tiles > DEFAULT_LIMITS.tiles:
            raise UnsuitableOption(f"{tiles} tiles are more than a decoder accepts, use larger ones")

        look = functools.cache(functools.partial(drawn_mask, picture.pixels))

        def with_tile(side: int) -> DrawnEncoder:
            return DrawnEncoder(picture, side, self.effort, look, self._networks, self._decoded)

        self._drawn = self._alone = with_tile(self.tile)
        self._alone_tile: int | None = None
        if self.tile == DEFAULT_TILE and max(picture.width, picture.height) > self.tile:
            # What is drawn everywhere takes more in smaller tiles, and a part of it is decoded quickly.
            self._alone, self._alone_tile = with_tile(LARGE_TILE), LARGE_TILE

    def encode(self, level: int) -> Encoded:
        """Encode at `level`, or at the level below it that comes out best if the codewords do not reach.

        Noise can lie beyond the codebooks at the upper end of the dial. There a higher level costs more bits
        for a worse picture.
        """
        encoded = self._encode(level)
        if not out_of_reach(encoded):
            return encoded
        best = self._reached(level)
        return encoded if best == level else self._encode(best)

    def within(self, most: int) -> Written:
        """The best file of at most `most` bytes.

        Raises:
            TargetTooSmall: there is none.
        """
        try:
            found = within(self._coded, most)
        except TargetTooSmall:
            if not (self._may_draw and self._drawn.any_drawn):
                raise
            found = None
        # What is drawn costs what it costs: a little less than that much may leave a large part unused.
        if found is None or (len(found) < FILLED * most and self._partly_drawn(found)):
            others = [found] if found else []
            plain = replace(self, drawn=False)
            with contextlib.suppress(TargetTooSmall):
                others.append(within(plain._coded, most))
            with contextlib.suppress(TargetTooSmall):
                others.append(within(self._lossy, most))
            if not others:
                smallest = min(len(plain._coded(0)), len(self._lossy(0)))
                raise TargetTooSmall(
                    f"quality 0 already needs {smallest} bytes, more than the {most} asked for"
                )
            found = max(others, key=lambda other: self.psnr(other.encoded))
        assert found is not None
        return found.file

    def lossless(self) -> Encoded:
        """Every pixel exact.

        Raises:
            ValueError: tiles are too large for it.
        """
        if not self._alone.possible:
            raise ValueError(
                f"lossless needs tiles of at most {DRAWN_SIDE_MAX} pixels a side and {MOST_PIXELS} in all"
            )
        encoded = replace(self._alone.lossless(LEVEL_MAX), tile=self._alone_tile)
        self._report(encoded)
        return encoded

    def psnr(self, encoded: Encoded) -> float:
        """PSNR in dB, of 8-bit RGB or gray, of what decodes from it."""
        return self._psnr(self.ready.picture.pixels, encoded, self._tile_of(encoded))

    def file(self, encoded: Encoded) -> Written:
        """The .vqc file."""
        header = replace(
            self._header, level=encoded.level, drawn=bool(encoded.drawn), tile=self._tile_of(encoded)
        )
        chunks = self.ready.chunks
        if not encoded.uses_networks:
            header = replace(header, bitstream_id=NO_MODEL)
            chunks = tuple(chunk for chunk in chunks if chunk.type not in LABELS)
        return compose(header, encoded.segments, chunks, encoded.drawn)

    def _tile_of(self, encoded: Encoded) -> int:
        return self.tile if encoded.tile is None else encoded.tile

    @property
    def _may_draw(self) -> bool:
        return self.drawn and self._drawn.possible

    def _partly_drawn(self, coded: Coded) -> bool:
        """Whether more bytes would change anything of what is drawn: not of a picture that is exact."""
        return bool(coded.encoded.drawn) and self.psnr(coded.encoded) < math.inf

    def _coded(self, level: int) -> Coded:
        encoded = self.encode(level)
        return Coded(encoded, self.file(encoded))

    def _lossy(self, level: int) -> Coded:
        encoded = replace(self._alone.lossy(level * 100 // LEVEL_MAX), tile=self._alone_tile)
        return Coded(encoded, self.file(encoded))

    def _encode(self, level: int) -> Encoded:
        if not self._may_draw:
            return self._networks(self.ready.picture.pixels, level)
        alone = self._alone.alone(level)
        encoded = self._drawn.encode(level) if alone is None else replace(alone, tile=self._alone_tile)
        self._report(encoded)
        return encoded

    def _report(self, encoded: Encoded) -> None:
        if self.progress is not None and not encoded.uses_networks:
            self.progress(len(encoded.segments), len(encoded.segments))

    def _networks(self, pixels: NDArray[np.uint8], level: int, compare: bool = False) -> Encoded:
        """Code pixels by the networks, without effort if it is only to compare."""
        return self.encoder.encode(pixels, level, self.tile, 1 if compare else self.effort, self.progress)

    def _decoded(self, encoded: Encoded, place: Place) -> NDArray[np.uint8]:
        """Pixels of a place as the networks decode them."""
        picture, (rows, columns) = self.ready.picture, place
        result = np.empty((*size(place), 3), np.uint8)
        parts = self.decoder.parts(
            encoded.segments,
            width=picture.width,
            height=picture.height,
            level=encoded.level,
            tile=self.tile,
            region=(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start),
        )
        for part, pixels in parts:
            result[part] = pixels
        return result

    def _reached(self, level: int) -> int:
        """The level up to this one whose sample comes out best, from few of them."""
        # The same levels whatever was asked for, so that asking for more never gives less.
        best, below = level, (level - 1) // REACH_STEP * REACH_STEP
        while below >= 0 and self._sample_psnr(below) > self._sample_psnr(best):
            best, below = below, below - REACH_STEP
        for step in REACH_STEPS:
            near = [n for n in (best - step, best, best + step) if 0 <= n <= level]
            best = max(near, key=self._sample_psnr)
        return best

    def _sample_psnr(self, level: int) -> float:
        """PSNR of a sample at a level; effort moves both sides of a comparison alike."""
        if level not in self._sampled:
            pixels = self.ready.picture.pixels
            sample = pixels[np.ix_(*(spread(side) for side in pixels.shape[:2]))]
            self._sampled[level] = self._psnr(sample, self.encoder.encode(sample, level, 0), 0)
        return self._sampled[level]

    def _psnr(self, pixels: NDArray[np.uint8], encoded: Encoded, tile: int) -> float:
        height, width = pixels.shape[:2]
        where = {"width": width, "height": height, "tile": tile}
        whole = [not layers[0] for layers in encoded.segments]
        if encoded.uses_networks:
            coded = [None if alone else layers for alone, layers in zip(whole, encoded.segments, strict=True)]
            decoded = self.decoder.decode(coded, level=encoded.level, **where)
            decoded = snapped(decoded, self._header.ignorable)
        else:
            decoded = np.zeros((height, width, 3), np.uint8)
        if encoded.drawn:
            grid = DrawnGrid(encoded.drawn, whole, **where)
            for place in pixel_tiles(width, height, tile):
                decoded[place] = grid.paste(place, decoded[place])
        if self.ready.picture.gray:
            return rate_distortion.psnr(pixels[:, :, 0], mean_of_channels(decoded))
        return rate_distortion.psnr(pixels, decoded)


def spread(side: int) -> NDArray[np.intp]:
    """Rows or columns of a sample: all of a small picture, else evenly spread runs of them."""
    if side <= SAMPLE:
        return np.arange(side)
    starts = np.linspace(0, side - PATCH, SAMPLE // PATCH).astype(np.intp)
    return (starts[:, None] + np.arange(PATCH)).ravel()
