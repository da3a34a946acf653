"""From the bytes of a file to a loaded Pillow image, or one line that says why not.

Pillow's own guard against bombs is not asked: `Limits` are, before anything is decoded.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from typing import IO

from PIL import Image, ImageChops, ImageFile

from vqcodec.bitstream.header import MAGIC, SIDE_MAX
from vqcodec.errors import UnsupportedImage
from vqcodec.types import Limits

Notes = list[str]
_ANIMATED = {"GIF", "PNG", "WEBP", "AVIF", "FLI"}
_PAGES = {"TIFF", "DCX"}
_OTHERS = (
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"), "HEIC"),
    (0, (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"), "JPEG XL"),
    (0, (b"II\xbc",), "JPEG XR"),
    (0, (b"%PDF",), "PDF"),
    (0, (b"<svg", b"<?xml"), "SVG or XML"),
    (4, (b"ftyp",), "a video or raw file"),
)
"""Offset and first bytes of formats that Pillow does not read."""
_FILLERS = (b"", b"\x55" * 2000, b"\xaa" * 2000)
"""What comes in place of the end of a cut JPEG; the decoder takes nothing for zeros."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""What ends a scan of a JPEG."""
_FACTS = (
    *("comment", "photoshop", "transparency", "sizes", "icc_profile", "exif"),
    *("dpi", "aspect", "jfif_density", "jfif_unit", "gamma", "chromaticity", "srgb"),
)
"""What Pillow and this package read of an image's `info`; none of it is text."""
_lock = threading.RLock()


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Find the format of a picture file and read its front.

    Raises:
        UnsupportedImage: none that Pillow knows, or not a usable file of it.
    """
    # Refused even where the Pillow plugin could open it: coding a picture twice is hardly ever meant.
    if data.startswith(MAGIC):
        raise UnsupportedImage("is already a .vqc file")
    prefix, tried, reason = data[:16], set(), ""
    for get_ready in (Image.preinit, Image.init):  # the common formats first, as Image.open does
        get_ready()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            try:
                accepted = accept(prefix) if accept else True
                if isinstance(accepted, str):
                    reason = reason or f"cannot be read here ({one_line(accepted)})"
                elif accepted:
                    return _front(factory, data)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  plugins raise a dozen unrelated types on other data
                if accept and not reason:
                    reason = f"damaged or unsupported {kind} picture ({one_line(error)})"
    other = next((name for at, marks, name in _OTHERS if data[at:].startswith(marks)), None)
    if other and not reason:
        reason = f"is {other}, which Pillow does not read"
    raise UnsupportedImage(reason or "not a picture in a known format")


def _front(factory: Callable[[IO[bytes], str], ImageFile.ImageFile], data: bytes) -> ImageFile.ImageFile:
    try:
        return factory(io.BytesIO(data), "")
    except Image.DecompressionBombError:  # of formats that ask the guard themselves
        with _unguarded():
            return factory(io.BytesIO(data), "")


def load_image(image: Image.Image) -> None:
    """Decode an image, whatever Pillow's guard against bombs would say: the caller knows its size."""
    most = Image.MAX_IMAGE_PIXELS
    small = most is None or image.width * image.height <= most
    with facts_only(image), contextlib.nullcontext() if small else _unguarded():
        image.load()
    if tuple(image.im.size) != image.size:  # a TIFF that tells two orientations
        raise OSError("its size is not what its header says")


@contextlib.contextmanager
def facts_only(image: Image.Image) -> Iterator[None]:
    """Within, the texts of a PNG are not in the image's `info` under names that mean something else there."""
    texts = {name: image.info.pop(name) for name in _FACTS if isinstance(image.info.get(name), str)}
    try:
        yield
    finally:
        image.info.update(texts)


