"""A prepared picture -> the bytes of a .vqc file.

Prepared --choose a level, encode--> Encoded --PictureEncoder.file--> bytes

The level is the user's quality, or found by `vqcodec.compress.aims`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vqcodec.bitstream import Written, compose
from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX, NO_MODEL
from vqcodec.bitstream.header import TILE_MAX, TILE_UNIT, bare_header, tile_count
from vqcodec.compress.drawn_blocks import LARGE_TILE, drawn_mask
from vqcodec.compress.drawn_encoder import DrawnEncoder
from vqcodec.compress.drawn_plan import Plan
from vqcodec.compress.encoded import Encoded
from vqcodec.compress.lossless_guess import LosslessGuess
from vqcodec.compress.preparing import LABELS, Prepared
from vqcodec.compress.reach import best_level, out_of_reach, sample_of
from vqcodec.decompress.layering import layered
from vqcodec.errors import UnsuitableOption
from vqcodec.image.colour import mean_of_channels
from vqcodec.image.extremes import extremes_of
from vqcodec.image.transparency import plain_invisible
from vqcodec.image.webp import MOST_PIXELS, Pixels
from vqcodec.metrics import rate_distortion
from vqcodec.tiling import Place
from vqcodec.types import (
    DEFAULT_LIMITS,
    DEFAULT_TILE,
    EFFORT_MAX,
    LEVEL_MAX,
    NEUTRAL,
    Header,
    Region,
    TileProgress,
)

if TYPE_CHECKING:
    from vqcodec.compress.tile_encoder import TileEncoder
    from vqcodec.decompress.tile_decoder import TileDecoder


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
        plain = self._plain_where_invisible() if self.drawn else self.ready
        if plain is not self.ready and _all_drawn(plain.picture.pixels):
            self.ready = plain
        picture = self.ready.picture
        look = functools.cache(functools.partial(drawn_mask, picture.pixels))
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

        def with_tile(side: int) -> DrawnEncoder:
            return DrawnEncoder(picture, side, self.tile, self.effort, look, self._networks, self._decoded)

        self._guess = LosslessGuess(picture.pixels)
        self._drawn = self._alone = with_tile(self.tile)
        if self.tile == DEFAULT_TILE and max(picture.width, picture.height) > self.tile:
            # What is drawn everywhere takes more in smaller tiles, and a part of it is decoded quickly.
            self._alone = with_tile(LARGE_TILE)

    @property
    def any_drawn(self) -> bool:
        """Whether something is drawn, and may be coded as that."""
        return self.drawn and self._drawn.possible and self._drawn.any_drawn

    def encode(self, level: int) -> Encoded:
        """Encode at `level`, or at the level below it that comes out best if the codewords do not reach.

        Noise can lie beyond the codebooks at the upper end of the dial. There a higher level costs more bits
        for a worse picture. No file is larger than a lossless one.
        """
        if not self.any_drawn:
            return self._within_reach(self._plainly, level)
        return self.follow(self.plan(level), level)

    def plan(self, level: int) -> Plan:
        """How to code a picture with drawn parts at a level."""
        return self._alone.alone(level) or self._drawn.plan(level)

    def follow(self, plan: Plan, level: int) -> Encoded:
        """The same as `encode`, with the coders that a plan tells."""
        return self._within_reach(functools.partial(self._planned, plan), level)

    def lossy(self, level: int) -> Encoded:
        """All by lossy WebP, at a quality that is not the networks' at this level."""
        return self._reported(self._alone.lossy(level * 100 // LEVEL_MAX))

    def lossless(self) -> Encoded:
        """Every pixel exact.

        Raises:
            UnsuitableOption: tiles are too large for it.
        """
        if not self.may_be_exact:
            raise UnsuitableOption(
                f"lossless needs tiles of at most {DRAWN_SIDE_MAX} pixels a side and {MOST_PIXELS} in all"
            )
        return self._reported(self._exact()._alone.lossless(LEVEL_MAX))

    @property
    def may_be_exact(self) -> bool:
        """Whether tiles are small enough for WebP."""
        return self._alone.possible

    def lossless_within(self, level: int, most: int) -> Encoded | None:
        """Every pixel exact, if the segments have at most so many bytes."""
        if not (self.may_be_exact and self._guess.hopeful(most)):
            return None
        exact = self._exact()._alone.lossless_within(level, most, self._guess)
        return exact and self._reported(exact)

    def _exact(self) -> PictureEncoder:
        """What codes the picture exactly."""
        plain = self._plain_where_invisible()
        return self if plain is self.ready else replace(self, ready=plain)

    def _plain_where_invisible(self) -> Prepared:
        """With what is invisible in one colour, which suits WebP as a smooth continuation does networks."""
        picture = self.ready.picture
        if picture.alpha is None or picture.alpha.all():
            return self.ready
        pixels = plain_invisible(picture.pixels, picture.alpha)
        same = np.array_equal(pixels, picture.pixels)
        return self.ready if same else replace(self.ready, picture=replace(picture, pixels=pixels))

    def psnr(self, encoded: Encoded) -> float:
        """PSNR in dB, of 8-bit RGB or gray, of what decodes from it."""
        return self._psnr(self.ready.picture.pixels, encoded, self._header_of(encoded))

    def file(self, encoded: Encoded) -> Written:
        """The .vqc file."""
        header, chunks = self._header_of(encoded), self.ready.chunks
        if not encoded.uses_networks:
            header = replace(header, bitstream_id=NO_MODEL, ignorable=header.ignorable & NEUTRAL)
            chunks = tuple(chunk for chunk in chunks if chunk.type not in LABELS)
        return compose(header, encoded.segments, chunks, encoded.drawn)

    def _header_of(self, encoded: Encoded) -> Header:
        tile = self.tile if encoded.tile is None else encoded.tile
        header = replace(self._header, level=encoded.level, drawn=bool(encoded.drawn), tile=tile)
        return bare_header(header) if encoded.bare else header

    def _within_reach(self, encode: Callable[[int], Encoded], level: int) -> Encoded:
        encoded = encode(level)
        if not out_of_reach(encoded):
            return encoded
        best = best_level(level, self._sample_psnr)
        return encoded if best == level else encode(best)

    def _plainly(self, level: int) -> Encoded:
        return self._no_larger_than_exact(self._networks(self.ready.picture.pixels, level))

    def _planned(self, plan: Plan, level: int) -> Encoded:
        encoded = plan.coder.follow(plan, level)
        return self._no_larger_than_exact(encoded) if encoded.uses_networks else self._reported(encoded)

    def _no_larger_than_exact(self, encoded: Encoded) -> Encoded:
        exact = self.lossless_within(encoded.level, encoded.size) if self.drawn else None
        return exact or encoded

    def _reported(self, encoded: Encoded) -> Encoded:
        """Tell the progress of what the networks have no part in."""
        if self.progress is not None:
            self.progress(len(encoded.segments), len(encoded.segments))
        return encoded

    def _networks(self, pixels: Pixels, level: int, compare: bool = False) -> Encoded:
        """Code pixels by the networks, without effort if it is only to compare."""
        return self.encoder.encode(pixels, level, self.tile, 1 if compare else self.effort, self.progress)

    def _decoded(self, encoded: Encoded, place: Place) -> Pixels:
        """Pixels of a place as the networks decode them."""
        rows, columns = place
        region = columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
        return self._shown(encoded, self._header_of(encoded), region)

    def _sample_psnr(self, level: int) -> float:
        """PSNR of a sample at a level; effort moves both sides of a comparison alike."""
        if level not in self._sampled:
            sample = sample_of(self.ready.picture.pixels)
            height, width = sample.shape[:2]
            header = replace(self._header, level=level, width=width, height=height, tile=0)
            self._sampled[level] = self._psnr(sample, self.encoder.encode(sample, level, 0), header)
        return self._sampled[level]

    def _psnr(self, pixels: Pixels, encoded: Encoded, header: Header) -> float:
        decoded = self._shown(encoded, header)
        if header.gray:
            return rate_distortion.psnr(pixels[:, :, 0], mean_of_channels(decoded))
        return rate_distortion.psnr(pixels, decoded)

    def _shown(self, encoded: Encoded, header: Header, region: Region | None = None) -> Pixels:
        """Pixels of a picture, or of a region of it, as they will be decoded."""
        decoder = self.decoder if encoded.uses_networks else None
        whole = [not layers[0] for layers in encoded.segments]
        width, height = region[2:] if region else (header.width, header.height)
        shown = np.empty((height, width, 3), np.uint8)
        for place, pixels in layered(decoder, header, encoded.segments, encoded.drawn, whole, region=region):
            shown[place] = pixels
        return shown


def _all_drawn(pixels: Pixels) -> bool:
    mask = drawn_mask(pixels)
    return mask is not None and bool(mask.all())
