"""Writing a thumbnail as freedesktop's specification wants it; imports no click, as its start counts."""

from __future__ import annotations

import errno
import io
import re
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from vqcodec.bitstream.header import MAGIC
from vqcodec.files import begins_with, same_file, write_atomic
from vqcodec.thumbnails import Thumbnailer

MIME = "image/x-vqc"


class _NamedBuffer(io.BytesIO):
    """Tells Pillow by its name what is written, so that no other plugins are imported."""

    name = "thumbnail.png"


def write_thumbnail(
    thumbnailer: Thumbnailer, source: str, target: str, size: int, uri: str | None = None
) -> None:
    """Write the thumbnail of file `source` to the PNG file `target`, atomically.

    Args:
        uri: of the file; then the PNG says so, with the file's time of change, size and type, as
            freedesktop's specification of thumbnails asks.

    Raises:
        OSError: `target` is a .vqc file, perhaps `source` itself: one may be the only copy of a picture.
        OSError, VQCodecError, ValueError: see `Thumbnailer.make`.
    """
    if same_file(source, target):
        raise FileExistsError(errno.EEXIST, "would overwrite its own source", target)
    if begins_with(target, MAGIC):
        raise FileExistsError(errno.EEXIST, "would overwrite a .vqc file", target)
    status = Path(source).stat()
    image = thumbnailer.make(source, size)
    text = PngInfo()
    text.add_text("Software", "vqcodec")
    if uri is not None:
        changed, size_there = int(status.st_mtime), status.st_size
        told = {"URI": _encodable(uri), "MTime": changed, "Size": size_there, "Mimetype": MIME}
        for name, value in told.items():
            text.add_text(f"Thumb::{name}", str(value))
    buffer = _NamedBuffer()
    image.save(buffer, compress_level=3, pnginfo=text)
    write_atomic(target, buffer.getvalue())


def _encodable(uri: str) -> str:
    """The URI, with bytes that are no UTF-8 as URIs have them, in hexadecimal."""
    return re.sub("[\udc80-\udcff]", lambda found: f"%{ord(found[0]) & 0xFF:02X}", uri)
