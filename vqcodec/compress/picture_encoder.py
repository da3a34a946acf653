"""A picture -> the bytes of a .vqc file.

image --prepare--> Prepared --choose a level, encode--> Encoded --PictureEncoder.file--> Compressed
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import pack_alpha, pack_metadata, write
from vqcodec.bitstream.container import CRC_BYTES
from vqcodec.bitstream.header import LAYERS, TILE_UNIT, TILE_UNITS_MAX
from vqcodec.compress.dial import busyness, checked_quality, level_from_quality
from vqcodec.compress.encoded import Encoded, out_of_reach
from vqcodec.compress.targets import reaching, within
from vqcodec.image.colour import mean_of_channels
from vqcodec.image.metadata import CHUNK_TYPES, parse_kinds
from vqcodec.image.picture import Picture, load_picture
from vqcodec.metrics import rate_distortion
from vqcodec.types import DEFAULT_LIMITS, EFFORT_MAX, LEVEL_MAX, Chunk, Header, Limits, TileProgress

if TYPE_CHECKING:
    from vqcodec.compress.tile_encoder import TileEncoder
    from vqcodec.decompress.tile_decoder import TileDecoder
    from vqcodec.weights.loaded import LoadedModel

DEFAULT_QUALITY = 50.0
DEFAULT_TILE = 1024
TILE_MAX = TILE_UNIT * TILE_UNITS_MAX
SAFE_STEP = LEVEL_MAX // 25
"""Distance of the levels that are tried where codewords do not reach."""
SAMPLE, PATCH = 512, 128
"""They are tried on a sample of at most so many pixels a side, of patches of so many pixels."""


@dataclass(frozen=True)
class Prepared:
    """A picture that was read, and its metadata and alpha as chunks: ready to be coded at any quality."""

    picture: Picture
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Compressed:
    """A .vqc file and what it was made from.

    Attributes:
        data: the file.
        layer_ends: offset at which each layer ends.
        notes: remarks on the picture, for people.
    """

    data: bytes
    header: Header
    chunks: tuple[Chunk, ...]
    layer_ends: tuple[int, ...]
    notes: tuple[str, ...]


def prepare(
    image: Any,
    metadata: str | Iterable[str] = "all",
    limits: Limits = DEFAULT_LIMITS,
    strip_gps: bool = False,
) -> Prepared:
    """Read a picture; arguments and errors are those of `Codec.prepare`."""
    picture = load_picture(image, metadata=parse_kinds(metadata), limits=limits)
    if strip_gps:
        picture = replace(picture, metadata=picture.metadata.without_gps())
    blocks = [(kind, getattr(picture.metadata, block)) for block, kind in CHUNK_TYPES.items()]
    chunks = [pack_metadata(kind, raw) for kind, raw in blocks if raw]
    if picture.alpha is not None:
        chunks.append(pack_alpha(picture.alpha.tobytes(), picture.width, picture.height))
    return Prepared(picture, tuple(chunks))


def compress(
    encoder: TileEncoder,
    decoder: TileDecoder,
    image: Any,
    *,
    quality: float | None = None,
    bpp: float | None = None,
    target_size: int | None = None,
    psnr: float | None = None,
    tile: int = DEFAULT_TILE,
    metadata: str | Iterable[str] = "all",
    limits: Limits = DEFAULT_LIMITS,
    label: bool = False,
    effort: int = 1,
    strip_gps: bool = False,
    progress: TileProgress | None = None,
) -> Compressed:
    """Compress a picture with both halves of a model; arguments and errors are those of `Codec.compress`."""
    if sum(option is not None for option in (quality, bpp, target_size, psnr)) > 1:
        raise ValueError("give only one of quality, bpp, target_size and psnr")
    if tile % TILE_UNIT or not 0 <= tile <= TILE_MAX:
        raise ValueError(f"tile must be 0 or a multiple of {TILE_UNIT} up to {TILE_MAX}, not {tile}")
    quality = checked_quality(DEFAULT_QUALITY if quality is None else quality)
    for option, value in (("bpp", bpp), ("target_size", target_size), ("psnr", psnr)):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{option} must be positive, not {value}")
    if not 1 <= effort <= EFFORT_MAX:
        raise ValueError(f"effort must be 1 to {EFFORT_MAX}, not {effort}")
    ready = image if isinstance(image, Prepared) else prepare(image, metadata, limits, strip_gps)
    picture = ready.picture
    tiles = -(-picture.width // tile) * -(-picture.height // tile) if tile else 1
    if tiles > DEFAULT_LIMITS.tiles:
        raise ValueError(f"{tiles} tiles are more than a decoder accepts, use larger ones")
    if label:
        ready = replace(ready, chunks=(*labels(encoder.model), *ready.chunks))
    if bpp is not None:
        target_size = int(bpp * picture.width * picture.height / 8)

    coding = PictureEncoder(encoder, decoder, ready, tile, effort, progress)
    if target_size is not None:
        return within(
            lambda level: coding.file(coding.encode(level)), lambda file: len(file.data), target_size
        )
    if psnr is not None:
        return coding.file(reaching(coding.encode, coding.psnr, psnr))
    return coding.file(coding.encode(level_from_quality(quality, busyness(picture.pixels))))


def labels(model: LoadedModel) -> tuple[Chunk, ...]:
    """The chunks that name a model and its decoder."""
    name = model.name.encode("utf-8")
    named = (Chunk("mODL", name),) if 0 < len(name) <= 64 else ()
    return (*named, Chunk("dECD", model.decoder_id))


class PictureEncoder:
    """Codes one prepared picture at as many levels as it takes."""

    def __init__(
        self,
        encoder: TileEncoder,
        decoder: TileDecoder,
        ready: Prepared,
        tile: int,
        effort: int,
        progress: TileProgress | None = None,
    ) -> None:
        """tile, effort and progress as for `Codec.compress`, checked there."""
        self._encoder, self._decoder, self._ready = encoder, decoder, ready
        self._tile, self._effort, self._progress = tile, effort, progress
        self._sampled: dict[int, float] = {}

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
        return self._psnr(self._ready.picture.pixels, encoded, self._tile)

    def file(self, encoded: Encoded) -> Compressed:
        """The .vqc file."""
        picture, chunks = self._ready.picture, self._ready.chunks
        header = Header(
            width=picture.width,
            height=picture.height,
            level=encoded.level,
            bitstream_id=self._encoder.model.bitstream_id,
            gray=picture.gray,
            alpha=picture.alpha is not None,
            tile=self._tile,
            layers=LAYERS,
        )
        data = write(header, encoded.segments, chunks)
        sizes = [sum(len(tile[layer]) + CRC_BYTES for tile in encoded.segments) for layer in range(LAYERS)]
        ends = tuple(len(data) - sum(sizes[layer + 1 :]) for layer in range(LAYERS))
        return Compressed(data, header, chunks, ends, picture.notes)

    def _encode(self, level: int) -> Encoded:
        pixels = self._ready.picture.pixels
        return self._encoder.encode(pixels, level, self._tile, self._effort, self._progress)

    def _sample_psnr(self, level: int) -> float:
        """PSNR of a sample at a level; effort moves both sides of a comparison alike."""
        if level not in self._sampled:
            pixels = self._ready.picture.pixels
            sample = pixels[np.ix_(*(spread(side) for side in pixels.shape[:2]))]
            self._sampled[level] = self._psnr(sample, self._encoder.encode(sample, level, 0), 0)
        return self._sampled[level]

    def _psnr(self, pixels: NDArray[np.uint8], encoded: Encoded, tile: int) -> float:
        height, width = pixels.shape[:2]
        decoded = self._decoder.decode(
            encoded.segments, width=width, height=height, level=encoded.level, tile=tile
        )
        if self._ready.picture.gray:
            return rate_distortion.psnr(pixels[:, :, 0], mean_of_channels(decoded))
        return rate_distortion.psnr(pixels, decoded)


def spread(side: int) -> NDArray[np.intp]:
    """Rows or columns of a sample: all of a small picture, else evenly spread runs of them."""
    if side <= SAMPLE:
        return np.arange(side)
    starts = np.linspace(0, side - PATCH, SAMPLE // PATCH).astype(np.intp)
    return (starts[:, None] + np.arange(PATCH)).ravel()
