"""The .vqc format for Pillow: `Image.open("x.vqc")`, `image.save("y.vqc", quality=60)`.

Pillow finds foreign plugins only when they are registered: `vqcodec.register_pillow_plugin()`. torch is
imported, and a model loaded, when the first pixel is asked for or the first picture saved.
"""

from __future__ import annotations

import contextlib
import inspect
import numbers
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from vqcodec import loading, probing
from vqcodec.bitstream import MAGIC, unpack_metadata
from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.bitstream.partial import read_front
from vqcodec.errors import FormatError, LimitExceeded, Truncated, VQCodecError
from vqcodec.files import write_all
from vqcodec.image.exif import EXIF_PREFIX, clean_exif, orientation_of
from vqcodec.image.picture import upright
from vqcodec.types import DEFAULT_LIMITS
from vqcodec.weights import zoo

if TYPE_CHECKING:
    from vqcodec.codec import Codec

FORMAT = "VQC"
SUFFIX = ".vqc"
MIME = "image/x-vqc"
_INFO_KEYS = {"iCCP": "icc_profile", "eXIF": "exif", "xMPd": "xmp"}
_NOT_OPTIONS = ("self", "image", "allow_partial")
"""What `Codec.compress` has and `Image.save` has not."""
_FAITHFUL = ("lossless", "exact")
"""Options of other formats that promise what must not be broken in silence."""
_INFO_OF_PIXELS = ("transparency", "gamma", "srgb", "chromaticity")


class _Registered(NamedTuple):
    """The arguments of the last registration, and its loaded models."""

    model: Path
    device: str
    codecs: loading.ModelCache

    def for_file(self, bitstream_id: str) -> Codec:
        """The registered model if it decodes the file, or else an installed one that does."""
        needed = bytes.fromhex(bitstream_id)
        matches = needed in (NO_MODEL, bytes.fromhex(zoo.describe_model(self.model).bitstream_id))
        return self.codecs.for_file(bitstream_id, self.model if matches else None)


_registered: _Registered | None = None


def register_pillow_plugin(*, model: str | os.PathLike[str] = zoo.DEFAULT_MODEL, device: str = "cpu") -> None:
    """Teach Pillow to open and save .vqc files; may be called again, with other arguments too.

    Opening reads the front of a file only. `info` then holds icc_profile, exif and xmp (bytes, where the file
    has them), vqc_model (a name, or the fingerprint where none is known), vqc_quality (0..100) and
    vqc_complete (False for a file that is cut short).

    `Image.draft` has no effect, and `Image.thumbnail` decodes the whole picture before reducing it: the
    coarse layer (`Codec.decompress(file, preview=1)`) has only every fourth block of 16x16 pixels, which
    makes poor thumbnails. Better and quicker ones are those of `vqcodec.Thumbnailer`.

    Files that are cut short raise OSError when their pixels are asked for, unless
    `ImageFile.LOAD_TRUNCATED_IMAGES` is set: then what is whole is decoded. A header that announces more than
    Pillow's MAX_IMAGE_PIXELS guard or the codec's own `Limits()` allow raises `Image.DecompressionBombError`.

    Options of `Image.save`: those of `Codec.compress`; icc_profile, taken from `info` unless given; exif
    (bytes or `Image.Exif`) and xmp (bytes or str), stored only if given. Pixels are turned upright where the
    `exif` given says so. Options of other formats are ignored, as by Pillow's own plugins, but for lossless
    and exact, which are refused where they cannot be kept.

    Args:
        model: saves pictures, a name or path as for `vqcodec.load`. Files of other models open if one that is
            installed has their fingerprint.
        device: where models run, as for `vqcodec.load`.

    Raises:
        ModelNotFound: no such model. Whether it can be loaded shows at the first pixel.
        ValueError: an unknown kind of device.
    """
    global _registered
    loading.check_device(device)
    path = zoo.find_model(model).absolute()
    if _registered is None or _registered[:2] != (path, device):
        _registered = _Registered(path, device, loading.ModelCache(device=device))
    Image.register_open(FORMAT, VqcImageFile, _accept)
    Image.register_decoder(FORMAT.lower(), VqcDecoder)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME)


