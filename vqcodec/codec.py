"""The only place where both halves meet: pictures -> segments (torch) -> a .vqc file (bytes), and back.

compress:    image --load_picture--> Picture --analyse--> Prepared --encode--> segments --write--> bytes
decompress:  bytes --parse--> segments --decode--> pixels --to_pil--> image

`vqcodec.compress.picture_encoder` and `vqcodec.decompress.picture_decoder` are the two lines; here is what
users call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream.header import TILE_UNIT, TILE_UNITS_MAX
from vqcodec.compress.dial import busyness, checked_quality, level_from_quality
from vqcodec.compress.picture_encoder import FileEncoder, Prepared, labels, prepare
from vqcodec.compress.targets import reaching, within
from vqcodec.decompress.picture_decoder import DecodeKeywords, DecodeOptions, checked_realism, decode
from vqcodec.files import PathLike, Source, same_file, write_atomic
from vqcodec.image.saving import encode_image, format_for
from vqcodec.interface import Segments
from vqcodec.probing import describe, probe
from vqcodec.types import DEFAULT_LIMITS, EFFORT_MAX, ImageInfo, Limits, TileProgress

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing has it from Python 3.11 on

__all__ = ["DEFAULT_QUALITY", "DEFAULT_TILE", "TILE_MAX", "Codec", "Prepared", "Segments"]

DEFAULT_QUALITY = 50.0
DEFAULT_TILE = 1024
TILE_MAX = TILE_UNIT * TILE_UNITS_MAX


class Codec:
    """A loaded model. Immutable, so one instance may compress and decompress in several threads at once."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._segments.name

    @property
    def bitstream_id(self) -> str:
        """Fingerprint of codebooks and tables, 16 hex digits: files carry it, and only equal ones decode."""
        return self._segments.bitstream_id.hex()

    @property
    def decoder_id(self) -> str:
        """Fingerprint of the synthesis weights, 16 hex digits."""
        return self._segments.decoder_id.hex()

    @property
    def realism_id(self) -> str:
        """Fingerprint of the perceptual decoder, 16 hex digits; empty if the model has none."""
        return self._segments.realism_id.hex()

    @property
    def segments(self) -> Segments:
        """The neural and entropy half, for what looks inside it (`vqcodec.inspect`)."""
        return self._segments

    def prepare(
        self,
        image: Any,
        *,
        metadata: str | Iterable[str] = "all",
        limits: Limits = DEFAULT_LIMITS,
        strip_gps: bool = False,
    ) -> Prepared:
        """Read and analyse a picture once, for several `compress` or `encode` calls.

        Args:
            image: a path, bytes, a binary file, a PIL image, or a uint8 array (H, W), (H, W, 3) or (H, W, 4).
            metadata: "all", "none" or a list of icc, exif, xmp. Without icc, pixels are converted to sRGB.
            limits: the largest picture and metadata accepted.
            strip_gps: leave out where the picture was taken, from EXIF and XMP.

        Raises:
            OSError: the file cannot be read.
            UnsupportedImage: not a picture, damaged, too large, or of an undefined kind.
            ValueError: bad `metadata`.
        """
        return prepare(self._segments, image, metadata, limits, strip_gps)

    def compress(
        self,
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
    ) -> bytes:
        """Compress a picture to the bytes of a .vqc file.

        Args:
            image: anything `prepare` takes, or its result (its own arguments were decided there).
            quality: 0..100, higher is better; 50 unless one of the next three is given. Busy pictures are
                coded a little lower for it, smooth ones a little higher, see `vqcodec.compress.dial`.
            bpp: the highest quality, of six tried, whose whole file has at most this many bits per pixel.
            target_size: the same for this many bytes.
            psnr: the lowest quality, of six tried, whose PSNR (dB, 8-bit RGB) is at least this.
            tile: side of independently coded tiles, a multiple of 64 up to 65472; 0 codes the picture whole.
            metadata: as for `prepare`.
            limits: as for `prepare`.
            strip_gps: as for `prepare`.
            effort: 1 to 9; above 1 the encoder searches for a file that is better for its size: for 3 to 10
                times as long up to 4, then for far longer.
            label: also write the model's name and decoder fingerprint (about 40 bytes), for `info` only.
            progress: called with (tiles done, tiles) after each; anew for every quality that is tried.
                Efforts 2 to 4 code every tile two to six times, and count them all.

        Raises:
            OSError, UnsupportedImage: as for `prepare`.
            TargetTooSmall: even quality 0 is larger than `bpp` or `target_size` allows.
            TargetTooHigh: even quality 100 falls short of `psnr`.
            ValueError: an option out of range, or more than one of quality, bpp, target_size and psnr.
        """
        if sum(option is not None for option in (quality, bpp, target_size, psnr)) > 1:
            raise ValueError("give only one of quality, bpp, target_size and psnr")
        if tile % TILE_UNIT or not 0 <= tile <= TILE_MAX:
            raise ValueError(f"tile must be 0 or a multiple of {TILE_UNIT} up to {TILE_MAX}, not {tile}")
        quality = checked_quality(DEFAULT_QUALITY if quality is None else quality)
        for option, value in (("bpp", bpp), ("target_size", target_size), ("psnr", psnr)):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{option} must be positive, not {value}")
        ready = image
        if not isinstance(image, Prepared):
            ready = self.prepare(image, metadata=metadata, limits=limits, strip_gps=strip_gps)
        picture = ready.picture
        tiles = -(-picture.width // tile) * -(-picture.height // tile) if tile else 1
        if tiles > DEFAULT_LIMITS.tiles:
            raise ValueError(f"{tiles} tiles are more than a decoder accepts, use larger ones")
        if not 1 <= effort <= EFFORT_MAX:
            raise ValueError(f"effort must be 1 to {EFFORT_MAX}, not {effort}")
        if label:
            ready = replace(ready, chunks=(*labels(self._segments), *ready.chunks))
        encoder = FileEncoder(self._segments, ready, tile, effort, progress)
        if bpp is not None:
            target_size = int(bpp * picture.width * picture.height / 8)
        if target_size is not None:
            return within(lambda tried: encoder.file(encoder.encode(tried)), target_size)
        if psnr is not None:
            return encoder.file(reaching(encoder.encode, encoder.psnr, psnr))
        return encoder.file(encoder.encode(level_from_quality(quality, busyness(picture.pixels))))

    def decompress(self, data: Source, **options: Unpack[DecodeKeywords]) -> Image.Image:
        """Decompress a .vqc file to a picture of mode L, LA, RGB or RGBA.

        ICC, EXIF and XMP blocks are in its `info`, under Pillow's names; `info["vqc_complete"]` is False when
        `allow_partial` let a cut file pass.

        Args:
            data: a path, bytes or a binary file.
            options: any of the following.
            metadata: the blocks to keep, "all", "none" or a list of icc, exif, xmp; all unless given. Without
                icc, pixels are converted to sRGB.
            allow_partial: decode what is whole of a file that ends early; missing layers take their mean.
            limits: a `Limits` with bounds that are checked before anything is allocated.
            realism: 0 (nearest to the original) to 1 (texture made up where it was lost); the same bits.
            region: (x, y, width, height) in pixels; only this part, and only the tiles that it needs.
            preview: 1 or 2, how many of the file's layers to use. 1 is the coarse layer of the whole picture,
                a quarter of its blocks and a guess at the others; no more than the beginning of the file that
                holds it is read, and need be there. 2 is everything.
            progress: called with (parts done, parts) of the picture after each part.

        Raises:
            OSError: the file cannot be read.
            FormatError: not a .vqc file, damaged, cut short, over the limits, or too new.
            ModelMismatch: the file was written with another model.
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
            ValueError: bad `metadata`, `realism` or `preview`, or `region` is not within the picture.
        """
        return decode(self._segments, data, DecodeOptions(**options)).image

    def compress_with_info(self, image: Any, **options: Any) -> tuple[bytes, ImageInfo]:
        """As `compress`, with a description of the file beside its bytes."""
        start = time.perf_counter()
        given = {k: options.pop(k) for k in ("metadata", "limits", "strip_gps") if k in options}
        ready = self.prepare(image, **given)
        data = self.compress(ready, **options)
        info = probe(data, limits=Limits(0, 0, 0, 0))
        return data, replace(info, seconds=time.perf_counter() - start, notes=ready.picture.notes)

    def compress_file(self, src: Any, dst: PathLike, **options: Any) -> ImageInfo:
        """Compress `src` to the file `dst`, replacing it atomically; `options` as for `compress`.

        Raises:
            ValueError: both are the same file, or a bad option; otherwise as `compress`.
        """
        _refuse_same(src, dst)
        data, info = self.compress_with_info(src, **options)
        write_atomic(dst, data)
        return info

    def decompress_file(
        self,
        src: Source,
        dst: PathLike,
        *,
        picture_format: str | None = None,
        **options: Unpack[DecodeKeywords],
    ) -> ImageInfo:
        """Decompress `src` to the picture file `dst`, replacing it atomically.

        Args:
            src: a path, bytes or a binary file.
            dst: the picture to write; its suffix decides the format.
            picture_format: e.g. "png" or "jpeg", instead of the suffix.
            options: as for `decompress`.

        Raises:
            ValueError: unknown format, or both are the same file; otherwise as `decompress`.
        """
        _refuse_same(src, dst)
        start = time.perf_counter()
        encoded, info = self.transcode(src, format_for(dst, picture_format), **options)
        write_atomic(dst, encoded)
        return replace(info, seconds=time.perf_counter() - start)

    def transcode(self, src: Source, kind: str, **options: Unpack[DecodeKeywords]) -> tuple[bytes, ImageInfo]:
        """Decompress to the bytes of a picture file of Pillow format `kind`; the rest as `decompress`."""
        start = time.perf_counter()
        found = decode(self._segments, src, DecodeOptions(**options))
        encoded, more = encode_image(found.image, kind)
        info = describe(
            found.container.header,
            found.container.chunks,
            found.size,
            complete=found.container.complete,
            seconds=time.perf_counter() - start,
            notes=(*found.notes, *more),
        )
        return encoded, info

    def encode(
        self, prepared: Prepared, level: int, tile: int = DEFAULT_TILE, effort: int = 1
    ) -> list[list[bytes]]:
        """Entropy coded segments [tile][layer] of a prepared picture at level 0..252."""
        return self._segments.encode(prepared.analysis, level, tile, effort)

    def decode(
        self,
        segments: Sequence[Sequence[bytes | None]],
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
    ) -> NDArray[np.uint8]:
        """Pixels uint8 (H, W, 3) of segments [tile][layer]; None stands for a missing layer.

        Raises:
            CorruptData: a segment does not decode.
        """
        return self._segments.decode(
            segments, width=width, height=height, level=level, tile=tile, realism=checked_realism(realism)
        )


def _refuse_same(src: Any, dst: PathLike) -> None:
    if isinstance(src, (str, os.PathLike)) and same_file(Path(src), Path(dst)):
        raise ValueError(f"{dst}: source and destination are the same file")
