"""A picture -> the bytes of a .vqc file.

image --prepare--> Prepared --choose a level, encode--> Encoded --PictureEncoder.file--> bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import Written, compose, pack_alpha, pack_metadata
from vqcodec.bitstream.header import TILE_MAX, TILE_UNIT, tile_count
from vqcodec.compress.encoded import Encoded, out_of_reach
from vqcodec.errors import UnsuitableOption
from vqcodec.image.colour import mean_of_channels
from vqcodec.image.extremes import extremes_of, snapped
from vqcodec.image.metadata import CHUNK_TYPES, parse_kinds
from vqcodec.image.picture import Picture, load_picture
from vqcodec.metrics import rate_distortion
from vqcodec.types import DEFAULT_LIMITS, EFFORT_MAX, LEVEL_MAX, NEUTRAL, Chunk, Header, Limits, TileProgress

if TYPE_CHECKING:
    from vqcodec.compress.tile_encoder import TileEncoder
    from vqcodec.decompress.tile_decoder import TileDecoder
    from vqcodec.weights.loaded import LoadedModel

SAFE_STEP = LEVEL_MAX // 25
"""Distance of the levels that are tried where codewords do not reach."""
SAMPLE, PATCH = 512, 128
"""They are tried on a sample of at most so many pixels a side, of patches of so many pixels."""


@dataclass(frozen=True)
class Prepared:
    """A picture that was read, and its metadata and alpha as chunks: ready to be coded at any quality."""

    picture: Picture
    chunks: tuple[Chunk, ...]


def prepare(
    image: Any,
    metadata: str | Iterable[str] = "all",
    limits: Limits = DEFAULT_LIMITS,
    strip_gps: bool = False,
    allow_partial: bool = False,
) -> Prepared:
    """Read a picture; arguments and errors are those of `Codec.prepare`."""
    kinds = parse_kinds(metadata)
    picture = load_picture(image, metadata=kinds, limits=limits, allow_partial=allow_partial)
    if strip_gps:
        stripped = picture.metadata.without_gps()
        unread = [f"{kind} block cannot be read, not kept" for kind in stripped.missing(picture.metadata)]
        picture = replace(picture, metadata=stripped, notes=(*picture.notes, *unread))
    blocks = [(kind, getattr(picture.metadata, block)) for block, kind in CHUNK_TYPES.items()]
    chunks = [pack_metadata(kind, raw) for kind, raw in blocks if raw]
    if picture.alpha is not None:
        chunks.append(pack_alpha(picture.alpha.tobytes(), picture.width, picture.height))
    return Prepared(picture, tuple(chunks))


def labels(model: LoadedModel) -> tuple[Chunk, ...]:
    """The chunks that name a model and its decoder."""
    name = model.name.encode("utf-8")
    named = (Chunk("mODL", name),) if 0 < len(name) <= 64 else ()
    return (*named, Chunk("dECD", model.decoder_id))


@dataclass
class PictureEncoder:
    """Codes one prepared picture at as many levels as it takes.

    Attributes:
        tile, effort, progress: as for `Codec.compress`.

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

    def encode(self, level: int) -> Encoded:
        """Encode at `level`, or at the level below it that comes out best if the codewords do not reach.

        Text, single-pixel patterns and noise can lie beyond the codebooks at the upper end of the dial. There
        a higher level costs more bits for a worse picture.
        """
        encoded = self._encode(level)
        if not out_of_reach(encoded):
            return encoded
        # The same levels whatever was asked for, so that asking for more never gives less.
        best = max((*range(0, level, SAFE_STEP), level), key=self._sample_psnr)
        return encoded if best == level else self._encode(best)

    def psnr(self, encoded: Encoded) -> float:
        """PSNR in dB, of 8-bit RGB or gray, of what decodes from it."""
        return self._psnr(self.ready.picture.pixels, encoded, self.tile)

    def file(self, encoded: Encoded) -> Written:
        """The .vqc file."""
        return compose(replace(self._header, level=encoded.level), encoded.segments, self.ready.chunks)

    def _encode(self, level: int) -> Encoded:
        pixels = self.ready.picture.pixels
        return self.encoder.encode(pixels, level, self.tile, self.effort, self.progress)

    def _sample_psnr(self, level: int) -> float:
        """PSNR of a sample at a level; effort moves both sides of a comparison alike."""
        if level not in self._sampled:
            pixels = self.ready.picture.pixels
            sample = pixels[np.ix_(*(spread(side) for side in pixels.shape[:2]))]
            self._sampled[level] = self._psnr(sample, self.encoder.encode(sample, level, 0), 0)
        return self._sampled[level]

    def _psnr(self, pixels: NDArray[np.uint8], encoded: Encoded, tile: int) -> float:
        height, width = pixels.shape[:2]
        decoded = self.decoder.decode(
            encoded.segments, width=width, height=height, level=encoded.level, tile=tile
        )
        decoded = snapped(decoded, self._header.ignorable)
        if self.ready.picture.gray:
            return rate_distortion.psnr(pixels[:, :, 0], mean_of_channels(decoded))
        return rate_distortion.psnr(pixels, decoded)


def spread(side: int) -> NDArray[np.intp]:
    """Rows or columns of a sample: all of a small picture, else evenly spread runs of them."""
    if side <= SAMPLE:
        return np.arange(side)
    starts = np.linspace(0, side - PATCH, SAMPLE // PATCH).astype(np.intp)
    return (starts[:, None] + np.arange(PATCH)).ravel()
