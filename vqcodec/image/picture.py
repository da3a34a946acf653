"""From pictures of any kind to what the codec codes: upright uint8 arrays, alpha and metadata.

    path, bytes, file, PIL image or array --load_picture--> Picture

Gray pictures are coded as three equal channels. The way back is `vqcodec.image.assembling`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from vqcodec.errors import UnsupportedImage
from vqcodec.files import Source, read_source
from vqcodec.image.blocks import blocks_of
from vqcodec.image.calibration import calibration_of
from vqcodec.image.colour import Notes, in_mode, split_planes, to_srgb
from vqcodec.image.compact import compacted
from vqcodec.image.facts import FileFacts
from vqcodec.image.metadata import EXACT, KINDS, Metadata
from vqcodec.image.opening import (
    check_size,
    facts_only,
    frames_left_out,
    load_cut,
    load_image,
    one_line,
    open_image,
)
from vqcodec.image.remarks import lost
from vqcodec.image.transparency import fill_invisible
from vqcodec.types import DEFAULT_LIMITS, Limits

PictureSource: TypeAlias = "Source | Image.Image | NDArray[np.uint8]"
"""A path, bytes, a binary file, a PIL image, or an array (H, W), (H, W, 3) or (H, W, 4)."""
_STRIP = 512
"""Rows copied from Pillow at a time."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what makes such a picture upright."""


@dataclass(frozen=True)
class Picture:
    """An upright 8 bit picture. `pixels` uint8 (H, W, 3), `alpha` uint8 (H, W) or None when opaque.

    Where alpha is 0, pixels continue those around, whatever they were.

    Attributes:
        gray: it is coded as gray: its three channels are equal.
        neutral: it is gray, but came as RGB, and is to come back as that.
        complete: its file was not cut short.
    """

    pixels: NDArray[np.uint8]
    gray: bool = False
    alpha: NDArray[np.uint8] | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    neutral: bool = False
    complete: bool = True

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
        return ("L" if self.gray and not self.neutral else "RGB") + ("A" if self.alpha is not None else "")


def load_picture(
    source: PictureSource,
    *,
    metadata: frozenset[str] = KINDS,
    limits: Limits = DEFAULT_LIMITS,
    allow_partial: bool = False,
) -> Picture:
    """Read a picture of any kind Pillow knows.

    Args:
        source: a path, bytes, a binary file, a PIL image, or a uint8 array (H, W), (H, W, 3) or (H, W, 4).
            Of an animated file the first frame is taken, of a PIL image the current one. An array (H, W, 3)
            is not copied. Orientation is applied where an image is a file's own; what was made of one
            (turned, cropped, resized) is taken as it is, as Pillow's own writers take it.
        metadata: the kinds of blocks to keep. Without "icc", pixels are converted to sRGB. Without "exact", a
            profile becomes the well-known one that means the same, and EXIF and XMP lose thumbnails, maker
            notes and padding.
        limits: the largest picture accepted.
        allow_partial: take what can be decoded of a file that is cut short. Pillow knows that as a setting of
            the whole process, which is changed while the file is read.

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
            check_size(source.shape[1], source.shape[0], limits)
            gray = is_gray(source)
            return Picture(source, gray, neutral=gray)
        return _from_pil(Image.fromarray(source), metadata, limits, [])
    data = read_source(source)
    if not data:
        raise UnsupportedImage("the file is empty")
    with contextlib.ExitStack() as stack:
        image: Image.Image = stack.enter_context(open_image(data))
        check_size(*image.size, limits)
        notes, facts, complete = frames_left_out(image), FileFacts.of(image, data), True
        try:
            load_image(image)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise a dozen unrelated types on damage
            again = load_cut(data, allow_partial, notes)
            if again is None:
                raise UnsupportedImage(f"damaged or unsupported picture ({one_line(error)})") from error
            image, complete = again
            stack.enter_context(image)
        return replace(_from_pil(image, metadata, limits, notes, facts), complete=complete)


def _from_pil(
    image: Image.Image,
    kinds: frozenset[str],
    limits: Limits,
    notes: Notes,
    facts: FileFacts | None = None,
) -> Picture:
    """A picture of an image; `facts` are those of a file that was loaded already."""
    check_size(*image.size, limits)
    facts = FileFacts.of(image) if facts is None else facts
    try:
        load_image(image)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise a dozen unrelated types on damage
        raise UnsupportedImage(f"damaged or unsupported picture ({one_line(error)})") from error
    with facts_only(image):
        return _of_loaded(image, kinds, limits, notes, facts)


def _of_loaded(
    image: Image.Image, kinds: frozenset[str], limits: Limits, notes: Notes, facts: FileFacts
) -> Picture:
    try:
        blocks, orientation = blocks_of(image, limits, notes, turned=facts.turned)
        if orientation != 1 and not isinstance(image, ImageFile.ImageFile):
            notes.append("an image in memory is taken as it is, though its metadata tells an orientation")
            orientation = 1
        turned = upright(image, orientation)
        if image.mode == "RGBA" and facts.gray_alpha:
            turned = turned.convert("LA")  # Pillow has no other mode for 16 bit gray with alpha
        calibration = calibration_of(image.info, notes, facts.code)
        base, alpha, icc = split_planes(turned, notes, replace(facts.stored, calibration=calibration))
    except (UnsupportedImage, MemoryError):
        raise
    except Exception as error:  # decoders raise a dozen unrelated types on damage
        raise UnsupportedImage(f"damaged or unsupported picture ({one_line(error)})") from error
    if facts.depth:
        notes.append(f"{facts.depth}-bit samples reduced to 8 bits")
    if icc is not None and "icc" not in kinds:
        base, icc = to_srgb(base, icc, notes), None
    if kinds >= KINDS:
        notes += lost(image, blocks.exif)
    blocks = replace(blocks, icc=icc).only(kinds)
    if EXACT not in kinds:
        blocks = compacted(blocks, notes)
    pixels = pixels_of(base)
    if alpha is not None:
        fill_invisible(pixels, alpha)
    kept = _bounded(blocks, limits, notes)
    neutral = base.mode == "RGB" and is_gray(pixels)
    return Picture(pixels, base.mode == "L" or neutral, alpha, kept, tuple(notes), neutral)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned as EXIF's orientation 1..8 says; itself where that is 1."""
    return image if orientation == 1 else image.transpose(_TURNS[orientation])


def is_gray(pixels: NDArray[np.uint8]) -> bool:
    """Whether the channels of pixels (H, W, 3) are equal; most pictures show in the first strip that not."""
    for top in range(0, len(pixels), _STRIP):
        red, green, blue = (pixels[top : top + _STRIP, :, channel] for channel in range(3))
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            return False
    return True


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) of an image, strip by strip: at once, Pillow would need them twice on the way."""
    image = in_mode(image, "RGB")
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _bounded(metadata: Metadata, limits: Limits, notes: Notes) -> Metadata:
    """Drop blocks that a decoder with the same limits would refuse."""
    sizes = {kind: len(getattr(metadata, kind) or b"") for kind in sorted(KINDS)}
    too_large = {kind for kind, size in sizes.items() if limits.metadata and size > limits.metadata}
    notes += [f"{kind} block of {sizes[kind]} bytes is over the limit, dropped" for kind in sorted(too_large)]
    return metadata.only(KINDS - too_large)
