"""Between Pillow's images and what the codec codes: upright uint8 arrays, alpha and metadata.

    path, bytes, file, PIL image or array --load_picture--> Picture
    rectangles of pixels --to_pil--> PIL image

Gray pictures are coded as three equal channels and averaged to one after decoding.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from vqcodec.bitstream.header import MAGIC, SIDE_MAX
from vqcodec.errors import UnsupportedImage
from vqcodec.files import read_source
from vqcodec.image.colour import Notes, in_mode, mean_of_channels, split_planes, to_srgb
from vqcodec.image.compact import compacted
from vqcodec.image.metadata import EXACT, EXIF_PREFIX, KINDS, Metadata, clean_exif, clean_xmp
from vqcodec.tiling import Place
from vqcodec.types import DEFAULT_LIMITS, Limits

_STRIP = 512
"""Rows copied from Pillow at a time."""
_DESCRIPTIVE = ("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "Copyright")
"""TIFF tags that are kept as EXIF."""


@dataclass(frozen=True)
class Picture:
    """An upright 8 bit picture. `pixels` uint8 (H, W, 3), `alpha` uint8 (H, W) or None when opaque."""

    pixels: NDArray[np.uint8]
    gray: bool = False
    alpha: NDArray[np.uint8] | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def mode(self) -> str:
        """Pillow mode of the decoded picture: L, LA, RGB or RGBA."""
        return ("L" if self.gray else "RGB") + ("A" if self.alpha is not None else "")


def load_picture(
    source: Any, *, metadata: frozenset[str] = KINDS, limits: Limits = DEFAULT_LIMITS
) -> Picture:
    """Read a picture of any kind Pillow knows.

    Args:
        source: a path, bytes, a binary file, a PIL image, or a uint8 array (H, W), (H, W, 3) or (H, W, 4).
            Of an animated file the first frame is taken, of a PIL image the current one. An array (H, W, 3)
            is not copied.
        metadata: the kinds of blocks to keep. Without "icc", pixels are converted to sRGB. Without "exact", a
            profile becomes the well-known one that means the same, and EXIF and XMP lose thumbnails, maker
            notes and padding.
        limits: the largest picture accepted.

    Raises:
        OSError: the file cannot be opened or read.
        UnsupportedImage: not a picture, damaged, too large, or samples without a defined meaning.
    """
    if isinstance(source, Image.Image):
        return _from_pil(source, metadata, limits, [])
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in ((), (3,), (4,)):
            raise UnsupportedImage("arrays must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4)")
        if source.size == 0:
            raise UnsupportedImage("the picture has no pixels")
        if source.shape[2:] == (3,):
            _check_size(source.shape[1], source.shape[0], limits)
            return Picture(source)
        return _from_pil(Image.fromarray(source), metadata, limits, [])
    data = read_source(source)
    if not data:
        raise UnsupportedImage("the file is empty")
    with _opened(data) as image:
        return _from_pil(image, metadata, limits, _frames_left_out(image))


def to_pil(
    parts: Iterable[tuple[Place, NDArray[np.uint8]]],
    size: tuple[int, int],
    gray: bool,
    alpha: NDArray[np.uint8] | None,
    metadata: Metadata,
    kinds: frozenset[str] = KINDS,
) -> tuple[Image.Image, tuple[str, ...]]:
    """Assemble the decoded picture, from rectangles: an array of all of it would need its memory once more.

    Args:
        parts: rectangles that fill the picture, each with its pixels uint8 (h, w, 3).
        size: width and height.
        gray: average the channels to one.
        alpha: uint8 (H, W) or None.
        metadata: the file's blocks.
        kinds: those put in `info` under Pillow's keys icc_profile, exif and xmp. Without "icc", a profile is
            applied instead: pixels become sRGB.

    Returns:
        The picture, and notes for people.
    """
    notes: Notes = []
    image = Image.new("L" if gray else "RGB", size)
    for (rows, columns), pixels in parts:
        shown = mean_of_channels(pixels) if gray else np.ascontiguousarray(pixels)
        image.paste(Image.fromarray(shown), (columns.start, rows.start))
    if metadata.icc is not None and "icc" not in kinds:
        image = to_srgb(image, metadata.icc, notes)
    metadata = metadata.only(kinds)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    exif = None if metadata.exif is None else EXIF_PREFIX + metadata.exif
    blocks = {"icc_profile": metadata.icc, "exif": exif, "xmp": metadata.xmp}
    image.info.update({key: block for key, block in blocks.items() if block is not None})
    return image, tuple(notes)


def _opened(data: bytes) -> Image.Image:
    # Refused even where the Pillow plugin could open it: coding a picture twice is hardly ever meant.
    if data.startswith(MAGIC):
        raise UnsupportedImage("is already a .vqc file")
    try:
        return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise UnsupportedImage("more pixels than Pillow's MAX_IMAGE_PIXELS guard allows") from error
    except MemoryError:
        raise
    except Exception as error:  # plugins raise a dozen unrelated types on other data
        raise UnsupportedImage("not a picture in a known format") from error


def _from_pil(image: Image.Image, kinds: frozenset[str], limits: Limits, notes: Notes) -> Picture:
    _check_size(*image.size, limits)
    try:
        # What Pillow's decoder knows of the samples as they are stored; `load` drops it.
        stored = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
        deep = image.mode in ("RGB", "RGBA", "LA") and re.search(";16|;48|;64", stored) is not None
        image.load()
        upright = _upright(image)
        if image.mode == "RGBA" and "LA;16" in stored:
            upright = upright.convert("LA")  # Pillow has no other mode for 16 bit gray with alpha
        blocks = _metadata(image)
        base, alpha, icc = split_planes(upright, notes)
    except (UnsupportedImage, MemoryError):
        raise
    except Exception as error:  # so do the decoders
        raise UnsupportedImage(f"damaged or unsupported picture ({_one_line(error)})") from error
    if deep:
        notes.append("16-bit samples reduced to 8 bits")
    if icc is not None and "icc" not in kinds:
        base, icc = to_srgb(base, icc, notes), None
    blocks = replace(blocks, icc=icc).only(kinds)
    if EXACT not in kinds:
        blocks = compacted(blocks, notes)
    pixels = pixels_of(base)
    kept = _bounded(blocks, limits, notes)
    return Picture(pixels, base.mode == "L", alpha, kept, tuple(notes))


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) of an image, strip by strip: at once, Pillow would need them twice on the way."""
    image = in_mode(image, "RGB")
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _frames_left_out(image: Image.Image) -> Notes:
    """A note if there are more frames; the further pictures of a camera's MPO file are no animation."""
    try:
        frames = getattr(image, "n_frames", 1)  # GIF and TIFF walk through the file to count
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  damage behind the first frame does not matter
        return []
    if frames == 1 or image.format == "MPO":
        return []
    return [f"animated picture, only the first of {frames} frames is coded"]


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise UnsupportedImage("the picture has no pixels")
    side = min(limits.side or SIDE_MAX, SIDE_MAX)
    if max(width, height) > side:
        raise UnsupportedImage(f"{width}x{height} pixels: a side is longer than {side}")
    if limits.pixels and width * height > limits.pixels:
        raise UnsupportedImage(f"{width}x{height} pixels are more than the limit of {limits.pixels}")


