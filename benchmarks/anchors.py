"""The other codecs of the benchmarks, with the settings that they are measured with."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, features

Pixels = npt.NDArray[np.uint8]


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
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, self.format, **self._target(quality), **self.options)
        return file.getvalue()

    def _target(self, quality: float) -> dict[str, Any]:
        if quality != int(quality):
            raise ValueError(f"{self.name} takes whole qualities, not {quality}")
        return {"quality": int(quality)}

    def decode(self, data: bytes) -> Pixels:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))


class Jpeg2000(PillowCodec):
    """JPEG 2000, irreversible wavelet; the quality is the PSNR in dB that it aims at."""

    @property
    def versions(self) -> dict[str, str]:
        return {"pillow": PIL.__version__, "openjpeg": features.version(self.feature) or "unknown"}

    def _target(self, quality: float) -> dict[str, Any]:
        # 0 dB would mean lossless.
        return {"quality_layers": [max(quality, 1)]}


@dataclass(frozen=True)
class JpegXl:
    """JPEG XL by imagecodecs (libjxl), lossy VarDCT."""

    name: str = "jxl"
    effort: int = 7
    qualities: tuple[float, ...] = (0, 10, 20, 30, 45, 60, 70, 80, 87, 92, 96)

    @property
    def settings(self) -> dict[str, Any]:
        return {"format": "JPEG XL", "effort": self.effort, "quality": "as cjxl -q"}

    @property
    def versions(self) -> dict[str, str]:
        import imagecodecs  # noqa: PLC0415  an extra

        return {"imagecodecs": imagecodecs.__version__, "libjxl": imagecodecs.jpegxl_version()}

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        import imagecodecs  # noqa: PLC0415

        data = imagecodecs.jpegxl_encode(
            np.ascontiguousarray(pixels), distance=jxl_distance(quality), effort=self.effort, numthreads=1
        )
        return bytes(data)

    def decode(self, data: bytes) -> Pixels:
        import imagecodecs  # noqa: PLC0415

        return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))


def jxl_distance(quality: float) -> float:
    """The Butteraugli distance that cjxl takes for a quality (JxlEncoderDistanceFromQuality of libjxl)."""
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


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

_JPEG2000 = Jpeg2000(
    "jpeg2000",
    "JPEG2000",
    "jpg_2000",
    {"irreversible": True, "mct": 1, "quality_mode": "dB"},
    (25, 27, 29, 31, 33, 35, 37, 39, 41, 43),
)
ANCHORS = (*PILLOW_CODECS, _JPEG2000, JpegXl())