def load_cut(data: bytes, allow_partial: bool, notes: Notes) -> tuple[Image.Image, bool] | None:
    """Another try with a file that ends early.

    Returns:
        The loaded image, and whether it is all there; None where this is no help. A JPEG that lacks its end
        marker only is all there.
    """
    try:
        whole = _without_end_marker(data)
        if whole is not None:
            notes.append("the end marker of the JPEG is missing")
            return whole, True
        if not allow_partial:
            return None
        with _truncated_allowed():
            image = open_image(data)
            load_image(image)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  what was wrong at first is told
        return None
    notes.append("the file is cut short or damaged, only a part of the picture is coded")
    return image, False


def frames_left_out(image: Image.Image) -> Notes:
    """A note if there are more pictures than the one that is coded."""
    kind = image.format or "file"
    try:
        frames = getattr(image, "n_frames", 1)  # GIF and TIFF walk through the file to count
        with facts_only(image):
            sizes = len(image.info.get("sizes", ()))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  damage behind the first frame does not matter
        return []
    if sizes > 1:
        return [f"{kind} of {sizes} sizes, only the largest is coded"]
    if frames == 1:
        return []
    if kind == "PSD":
        return [f"{kind} of {frames} layers, what they look like together is coded"]
    if kind in _ANIMATED:
        return [f"animated picture, only the first of {frames} frames is coded"]
    return [f"{kind} of {frames} {'pages' if kind in _PAGES else 'pictures'}, only the first is coded"]


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse pictures without pixels, or of more than the limits and the format allow.

    Raises:
        UnsupportedImage: it is one of these.
    """
    if width < 1 or height < 1:
        raise UnsupportedImage("the picture has no pixels")
    side = min(limits.side or SIDE_MAX, SIDE_MAX)
    if max(width, height) > side:
        raise UnsupportedImage(f"{width}x{height} pixels: a side is longer than the limit of {side}")
    if limits.pixels and width * height > limits.pixels:
        raise UnsupportedImage(f"{width}x{height} pixels are more than the limit of {limits.pixels}")


def one_line(error: object) -> str:
    """What an error says, in one line that is not too long and may be shown on a terminal."""
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(error).split()))
    return text[:120] or type(error).__name__


def _without_end_marker(data: bytes) -> Image.Image | None:
    """The picture of a JPEG that lacks nothing but its end marker, or None.

    Its last scan is all there if it does not matter what follows.
    """
    if not _has_all_scans(data):
        return None
    first, *others = (open_image(data.rstrip(b"\xff") + filler + b"\xff\xd9") for filler in _FILLERS)
    load_image(first)
    for other in others:
        load_image(other)
        if ImageChops.difference(first, other).getbbox(alpha_only=False):
            return None
    return first


def _has_all_scans(data: bytes) -> bool:
    """Whether a JPEG begins scans for all bits of all coefficients of its components."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    missing: dict[int, list[int]] = {}  # component -> how many low bits of each coefficient
    at = 2
    while at + 10 < len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if marker in (0xC0, 0xC1, 0xC2) and len(body) > 5 and len(body) >= 6 + 3 * body[5]:
            missing = {component: [16] * 64 for component in body[6 : 6 + 3 * body[5] : 3]}
        elif marker == 0xDA and body and len(body) == 2 * body[0] + 4:
            first, last, bits = body[-3:]
            for component in body[1:-3:2]:
                for coefficient in range(first, min(last, 63) + 1):
                    missing.get(component, [16] * 64)[coefficient] = bits & 15
            behind = _MARKER.search(data, at + 2 + size)
            if behind is None:
                break
            at = behind.start()
            continue
        at += 2 + size if marker != 0xFF else 1
    return bool(missing) and not any(map(any, missing.values()))


@contextlib.contextmanager
def _unguarded() -> Iterator[None]:
    """Pillow's guard is off within; it is a setting of the whole process."""
    with _lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def _truncated_allowed() -> Iterator[None]:
    """Pillow takes cut files within; it has a switch for the whole process only."""
    with _lock:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