def _upright(image: Image.Image) -> Image.Image:
    try:
        # Where nothing has to be turned, exif_transpose copies all pixels.
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  a malformed EXIF block costs only its own orientation
        return image


def _metadata(image: Image.Image) -> Metadata:
    """EXIF and XMP of the original, made consistent with upright pixels."""
    exif, xmp = image.info.get("exif"), image.info.get("xmp")
    if image.format == "TIFF":
        # Its EXIF directory is the file's own, full of offsets of coded strips: keep the descriptive tags.
        stored, kept = image.getexif(), Image.Exif()
        kept.update({tag: stored[tag] for tag in (ExifTags.Base[n] for n in _DESCRIPTIVE) if tag in stored})
        exif = kept.tobytes() if len(kept) else None
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return Metadata(
        exif=clean_exif(exif) if isinstance(exif, bytes) else None,
        xmp=clean_xmp(xmp) if isinstance(xmp, bytes) and xmp else None,
    )


def _bounded(metadata: Metadata, limits: Limits, notes: Notes) -> Metadata:
    """Drop blocks that a decoder with the same limits would refuse."""
    sizes = {kind: len(getattr(metadata, kind) or b"") for kind in sorted(KINDS)}
    too_large = {kind for kind, size in sizes.items() if limits.metadata and size > limits.metadata}
    notes += [f"{kind} block of {sizes[kind]} bytes is over the limit, dropped" for kind in sorted(too_large)]
    return metadata.only(KINDS - too_large)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
