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

from benchmarks.processes import installed

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
    """JPEG 2000, irreversible wavelet; the quality is the rate that it aims at, in 25ths of a bit per pixel.

    Aiming at a PSNR instead would spend a fifth more bits: OpenJPEG then holds every component to it.
    """

    @property
    def versions(self) -> dict[str, str]:
        return {"pillow": PIL.__version__, "openjpeg": features.version(self.feature) or "unknown"}

    def _target(self, quality: float) -> dict[str, Any]:
        # As a ratio to 24 bits per pixel; quality 0 stands for the least that makes sense.
        return {"quality_layers": [24 * 25 / max(quality, 0.5)]}


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


@dataclass(frozen=True)
class Jpegli:
    """JPEG by Google's jpegli (pyjpegli), with its own decoder; subsampling and the rest are its defaults."""

    name: str = "jpegli"
    qualities: tuple[float, ...] = (5, 12, 20, 30, 45, 60, 75, 85, 91, 95)

    @property
    def settings(self) -> dict[str, Any]:
        return {"format": "JPEG", "encoder": "jpegli", "decoder": "jpegli"}

    @property
    def versions(self) -> dict[str, str]:
        return {"pyjpegli": installed("pyjpegli") or "none"}

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        if quality != int(quality):
            raise ValueError(f"{self.name} takes whole qualities, not {quality}")
        height, width = pixels.shape[:2]
        return bytes(_pyjpegli().encode(pixels.tobytes(), width, height, int(quality)))

    def decode(self, data: bytes) -> Pixels:
        decoded, width, height = _pyjpegli().decode(data)
        return np.frombuffer(decoded, np.uint8).reshape(height, width, 3)


def _pyjpegli() -> Any:
    try:
        import pyjpegli  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError("jpegli needs the package pyjpegli: pip install pyjpegli") from error
    return pyjpegli


def jxl_distance(quality: float) -> float:
    """The Butteraugli distance that cjxl takes for a quality (JxlEncoderDistanceFromQuality of libjxl)."""
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


_AVIF: dict[str, Any] = {"subsampling": "4:4:4", "speed": 6, "codec": "aom", "max_threads": 1}
_SLOW_AVIF: dict[str, Any] = {**_AVIF, "speed": 2}
_FOR_PSNR: dict[str, Any] = {"advanced": {"tune": "psnr"}}
_FOR_SSIMULACRA2: dict[str, Any] = {"advanced": {"tune": "ssimulacra2"}}
# libavif spreads qualities for its default tune; these reach the same rates with the others.
_OTHER_QUALITIES = (2, 10, 20, 32, 45, 60, 74, 84)

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
    PillowCodec("avif-psnr", "AVIF", "avif", {**_AVIF, **_FOR_PSNR}, _OTHER_QUALITIES),
    PillowCodec("avif", "AVIF", "avif", _AVIF, (2, 10, 22, 36, 50, 64, 77, 87)),
)

_JPEG2000 = Jpeg2000(
    "jpeg2000",
    "JPEG2000",
    "jpg_2000",
    {"irreversible": True, "mct": 1, "quality_mode": "rates"},
    (2, 3, 5, 8, 12, 18, 25, 37, 50, 75),
)
ANCHORS = (*PILLOW_CODECS, _JPEG2000, JpegXl())

MORE_ANCHORS = (
    PillowCodec("avif-s2", "AVIF", "avif", _SLOW_AVIF, (2, 10, 22, 36, 50, 64, 77, 87)),
    PillowCodec("avif-psnr-s2", "AVIF", "avif", {**_SLOW_AVIF, **_FOR_PSNR}, _OTHER_QUALITIES),
    PillowCodec("avif-ssim2", "AVIF", "avif", {**_AVIF, **_FOR_SSIMULACRA2}, _OTHER_QUALITIES),
    PillowCodec("avif-ssim2-s2", "AVIF", "avif", {**_SLOW_AVIF, **_FOR_SSIMULACRA2}, _OTHER_QUALITIES),
    JpegXl("jxl-e9", 9),
    Jpegli(),
)
"""Measured where they are named: the slower settings take ten times as long, and jpegli a package more."""
