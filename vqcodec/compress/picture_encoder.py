"""A picture -> the bytes of a .vqc file: analysed once, then coded at as many levels as it takes.

image --prepare--> Prepared --FileEncoder.encode--> level, segments --FileEncoder.file--> bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import pack_alpha, pack_metadata, write
from vqcodec.image.colour import mean_of_channels
from vqcodec.image.metadata import CHUNK_TYPES, parse_kinds
from vqcodec.image.picture import Picture, load_picture
from vqcodec.interface import Segments
from vqcodec.metrics import rate_distortion
from vqcodec.types import LEVEL_MAX, Chunk, Header, Limits, TileProgress

SAFE_STEP = LEVEL_MAX // 25
"""Distance of the levels that are tried where codewords do not reach."""
SAMPLE, PATCH = 512, 128
"""They are tried on a sample of at most so many pixels a side, of patches of so many pixels."""

Coded = tuple[int, list[list[bytes]]]
"""The level that a picture was coded at, and its segments [tile][layer]."""


@dataclass(frozen=True)
class Prepared:
    """A picture after the analysis transform, ready to be coded at any number of qualities."""

    picture: Picture
    analysis: Any
    chunks: tuple[Chunk, ...]


def prepare(
    segments: Segments, image: Any, metadata: str | Iterable[str], limits: Limits, strip_gps: bool
) -> Prepared:
    """Read and analyse a picture; arguments and errors are those of `Codec.prepare`."""
    picture = load_picture(image, metadata=parse_kinds(metadata), limits=limits)
    if strip_gps:
        picture = replace(picture, metadata=picture.metadata.without_gps())
    blocks = [(kind, getattr(picture.metadata, block)) for block, kind in CHUNK_TYPES.items()]
    chunks = [pack_metadata(kind, raw) for kind, raw in blocks if raw]
    if picture.alpha is not None:
        chunks.append(pack_alpha(picture.alpha.tobytes(), picture.width, picture.height))
    return Prepared(picture, segments.analyse(picture.pixels), tuple(chunks))


def labels(segments: Segments) -> tuple[Chunk, ...]:
    """The chunks that name a model and its decoder."""
    name = segments.name.encode("utf-8")
    named = (Chunk("mODL", name),) if 0 < len(name) <= 64 else ()
    return (*named, Chunk("dECD", segments.decoder_id))


class FileEncoder:
    """A prepared picture on its way to a file."""

    def __init__(
        self,
        segments: Segments,
        ready: Prepared,
        tile: int,
        effort: int,
        progress: TileProgress | None = None,
    ) -> None:
        """tile, effort and progress as for `Codec.compress`, checked there."""
        self._segments, self._ready, self._tile, self._effort = segments, ready, tile, effort
        self._progress = progress
        self._sample: NDArray[np.uint8] | None = None
        self._sampled: Any = None
        self._tried: dict[int, float] = {}

    def encode(self, level: int) -> Coded:
        """Encode at `level`, or at the level below it that comes out best if the codewords do not reach.

        Text, single-pixel patterns and noise can lie beyond the codebooks at the upper end of the dial. There
        a higher level costs more bits for a worse picture.
        """
        coded = self._encode(level)
        if not self._segments.overloaded(self._ready.analysis, level):
            return coded
        # The same levels whatever was asked for, so that asking for more never gives less.
        best = max((*range(0, level, SAFE_STEP), level), key=self._sample_psnr)
        return coded if best == level else self._encode(best)

    def psnr(self, coded: Coded) -> float:
        """PSNR in dB, of 8-bit RGB or gray, of what decodes from it."""
        return self._psnr(self._ready.picture.pixels, *coded, self._tile)

    def file(self, coded: Coded) -> bytes:
        """The bytes of the .vqc file."""
        level, segments = coded
        picture = self._ready.picture
        header = Header(
            width=picture.width,
            height=picture.height,
            level=level,
            bitstream_id=self._segments.bitstream_id,
            gray=picture.gray,
            alpha=picture.alpha is not None,
            tile=self._tile,
            layers=self._segments.layers,
        )
        return write(header, segments, self._ready.chunks)

    def _encode(self, level: int) -> Coded:
        analysis = self._ready.analysis
        return level, self._segments.encode(analysis, level, self._tile, self._effort, self._progress)

    def _sample_psnr(self, level: int) -> float:
        """PSNR of the sample at a level; effort moves both sides of a comparison alike."""
        if self._sample is None:
            pixels = self._ready.picture.pixels
            self._sample = pixels[np.ix_(*(spread(side) for side in pixels.shape[:2]))]
            self._sampled = self._segments.analyse(self._sample)
        if level not in self._tried:
            segments = self._segments.encode(self._sampled, level, 0)
            self._tried[level] = self._psnr(self._sample, level, segments, 0)
        return self._tried[level]

    def _psnr(self, pixels: NDArray[np.uint8], level: int, segments: list[list[bytes]], tile: int) -> float:
        height, width = pixels.shape[:2]
        decoded = self._segments.decode(segments, width=width, height=height, level=level, tile=tile)
        if self._ready.picture.gray:
            return rate_distortion.psnr(pixels[:, :, 0], mean_of_channels(decoded))
        return rate_distortion.psnr(pixels, decoded)


def spread(side: int) -> NDArray[np.intp]:
    """Rows or columns of a sample: all of a small picture, else evenly spread runs of them."""
    if side <= SAMPLE:
        return np.arange(side)
    starts = np.linspace(0, side - PATCH, SAMPLE // PATCH).astype(np.intp)
    return (starts[:, None] + np.arange(PATCH)).ravel()
