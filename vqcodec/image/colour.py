"""Any Pillow mode -> 8 bit L or RGB plus an alpha plane, and ICC profiles -> sRGB."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.errors import UnsupportedImage
from vqcodec.image.calibration import Calibration
from vqcodec.image.profiles import is_srgb

Notes = list[str]
_GRAY = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"}
_PROFILE_SPACES = {"RGB": "RGB", "L": "GRAY"}


def icc_space(profile: bytes | None) -> str:
    """Colour space of an ICC profile, e.g. "RGB", "GRAY" or "CMYK"; empty if it is not a profile."""
    if profile is None or len(profile) < 128 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in this mode; itself where it has it, since `convert` would copy all pixels."""
    return image if image.mode == mode else image.convert(mode)


@dataclass(frozen=True)
class Stored:
    """How a file stores its samples, where Pillow's mode does not tell.

    Attributes:
        white_is_zero: 0 is white, and Pillow leaves it so.
        top: what is white in a mode of integers; None: 65535, or 255 in mode I where no sample is above.
        calibration: what samples mean that are not sRGB and have no profile.
    """

    white_is_zero: bool = False
    top: int | None = None
    calibration: Calibration | None = None


def split_planes(
    image: Image.Image, notes: Notes, stored: Stored | None = None
) -> tuple[Image.Image, NDArray[np.uint8] | None, bytes | None]:
    """Bring a loaded image to 8 bit gray or RGB.

    Args:
        image: any Pillow mode.
        notes: receives one line for each lossy decision (depth reduced, profile dropped, ...).
        stored: how its file stores the samples.

    Returns:
        The image as L or RGB, its alpha plane (uint8 (H, W)) or None when fully opaque, and the ICC profile
        that describes the returned pixels, or None for sRGB.

    Raises:
        UnsupportedImage: a mode or value range with no defined meaning.
    """
    stored = stored or Stored()
    icc = image.info.get("icc_profile") or None
    space = icc_space(icc)
    mode = image.mode
    alpha: NDArray[np.uint8] | None = None
    if mode in ("I", "F") or mode.startswith("I;16"):
        image, alpha = _narrow(image, notes, stored)
    elif image.has_transparency_data:
        image = in_mode(image, "LA" if mode in _GRAY else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
    if alpha is not None and bool((alpha == 255).all()):
        alpha = None
    if image.mode in ("CMYK", "LAB"):
        return _from_print(image, icc if space == image.mode else None, notes), alpha, None
    image = in_mode(image, "L" if mode in _GRAY else "RGB")
    if mode in ("P", "PA"):
        red, green, blue = (np.asarray(band) for band in image.split())
        if np.array_equal(red, green) and np.array_equal(red, blue):
            image = image.getchannel(0)
    if icc is None and stored.calibration is not None:
        return image, alpha, stored.calibration.profile(image.mode == "L")
    if icc is None or space == _PROFILE_SPACES[image.mode]:
        return image, alpha, icc
    # A profile of another colour space than the pixels, say an RGB profile on a gray JPEG.
    converted = _transform(image.convert("RGB"), icc) if (image.mode, space) == ("L", "RGB") else None
    if converted is None:
        notes.append("ICC profile does not fit the pixels, dropped")
        return image, alpha, None
    notes.append("RGB profile on a gray picture applied and dropped")
    return converted.convert("L"), alpha, None


def to_srgb(image: Image.Image, icc: bytes, notes: Notes) -> Image.Image:
    """Convert L or RGB pixels described by `icc` to sRGB of the same mode; unchanged if it fails."""
    if is_srgb(icc):
        return image
    gray = image.mode == "L"
    converted = _transform(Image.frombytes("L", (256, 1), bytes(range(256))) if gray else image, icc)
    if converted is None:
        notes.append("ICC profile cannot be applied, pixels taken as sRGB")
        return image
    if gray:  # all that gray can be
        converted = image.point(list(converted.convert("L").tobytes()))
    # littleCMS puts the profile it converted to in `info`; sRGB needs none, and the old one is wrong by now.
    converted.info.pop("icc_profile", None)
    return converted


def _transform(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """RGB picture in sRGB, or None if littleCMS is absent or refuses; `icc` None means CIE L*a*b* D50."""
    try:
        from PIL import ImageCms  # noqa: PLC0415  absent from Pillow builds without littleCMS
    except ImportError:
        return None
    try:
        source = ImageCms.createProfile("LAB") if icc is None else ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            # Its short cuts for gray leave out dark steps.
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION
            | (ImageCms.Flags.NOOPTIMIZE if image.mode == "L" else ImageCms.Flags.NONE),
        )
    except (ImportError, OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None


def _from_print(image: Image.Image, icc: bytes | None, notes: Notes) -> Image.Image:
    """CMYK through its profile, LAB through its definition; without a profile, Pillow's formula for CMYK."""
    converted = None if image.mode == "CMYK" and icc is None else _transform(image, icc)
    if converted is not None:
        notes.append(f"{image.mode} converted to sRGB")
        return converted
    if image.mode == "LAB":
        raise UnsupportedImage("LAB pictures need Pillow with littleCMS")
    notes.append("CMYK without a usable profile converted to RGB by the plain formula")
    return image.convert("RGB")


def mean_of_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray (H, W) of RGB (H, W, 3), rounding to nearest: what a gray picture decodes to."""
    return ((pixels.sum(axis=2, dtype=np.uint16) + 1) // 3).astype(np.uint8)


def _narrow(image: Image.Image, notes: Notes, stored: Stored) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """16 bit, 32 bit and float gray -> L. A PNG transparent colour becomes an alpha plane."""
    values = np.asarray(image)
    alpha = None
    key = image.info.get("transparency")
    if isinstance(key, int):
        alpha = np.where(values == key, 0, 255).astype(np.uint8)
    if image.mode == "F":
        if values.size and not bool(np.isfinite(values).all()):
            raise UnsupportedImage("floating-point picture with infinite or undefined values")
        low, high = float(values.min()), float(values.max())
        if low < 0.0 or high > 255.0:
            raise UnsupportedImage(f"floating-point values {low:g} to {high:g} fit neither 0..1 nor 0..255")
        scale = 255.0 if high <= 1.0 else 1.0
        notes.append(f"floating-point samples in 0..{'1' if scale > 1 else '255'} rounded to 8 bits")
        narrow = np.rint(values * scale)
        return Image.fromarray((255 - narrow if stored.white_is_zero else narrow).astype(np.uint8)), alpha
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65_535:
        raise UnsupportedImage(f"integer samples {low} to {high} do not fit 16 bits")
    # What `convert("I")` makes of 8 bits; 16 bits that are all so dark are hardly a picture.
    top = stored.top or (255 if image.mode == "I" and high <= 255 else 65_535)
    bits = top.bit_length()
    notes.append(
        "integer samples in 0..255 taken as 8 bits" if bits == 8 else f"{bits}-bit samples rounded to 8 bits"
    )
    values = np.minimum(values, top).astype(np.uint32)
    if stored.white_is_zero:
        values = top - values
    # Exact rounding of v * 255 / top; of 65535 = 255 * 257 above all.
    return Image.fromarray(((values * 255 + top // 2) // top).astype(np.uint8)), alpha