class VqcImageFile(ImageFile.ImageFile):
    """A .vqc file whose front has been read."""

    format = FORMAT
    format_description = "vqcodec neural image"

    def _open(self) -> None:
        assert self.fp is not None
        if not _accept(self.fp.read(len(MAGIC))):
            raise SyntaxError("not a .vqc file")
        self.fp.seek(0)
        try:
            front, _ = read_front(self.fp, DEFAULT_LIMITS)
            known = [chunk for chunk in front.chunks if chunk.type in _INFO_KEYS]
            blocks: dict[Any, Any] = {_INFO_KEYS[chunk.type]: unpack_metadata(chunk) for chunk in known}
        except LimitExceeded as error:
            raise Image.DecompressionBombError(str(error)) from error
        except FormatError as error:
            # The magic is ours and nobody else's: SyntaxError would only lose the reason on the way to this.
            raise UnidentifiedImageError(f"cannot open this .vqc file: {error}") from error
        self.fp.seek(0, os.SEEK_END)
        size = self.fp.tell()
        found = probing.describe(front, size)
        if "exif" in blocks:
            blocks["exif"] = EXIF_PREFIX + blocks["exif"]
        self._size, self._mode = (found.width, found.height), found.mode
        self.info = {
            **blocks,
            "vqc_model": found.model or (found.bitstream_id if found.needs_model else "none"),
            "vqc_quality": found.quality,
            "vqc_complete": found.complete,
        }
        extents = (0, 0, found.width, found.height)
        self.tile = [ImageFile._Tile(FORMAT.lower(), extents, 0, (found.bitstream_id,))]

    def load_seek(self, pos: int) -> None:
        """Go to a tile. That this method exists tells `ImageFile.Parser` to wait for the whole file."""
        assert self.fp is not None
        self.fp.seek(pos)

    def verify(self) -> None:
        """Check structure and all checksums without decoding; to be called right after opening.

        Raises:
            OSError: the file is damaged, cut short or cannot be read.
            RuntimeError: the picture was loaded or verified already.
        """
        if self.fp is None:
            raise RuntimeError("verify must be called directly after open")
        try:
            self.fp.seek(0)
            with _as_os_errors():
                probing.verify(self.fp.read())
        finally:
            super().verify()


class VqcDecoder(ImageFile.PyDecoder):
    """Decodes a whole file at the first access to its pixels; its argument is the file's bitstream_id."""

    _pulls_fd = True

    def decode(self, buffer: object) -> tuple[int, int]:
        """Fill the image; called by `ImageFile.load`."""
        assert self.fd is not None
        assert self.im is not None
        assert _registered is not None
        with _as_os_errors():
            codec = _registered.for_file(self.args[0])
            # Blocks are in `info` already; without "icc", the profile would be applied to the pixels.
            image = codec.decompress(
                self.fd.read(), metadata="icc", allow_partial=ImageFile.LOAD_TRUNCATED_IMAGES
            )
        if (image.mode, image.size) != (self.mode, (self.state.xsize, self.state.ysize)):
            raise OSError("the file was changed after it was opened")
        # Raw bytes would need the memory of the picture twice more.
        self.im.paste(image.im, (0, 0, *image.size))
        return -1, 0


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    assert _registered is not None
    given = im.encoderinfo
    quality = given.get("quality")
    if quality is not None and (not isinstance(quality, numbers.Real) or not 0 <= float(quality) <= 100):
        raise ValueError(f"quality must be a number between 0 and 100, not {quality!r}")
    codec = _registered.codecs.get(_registered.model)
    known = [key for key in inspect.signature(codec.compress).parameters if key not in _NOT_OPTIONS]
    broken = [key for key in _FAITHFUL if given.get(key) and key not in known]
    if broken:
        raise ValueError(f"VQC has no option {broken[0]}")
    options = {key: given[key] for key in known if key in given}
    source = _with_metadata(im, given)
    with _as_os_errors():
        data = codec.compress(source, **options)
    write_all(fp, data)


def _with_metadata(im: Image.Image, given: Mapping[str, Any]) -> Image.Image:
    """A copy whose `info` holds what is to be stored, and the transparency that belongs to the pixels."""
    exif, xmp = given.get("exif"), given.get("xmp")
    if isinstance(exif, Image.Exif):
        exif = exif.tobytes() if exif else None
    if exif and clean_exif(bytes(exif)) is None:
        raise ValueError("exif must be an EXIF block")
    blocks = {
        "icc_profile": given.get("icc_profile", im.info.get("icc_profile")),
        "exif": exif,
        "xmp": xmp.encode("utf-8") if isinstance(xmp, str) else xmp,
    }
    orientation = orientation_of(bytes(exif)) if exif else None
    copy = im.copy() if orientation in (None, 1) else upright(im, orientation or 1)
    copy.info = {key: bytes(block) for key, block in blocks.items() if block}
    if exif:
        copy.info["exif"] = EXIF_PREFIX + (clean_exif(bytes(exif)) or b"")
    copy.info |= {key: im.info[key] for key in _INFO_OF_PIXELS if key in im.info}
    return copy


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """Pillow's users expect OSError from a file that cannot be read or written."""
    try:
        yield
    except Truncated as error:
        raise OSError(f"image file is truncated ({error})") from error
    except VQCodecError as error:
        raise OSError(str(error)) from error
