"""The only place where both halves meet: pictures -> segments (torch) -> a .vqc file (bytes), and back.

compress:    image --load_picture--> Picture --analyse--> Prepared --encode--> segments --write--> bytes
decompress:  bytes --parse--> segments --decode--> pixels --to_pil--> image
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec import metrics
from vqcodec.bitstream import pack_alpha, pack_metadata, parse, unpack_alpha, unpack_metadata, write
from vqcodec.bitstream.container import Container
from vqcodec.bitstream.header import TILE_UNIT, TILE_UNITS_MAX
from vqcodec.errors import ModelMismatch
from vqcodec.files import PathLike, Source, read_source, same_file, write_atomic
from vqcodec.image import Picture, load_picture, to_pil
from vqcodec.imagesave import encode_image, format_for
from vqcodec.inspection import DEFAULT_LIMITS, describe, probe
from vqcodec.metadata import Metadata, parse_kinds
from vqcodec.targets import reaching, within
from vqcodec.types import EFFORT_MAX, LEVEL_MAX, Chunk, Header, ImageInfo, Limits, Region, level_from_quality

DEFAULT_QUALITY = 50.0
DEFAULT_TILE = 1024
SAFE_STEP = LEVEL_MAX // 12
"""Distance of the levels that are tried where codewords do not reach."""
TILE_MAX = TILE_UNIT * TILE_UNITS_MAX
_BLOCK_TYPES = {"icc": "iCCP", "exif": "eXIF", "xmp": "xMPd"}


class Segments(Protocol):
    """The neural and entropy half, `vqcodec.segments.SegmentCodec`, as this module sees it."""

    name: str
    bitstream_id: bytes
    decoder_id: bytes
    realism_id: bytes
    layers: int

    def analyse(self, pixels: NDArray[np.uint8]) -> Any:
        """Run everything that does not depend on the level; pixels uint8 (H, W, 3)."""

    def encode(self, analysis: Any, level: int, tile: int, effort: int = 1) -> list[list[bytes]]:
        """Return [tile][layer] segments."""

    def overloaded(self, analysis: Any, level: int) -> bool:
        """Was the picture, encoded at `level`, beyond the reach of the codewords?"""

    def decode(
        self,
        segments: Sequence[Sequence[bytes | None]],
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
        region: Region | None = None,
    ) -> NDArray[np.uint8]:
        """Return uint8 (H, W, 3) of the picture, or of a part that lies within it."""


@dataclass(frozen=True)
class Prepared:
    """A picture after the analysis transform, ready to be coded at any number of qualities."""

    picture: Picture
    analysis: Any
    chunks: tuple[Chunk, ...]


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
        """The neural and entropy half, for what looks inside it (`vqcodec.atlas`, `vqcodec.bits`)."""
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
        picture = load_picture(image, metadata=parse_kinds(metadata), limits=limits)
        if strip_gps:
            picture = replace(picture, metadata=picture.metadata.without_gps())
        blocks = [(kind, getattr(picture.metadata, block)) for block, kind in _BLOCK_TYPES.items()]
        chunks = [pack_metadata(kind, raw) for kind, raw in blocks if raw]
        if picture.alpha is not None:
            chunks.append(pack_alpha(picture.alpha.tobytes(), picture.width, picture.height))
        return Prepared(picture, self._segments.analyse(picture.pixels), tuple(chunks))

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
    ) -> bytes:
        """Compress a picture to the bytes of a .vqc file.

        Args:
            image: anything `prepare` takes, or its result (its own arguments were decided there).
            quality: 0..100, higher is better; 50 unless one of the next three is given.
            bpp: the highest quality, of six tried, whose whole file has at most this many bits per pixel.
            target_size: the same for this many bytes.
            psnr: the lowest quality, of six tried, whose PSNR (dB, 8-bit RGB) is at least this.
            tile: side of independently coded tiles, a multiple of 64 up to 65472; 0 codes the picture whole.
            metadata: as for `prepare`.
            limits: as for `prepare`.
            strip_gps: as for `prepare`.
            effort: 1 to 9; above 1 the encoder searches, slowly, for a file that is better for its size.
            label: also write the model's name and decoder fingerprint (about 40 bytes), for `info` only.

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
        level = level_from_quality(DEFAULT_QUALITY if quality is None else quality)
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
            ready = replace(ready, chunks=(*self._labels(), *ready.chunks))
        if bpp is not None:
            target_size = int(bpp * picture.width * picture.height / 8)
        if target_size is not None:
            return within(lambda tried: self._assemble(ready, tried, tile, effort), target_size)
        if psnr is not None:
            coded = reaching(
                lambda tried: self._encode_safely(ready, tried, tile, effort),
                lambda coded: self._psnr(ready, tile, *coded),
                psnr,
            )
            return self._file(ready, tile, *coded)
        return self._assemble(ready, level, tile, effort)

    def decompress(
        self,
        data: Source,
        *,
        metadata: str | Iterable[str] = "all",
        allow_partial: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        realism: float = 0.0,
        region: Region | None = None,
    ) -> Image.Image:
        """Decompress a .vqc file to a picture of mode L, LA, RGB or RGBA.

        ICC, EXIF and XMP blocks are in its `info`, under Pillow's names; `info["vqc_complete"]` is False when
        `allow_partial` let a cut file pass.

        Args:
            data: a path, bytes or a binary file.
            metadata: the blocks to keep. Without icc, pixels are converted to sRGB.
            allow_partial: decode what is whole of a file that ends early; missing layers take their mean.
            limits: bounds checked before anything is allocated.
            realism: 0 (nearest to the original) to 1 (texture made up where it was lost); the same bits.
            region: (x, y, width, height) in pixels; only this part, and only the tiles that it needs.

        Raises:
            OSError: the file cannot be read.
            FormatError: not a .vqc file, damaged, cut short, over the limits, or too new.
            ModelMismatch: the file was written with another model.
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
            ValueError: bad `metadata` or `realism`, or `region` is not within the picture.
        """
        return self._decode(read_source(data), metadata, allow_partial, limits, realism, region)[0]

    def compress_file(self, src: Any, dst: PathLike, **options: Any) -> ImageInfo:
        """Compress `src` to the file `dst`, replacing it atomically; `options` as for `compress`.

        Raises:
            ValueError: both are the same file, or a bad option; otherwise as `compress`.
        """
        _refuse_same(src, dst)
        start = time.perf_counter()
        given = {k: options.pop(k) for k in ("metadata", "limits", "strip_gps") if k in options}
        ready = self.prepare(src, **given)
        data = self.compress(ready, **options)
        write_atomic(dst, data)
        info = probe(data, limits=Limits(0, 0, 0, 0))
        return replace(info, seconds=time.perf_counter() - start, notes=ready.picture.notes)

    def decompress_file(
        self,
        src: Source,
        dst: PathLike,
        *,
        picture_format: str | None = None,
        metadata: str | Iterable[str] = "all",
        allow_partial: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        realism: float = 0.0,
        region: Region | None = None,
    ) -> ImageInfo:
        """Decompress `src` to the picture file `dst`, replacing it atomically.

        Args:
            src: a path, bytes or a binary file.
            dst: the picture to write; its suffix decides the format.
            picture_format: e.g. "png" or "jpeg", instead of the suffix.
            metadata: as for `decompress`.
            allow_partial: as for `decompress`.
            limits: as for `decompress`.
            realism: as for `decompress`.
            region: as for `decompress`.

        Raises:
            ValueError: unknown format, or both are the same file; otherwise as `decompress`.
        """
        _refuse_same(src, dst)
        start = time.perf_counter()
        encoded, info = self.transcode(
            src,
            format_for(dst, picture_format),
            metadata=metadata,
            allow_partial=allow_partial,
            limits=limits,
            realism=realism,
            region=region,
        )
        write_atomic(dst, encoded)
        return replace(info, seconds=time.perf_counter() - start)

    def transcode(
        self,
        src: Source,
        kind: str,
        *,
        metadata: str | Iterable[str] = "all",
        allow_partial: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        realism: float = 0.0,
        region: Region | None = None,
    ) -> tuple[bytes, ImageInfo]:
        """Decompress to the bytes of a picture file of Pillow format `kind`; the rest as `decompress`."""
        start = time.perf_counter()
        data = read_source(src)
        image, container, notes = self._decode(data, metadata, allow_partial, limits, realism, region)
        encoded, more = encode_image(image, kind)
        info = describe(
            container.header,
            container.chunks,
            len(data),
            complete=container.complete,
            seconds=time.perf_counter() - start,
            notes=(*container.warnings, *notes, *more),
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
            segments, width=width, height=height, level=level, tile=tile, realism=_checked(realism)
        )

    def _encode_safely(
        self, ready: Prepared, level: int, tile: int, effort: int
    ) -> tuple[int, list[list[bytes]]]:
        """Encode at `level`, or at the level below it that comes out best if the codewords do not reach.

        Text, single-pixel patterns and noise can lie beyond the codebooks at the upper end of the dial. There
        a higher level costs more bits for a worse picture.
        """
        segments = self._segments.encode(ready.analysis, level, tile, effort)
        if not self._segments.overloaded(ready.analysis, level):
            return level, segments
        best = -self._psnr(ready, tile, level, segments), level, segments
        # The same levels whatever was asked for, so that asking for more never gives less.
        for lower in range(0, level, SAFE_STEP):
            coded = self._segments.encode(ready.analysis, lower, tile, effort)
            best = min(best, (-self._psnr(ready, tile, lower, coded), lower, coded))
        return best[1], best[2]

    def _psnr(self, ready: Prepared, tile: int, level: int, segments: list[list[bytes]]) -> float:
        picture = ready.picture
        decoded = self._segments.decode(
            segments, width=picture.width, height=picture.height, level=level, tile=tile
        )
        return metrics.psnr(picture.pixels, decoded)

    def _assemble(self, ready: Prepared, level: int, tile: int, effort: int) -> bytes:
        return self._file(ready, tile, *self._encode_safely(ready, level, tile, effort))

    def _file(self, ready: Prepared, tile: int, level: int, segments: list[list[bytes]]) -> bytes:
        picture = ready.picture
        header = Header(
            width=picture.width,
            height=picture.height,
            level=level,
            bitstream_id=self._segments.bitstream_id,
            gray=picture.gray,
            alpha=picture.alpha is not None,
            tile=tile,
            layers=self._segments.layers,
        )
        return write(header, segments, ready.chunks)

    def _labels(self) -> tuple[Chunk, ...]:
        name = self.name.encode("utf-8")
        named = (Chunk("mODL", name),) if 0 < len(name) <= 64 else ()
        return (*named, Chunk("dECD", self._segments.decoder_id))

    def _decode(
        self,
        data: bytes,
        metadata: str | Iterable[str],
        allow_partial: bool,
        limits: Limits,
        realism: float,
        region: Region | None,
    ) -> tuple[Image.Image, Container, tuple[str, ...]]:
        realism = _checked(realism)
        kinds = parse_kinds(metadata)
        container = parse(data, limits, allow_partial=allow_partial)
        header = container.header
        if header.bitstream_id != self._segments.bitstream_id:
            raise ModelMismatch(
                f"the file needs model {header.bitstream_id.hex()}, but {self.name!r} is {self.bitstream_id}"
            )
        if region is not None:
            _check_region(region, header)
        chunks = {chunk.type: chunk for chunk in container.chunks}
        blocks = {
            block: unpack_metadata(chunks[kind], limits)
            for block, kind in _BLOCK_TYPES.items()
            if kind in chunks and (block in kinds or block == "icc")
        }
        alpha = None
        if header.alpha:
            plane = unpack_alpha(chunks["ALPH"], header)
            alpha = np.frombuffer(plane, np.uint8).reshape(header.height, header.width)
            if region is not None:
                x, y, width, height = region
                alpha = alpha[y : y + height, x : x + width]
        pixels = self._segments.decode(
            container.segments,
            width=header.width,
            height=header.height,
            level=header.level,
            tile=header.tile,
            realism=realism,
            region=region,
        )
        image, notes = to_pil(pixels, header.gray, alpha, Metadata(**blocks), kinds)
        image.info["vqc_complete"] = container.complete
        return image, container, notes


def _checked(realism: float) -> float:
    if not 0 <= realism <= 1:
        raise ValueError(f"realism must be from 0 to 1, not {realism}")
    return float(realism)


def _check_region(region: Region, header: Header) -> None:
    x, y, width, height = region
    inside = x >= 0 and y >= 0 and x + width <= header.width and y + height <= header.height
    if width <= 0 or height <= 0 or not inside:
        raise ValueError(f"region {x},{y},{width},{height} is not within {header.width}x{header.height}")


def _refuse_same(src: Any, dst: PathLike) -> None:
    if isinstance(src, (str, os.PathLike)) and same_file(Path(src), Path(dst)):
        raise ValueError(f"{dst}: source and destination are the same file")
