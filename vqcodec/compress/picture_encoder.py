"""A picture -> the bytes of a .vqc file.

image --prepare--> Prepared --choose a level, encode--> Encoded --PictureEncoder.file--> bytes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import pack_alpha, pack_metadata, write
from vqcodec.bitstream.header import tile_count
from vqcodec.compress.encoded import Encoded, out_of_reach
from vqcodec.image.colour import mean_of_channels
from vqcodec.image.metadata import CHUNK_TYPES, parse_kinds
from vqcodec.image.picture import Picture, load_picture
from vqcodec.metrics import rate_distortion
from vqcodec.types import DEFAULT_LIMITS, LEVEL_MAX, Chunk, Header, Limits, TileProgress

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
        """tile, effort and progress as for `Codec.compress`.

        Raises:
            ValueError: more tiles than a decoder accepts.
        """
        self._encoder, self._decoder, self._ready = encoder, decoder, ready
        self._tile, self._effort, self._progress = tile, effort, progress
        picture = ready.picture
        self._header = Header(
            width=picture.width,
            height=picture.height,
            level=0,
            bitstream_id=encoder.model.bitstream_id,
            gray=picture.gray,
            alpha=picture.alpha is not None,
            tile=tile,
        )
        tiles = tile_count(self._header)
        if tiles > DEFAULT_LIMITS.tiles:
            raise ValueError(f"{tiles} tiles are more than a decoder accepts, use larger ones")
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

    def file(self, encoded: Encoded) -> bytes:
        """The .vqc file."""
        return write(replace(self._header, level=encoded.level), encoded.segments, self._ready.chunks)

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
