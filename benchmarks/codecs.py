"""The codecs under measurement behind one small interface: picture and quality in, whole files out.

A codec here is stateless apart from loaded weights, takes bare 8-bit RGB pictures (no ICC profile, EXIF or
XMP, so that every file pays for pixels and its own header only) and says precisely what it is: `settings` and
`versions` go into the result files, and cached results of other settings or versions are not used again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, features

from vqcodec.types import EFFORT_MAX

Pixels = npt.NDArray[np.uint8]


class Codec(Protocol):
    """What the benchmarks need of a codec."""

    @property
    def name(self) -> str:
        """Short name used in results, tables and plots."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Every option that changes the bytes or the pixels."""
        ...

    @property
    def versions(self) -> dict[str, str]:
        """Versions of whatever produces the bytes or the pixels."""
        ...

    @property
    def qualities(self) -> tuple[float, ...]:
        """The default grid; for photographs it spans about 0.05 to 2 bpp where the codec reaches that far."""
        ...

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """Turn uint8 RGB pixels (H, W, 3) into a whole file."""
        ...

    def decode(self, data: bytes) -> Pixels:
        """Turn a whole file into uint8 RGB pixels (H, W, 3)."""
        ...


@dataclass(frozen=True)
class PillowCodec:
    """A codec that Pillow carries.

    Attributes:
        feature: the name under which `PIL.features` knows the library, for its version.
        options: keyword arguments of `Image.save` beside quality.
    """

    name: str
    format: str
    feature: str
    options: Mapping[str, Any]
    qualities: tuple[float, ...]

    @property
    def settings(self) -> dict[str, Any]:
        return {"format": self.format, **self.options}

    @property
    def versions(self) -> dict[str, str]:
        return {"pillow": PIL.__version__, self.feature: features.version(self.feature) or "unknown"}

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        if quality != int(quality):
            raise ValueError(f"{self.name} takes whole qualities, not {quality}")
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, self.format, quality=int(quality), **self.options)
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))


VQCODEC = "vqcodec"


class VqCodec:
    """This project's codec with its weights loaded, through the public interface only.

    Args:
        model: name of installed weights, or a path to a weights file.
        tile: tile size of the files, 0 for one tile.
        effort: the encoder's effort, part of the name where it is not 1.
    """

    qualities = (0, 8, 17, 25, 33, 42, 50, 58, 67, 75, 83, 92, 100)

    def __init__(
        self, model: str = "default", *, tile: int = 1024, device: str = "cpu", effort: int = 1
    ) -> None:
        import vqcodec  # noqa: PLC0415  the other codecs must be measurable without torch

        self.codec = vqcodec.load(model, device=device)
        self.version = vqcodec.__version__
        self.name = VQCODEC if effort == 1 else f"{VQCODEC}-e{effort}"
        self.settings: dict[str, Any] = {"metadata": "none", "tile": tile, "device": device, "effort": effort}

    @property
    def versions(self) -> dict[str, str]:
        import torch  # noqa: PLC0415

        # The fingerprints name the weights: results of other weights are other results.
        return {
            "vqcodec": self.version,
            "torch": torch.__version__,
            "bitstream_id": self.codec.bitstream_id,
            "decoder_id": self.codec.decoder_id,
        }

    @property
    def timings(self) -> dict[str, float]:
        """Seconds that each part of the latest call took, where the codec keeps such a record."""
        # The one look behind the public interface: the record is kept for measurements like this one only.
        segments = getattr(self.codec, "_segments", None)
        return dict(getattr(segments, "timings", None) or {})

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        tile, effort = self.settings["tile"], self.settings["effort"]
        picture = Image.fromarray(pixels)
        return self.codec.compress(picture, quality=quality, tile=tile, metadata="none", effort=effort)

    def decode(self, data: bytes) -> Pixels:
        return np.asarray(self.codec.decompress(data).convert("RGB"))


_AVIF: dict[str, Any] = {"subsampling": "4:4:4", "speed": 6, "codec": "aom", "max_threads": 1}

PILLOW_CODECS = (
    PillowCodec(
        "jpeg",
        "JPEG",
        "libjpeg_turbo",
        {"subsampling": "4:2:0", "optimize": True, "progressive": True},
        (2, 5, 8, 12, 20, 30, 45, 60, 75, 85, 91, 95),
    ),
    PillowCodec("webp", "WEBP", "webp", {"method": 6}, (0, 2, 5, 12, 25, 40, 55, 70, 80, 87, 92, 95)),
    # libavif >= 1.4 tunes for perceived quality by default; tune=psnr is the fair anchor for PSNR.
    PillowCodec(
        "avif-psnr", "AVIF", "avif", {**_AVIF, "advanced": {"tune": "psnr"}}, (2, 10, 20, 32, 45, 60, 74, 84)
    ),
    PillowCodec("avif", "AVIF", "avif", _AVIF, (2, 10, 22, 36, 50, 64, 77, 87)),
)

_ANCHORS = {codec.name: codec for codec in PILLOW_CODECS}

DEFAULT_NAMES = (*_ANCHORS, VQCODEC)
CODEC_NAMES = (*DEFAULT_NAMES, *(f"{VQCODEC}-e{effort}" for effort in range(2, EFFORT_MAX + 1)))


def make(name: str, *, model: str = "default") -> Codec:
    """Build the codec called `name`; `model` is for vqcodec only.

    Raises:
        KeyError: there is no such codec.
    """
    if name in _ANCHORS:
        return _ANCHORS[name]
    family, _, effort = name.partition("-e")
    if family != VQCODEC or name not in CODEC_NAMES:
        raise KeyError(name)
    return VqCodec(model, effort=int(effort or 1))
