"""What users call: pictures to .vqc files and back, with one loaded model.

compress:    image --prepare--> Prepared --TileEncoder--> segments --write--> bytes
decompress:  bytes --parse--> segments --TileDecoder--> pixels, part by part --to_pil--> image

The two lines are `vqcodec.compress.coding` and `vqcodec.decompress.picture_decoder`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream.header import TILE_MAX
from vqcodec.compress.options import DEFAULT_QUALITY, CompressOptions
from vqcodec.decompress.picture_decoder import checked_realism, decode
from vqcodec.files import PathLike, Source, check_writable, same_file, write_atomic
from vqcodec.image.saving import encode_image, format_for
from vqcodec.probing import describe, share_of
from vqcodec.types import DEFAULT_LIMITS, DEFAULT_TILE, ImageInfo, Limits, Region, TileProgress, check_tune

if TYPE_CHECKING:
    from vqcodec.compress.encoded import Encoded
    from vqcodec.compress.preparing import Prepared
    from vqcodec.compress.tile_encoder import TileEncoder
    from vqcodec.decompress.tile_decoder import TileDecoder
    from vqcodec.image.picture import PictureSource
    from vqcodec.weights.loaded import LoadedModel

__all__ = ["DEFAULT_QUALITY", "DEFAULT_TILE", "TILE_MAX", "Codec"]


class Codec:
    """A loaded model. Immutable, so one instance may compress and decompress in several threads at once.

    A child made by fork may go on with it (torch then has one thread there), but not on a graphics card. If
    it is pickled, another process loads the model's file for itself, once.
    """

    def __init__(
        self,
        decoder: TileDecoder,
        encoder: TileEncoder | None = None,
        again: Callable[[str], Codec] | None = None,
    ) -> None:
        """The two halves of one model at one tune; the encoder's is made when it is needed, unless given.

        `again` loads the model at a tune, in any process.
        """
        self.decoder, self._encoder, self._again = decoder, encoder, again
        self._others: dict[str, Codec] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, model: LoadedModel, again: Callable[[str], Codec] | None = None) -> Codec:
        """A loaded model's; `again` as above."""
        from vqcodec.decompress.tile_decoder import TileDecoder  # noqa: PLC0415  what is drawn needs no model

        return cls(TileDecoder(model), again=again)

    @property
    def encoder(self) -> TileEncoder:
        """The encoder's half."""
        from vqcodec.compress.tile_encoder import TileEncoder  # noqa: PLC0415  decoding does without it

        with self._lock:
            if self._encoder is None:
                self._encoder = TileEncoder(self.model)
            return self._encoder

    def tuned(self, tune: str) -> Codec:
        """The same model at a tune, "eyes" or "psnr"; built when it is first asked for.

        Raises:
            ValueError: another tune.
        """
        check_tune(tune)
        if tune == self.tune:
            return self
        with self._lock:
            if tune not in self._others:
                model = self.model.tuned(tune)
                encoder = None if self._encoder is None else type(self._encoder)(model)
                self._others[tune] = Codec(type(self.decoder)(model), encoder, self._again)
            return self._others[tune]

    def __deepcopy__(self, _memo: dict[int, Any]) -> Codec:
        return self  # which never changes

    def __reduce__(self) -> tuple[Any, ...]:
        if self._again is None:
            raise TypeError("only a codec from vqcodec.load can be pickled")
        return self._again, (self.tune,)

    @property
    def model(self) -> LoadedModel:
        """The weights and what was built from them, for what looks inside (`vqcodec.inspect`)."""
        return self.decoder.model

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    @property
    def tune(self) -> str:
        """What it codes for unless told otherwise; it decodes files of either tune."""
        return self.model.tune

    @property
    def bitstream_id(self) -> str:
        """Fingerprint of codebooks and tables, 16 hex digits: files carry it, and only equal ones decode."""
        return self.model.bitstream_id.hex()

    @property
    def decoder_id(self) -> str:
        """Fingerprint of the synthesis weights, 16 hex digits."""
        return self.model.decoder_id.hex()

    @property
    def realism_id(self) -> str:
        """Fingerprint of the perceptual decoder, 16 hex digits; empty if the model has none."""
        return self.model.realism_id.hex()

    def prepare(
        self,
        image: PictureSource,
        *,
        metadata: str | Iterable[str] = "all",
        limits: Limits = DEFAULT_LIMITS,
        strip_gps: bool = False,
        allow_partial: bool = False,
    ) -> Prepared:
        """Read a picture once, for several calls of `compress`.

        Args:
            image: a path, bytes, a binary file, a PIL image, or a uint8 array (H, W), (H, W, 3) or (H, W, 4).
            metadata: "all", "none" or a list of icc, exif, xmp. Without icc, pixels are converted to sRGB. Of
                EXIF and XMP, thumbnails, maker notes and padding are left out, and a profile that means
                sRGB, Display P3, Adobe RGB (1998) or a usual gray is stored as a number and comes back in
                another spelling; "exact", alone or in the list, keeps all their bytes. Only the orientation
                is set to 1 in any case, since the pixels are turned.
            limits: the largest picture and metadata accepted.
            strip_gps: leave out where the picture was taken, from EXIF (with maker notes) and XMP; a block
                that cannot be followed is left out whole.
            allow_partial: take what can be decoded of a picture file that is cut short.

        Raises:
            OSError: the file cannot be read.
            UnsupportedImage: not a picture, damaged, too large, or of an undefined kind.
            ValueError: bad `metadata`.
        """
        from vqcodec.compress.preparing import prepare  # noqa: PLC0415  as in `compress`

        # The caller may change an array before the picture is coded.
        own = image.copy() if isinstance(image, np.ndarray) else image
        return prepare(own, metadata, limits, strip_gps, allow_partial)

    def compress(
        self,
        image: PictureSource | Prepared,
        *,
        quality: float | None = None,
        bpp: float | None = None,
        target_size: int | None = None,
        psnr: float | None = None,
        tune: str | None = None,
        tile: int = DEFAULT_TILE,
        metadata: str | Iterable[str] = "all",
        limits: Limits = DEFAULT_LIMITS,
        label: bool = False,
        effort: int = 1,
        strip_gps: bool = False,
        lossless: bool = False,
        drawn: bool = True,
        allow_partial: bool = False,
        progress: TileProgress | None = None,
    ) -> bytes:
        """Compress a picture to the bytes of a .vqc file.

        Args:
            image: anything `prepare` takes, or its result (its own arguments were decided there).
            quality: 0..100, higher is better; 50 unless one of the next three is given. Busy pictures are
                coded a little lower for it, smooth ones a little higher, see `vqcodec.compress.dial`.
            bpp: the highest quality whose whole file has at most this many bits per pixel.
            target_size: the same for this many bytes.
            psnr: the lowest quality whose PSNR (dB, 8-bit RGB) is at least this. Beyond what quality 100
                reaches, WebP inside the file is taken, lossless if need be, unless `drawn` is False.
            tune: "eyes" (unless given) or "psnr", what efforts above 1 search for: what people see, or
                squared error. A model with two tunes, unlike the packaged one, has tables for each.
            tile: side of independently coded tiles, a multiple of 64 up to 65472; 0 codes the picture whole.
                With the usual one, pictures that are drawn everywhere have tiles of 4096.
            metadata, limits, strip_gps, allow_partial: as for `prepare`.
            effort: 1 to 9; above 1 the encoder searches for a file that is better for its size: for 3 to 10
                times as long up to 4, then for far longer.
            lossless: every pixel comes back exactly; excludes quality, bpp, target_size and psnr.
            drawn: text, interfaces and other drawn parts come back exactly where that costs less than the
                networks need; False leaves everything to the networks.
            label: also write the model's name and decoder fingerprint (about 40 bytes), for `info` only.
            progress: called with (tiles done, tiles) after each; anew for every quality that is tried.
                Efforts above 1 code every tile two to six times, and count them all.

        Raises:
            OSError, UnsupportedImage: as for `prepare`.
            TargetTooSmall: even quality 0 is larger than `bpp` or `target_size` allows.
            TargetTooHigh: even quality 100 falls short of `psnr`, and `drawn` is False.
            UnsuitableOption: more tiles than a decoder accepts.
            ValueError: an option out of range, more than one of quality, bpp, target_size, psnr and
                lossless, or lossless with tiles too large for it.
        """
        options = CompressOptions(
            quality=quality,
            bpp=bpp,
            target_size=target_size,
            psnr=psnr,
            tune=tune,
            tile=tile,
            metadata=metadata,
            limits=limits,
            label=label,
            effort=effort,
            strip_gps=strip_gps,
            lossless=lossless,
            drawn=drawn,
            allow_partial=allow_partial,
            progress=progress,
        )
        from vqcodec.compress.coding import code  # noqa: PLC0415  decoding does without all of it

        return code(self, image, options)[0].data

    def compress_with_info(self, image: PictureSource | Prepared, **options: Any) -> tuple[bytes, ImageInfo]:
        """As `compress`, with a description of the file beside its bytes."""
        from vqcodec.compress.coding import code  # noqa: PLC0415  as above

        start = time.perf_counter()
        file, ready = code(self, image, CompressOptions.take(options))
        seconds = time.perf_counter() - start
        notes = ready.picture.notes
        share = share_of(file, file.drawn)
        info = describe(file, len(file), self.name, seconds=seconds, notes=notes, drawn_share=share)
        return file.data, replace(info, complete=ready.picture.complete)

    def decompress(
        self,
        data: Source,
        *,
        metadata: str | Iterable[str] = "all",
        allow_partial: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        realism: float = 0.0,
        region: Region | None = None,
        preview: int | None = None,
        progress: TileProgress | None = None,
    ) -> Image.Image:
        """Decompress a .vqc file to a picture of mode L, LA, RGB or RGBA.

        ICC, EXIF and XMP blocks are in its `info`, under Pillow's names; `info["vqc_complete"]` is False when
        `allow_partial` let a cut file pass.

        Args:
            data: a path, bytes or a binary file.
            metadata: the blocks to keep, "all", "none" or a list of icc, exif, xmp. Without icc, pixels are
                converted to sRGB. "exact" changes nothing here.
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
            UnsuitableOption: `region` is not within the picture.
            TypeError, ValueError: bad `metadata`, `limits`, `realism`, `region` or `preview`.
        """
        return decode(
            self._decoder_of,
            data,
            metadata=metadata,
            allow_partial=allow_partial,
            limits=limits,
            realism=realism,
            region=region,
            preview=preview,
            progress=progress,
        ).image

    def compress_file(
        self, src: PictureSource | Prepared, dst: PathLike, *, preserve: bool = False, **options: Any
    ) -> ImageInfo:
        """Compress `src` to the file `dst`, replacing it atomically.

        Args:
            src: anything `compress` takes.
            dst: the .vqc file to write.
            preserve: give it the permissions and the time of change of `src`, where that is a path.
            options: as for `compress`.

        Raises:
            OSError: `dst` cannot be written; found out before the work where that is possible.
            ValueError: both are the same file, or a bad option; otherwise as `compress`.
        """
        like = _before_work(src, dst, preserve)
        data, info = self.compress_with_info(src, **options)
        write_atomic(dst, data, like)
        return info

    def decompress_file(
        self,
        src: Source,
        dst: PathLike,
        *,
        picture_format: str | None = None,
        preserve: bool = False,
        **options: Any,
    ) -> ImageInfo:
        """Decompress `src` to the picture file `dst`, replacing it atomically.

        Args:
            src: a path, bytes or a binary file.
            dst: the picture to write; its suffix decides the format.
            picture_format: e.g. "png" or "jpeg", instead of the suffix.
            preserve: as for `compress_file`.
            options: as for `decompress`.

        Raises:
            OSError: as for `compress_file`.
            ValueError: unknown format, or both are the same file; otherwise as `decompress`.
        """
        like = _before_work(src, dst, preserve)
        encoded, info = self.transcode(src, format_for(dst, picture_format), **options)
        write_atomic(dst, encoded, like)
        return info

    def transcode(self, src: Source, kind: str, **options: Any) -> tuple[bytes, ImageInfo]:
        """Decompress to a picture file of Pillow format `kind`, in memory; `options` as for `decompress`."""
        start = time.perf_counter()
        found = decode(self._decoder_of, src, **options)
        encoded, more = encode_image(found.image, kind)
        seconds = time.perf_counter() - start
        notes = (*found.notes, *more)
        return encoded, describe(found.container, found.size, self.name, seconds=seconds, notes=notes)

    def encode(
        self, pixels: NDArray[np.uint8], level: int, tile: int = DEFAULT_TILE, effort: int = 1
    ) -> Encoded:
        """Pixels uint8 (H, W, 3) at level 0..252 -> entropy coded segments, without a container."""
        return self.encoder.encode(pixels, level, tile, effort)

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
        return self.decoder.decode(
            segments, width=width, height=height, level=level, tile=tile, realism=checked_realism(realism)
        )

    def _decoder_of(self, tune: str) -> TileDecoder:
        return self.tuned(tune).decoder


def _before_work(src: Any, dst: PathLike, preserve: bool) -> os.stat_result | None:
    """Check that `dst` may be written; what `os.stat` tells of `src` if that is to be preserved."""
    path = Path(src) if isinstance(src, (str, os.PathLike)) else None
    if path is not None and same_file(path, Path(dst)):
        raise ValueError(f"{dst}: source and destination are the same file")
    try:
        check_writable(dst)
    except OSError:
        if path is not None:
            path.stat()  # of a batch, the folder of a missing source is not made: that is told as missing
        raise
    return path.stat() if preserve and path is not None else None
