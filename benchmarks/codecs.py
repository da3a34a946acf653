"""The codecs under measurement behind one small interface: picture and quality in, whole files out.

A codec here is stateless apart from loaded weights, takes bare 8-bit RGB pictures (no ICC profile, EXIF or
XMP, so that every file pays for pixels and its own header only) and says precisely what it is: `settings` and
`versions` go into the result files, and cached results of other settings or versions are not used again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from benchmarks.anchors import ANCHORS, Pixels
from vqcodec.compress import dial
from vqcodec.types import EFFORT_MAX, Limits


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


VQCODEC = "vqcodec"
T = TypeVar("T")


class VqCodec:
    """This project's codec with its weights loaded, through the public interface only.

    Args:
        model: name of installed weights, or a path to a weights file.
        tile: tile size of the files, 0 for one tile.
        effort: the encoder's effort, part of the name where it is not 1.
        realism: what decoding mixes, part of the name where it is not 0; the files are the same.

    Attributes:
        timings: seconds that each part of the latest call took.
    """

    qualities = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)

    def __init__(
        self,
        model: str = "default",
        *,
        tile: int = 1024,
        device: str = "cpu",
        effort: int = 1,
        realism: float = 0,
        precision: str = "float32",
    ) -> None:
        """precision: as for `vqcodec.load`; by itself that whose pixels are the same on every machine."""
        import vqcodec  # noqa: PLC0415  the other codecs must be measurable without torch

        self.codec = vqcodec.load(model, device=device, precision=precision)
        self.timings: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        # The library keeps no clocks; a measurement puts them there.
        encoder, decoder, coder = self.codec.encoder, self.codec.decoder, self.codec.model.coder
        for part, owner, method in (
            ("prior", coder.prior, "hyper"),
            ("prior", coder.prior, "predict"),
            ("analysis", encoder, "analyse"),
            ("coding", encoder, "code"),
            ("coding", coder, "decode"),
        ):
            setattr(owner, method, self._clocked(part, getattr(owner, method)))
        for half, method, rest in ((encoder, "encode", "search"), (decoder, "decode", "synthesis")):
            setattr(half, method, self._split(rest, getattr(half, method)))
        self.version = vqcodec.__version__
        self.name = VQCODEC + (f"-e{effort}" if effort != 1 else "") + (f"-r{realism:g}" if realism else "")
        self.settings: dict[str, Any] = {"metadata": "none", "tile": tile, "device": device, "effort": effort}
        # Another strength is another dial, whose results must not be taken for this one's.
        self.settings["dial"] = dial.STRENGTH
        if realism:
            self.settings["realism"] = realism
        if self.codec.model.bf16:
            self.settings["precision"] = "bfloat16"

    @property
    def versions(self) -> dict[str, str]:
        import torch  # noqa: PLC0415

        # The fingerprints name the weights: results of other weights are other results.
        realism = {"realism_id": self.codec.realism_id} if "realism" in self.settings else {}
        return {
            "vqcodec": self.version,
            "torch": torch.__version__,
            "bitstream_id": self.codec.bitstream_id,
            "decoder_id": self.codec.decoder_id,
            **realism,
        }

    def _clocked(self, part: str, function: Callable[..., T]) -> Callable[..., T]:
        def call(*args: Any, **options: Any) -> T:
            begun = time.perf_counter()
            result = function(*args, **options)
            self._seconds[part] = self._seconds.get(part, 0.0) + time.perf_counter() - begun
            return result

        return call

    def _split(self, rest: str, function: Callable[..., T]) -> Callable[..., T]:
        """Let a call add its parts to `timings`, what has no clock as `rest`; coding is without the prior."""

        def call(*args: Any, **options: Any) -> T:
            self._seconds = parts = {"prior": 0.0, "coding": 0.0}
            begun = time.perf_counter()
            result = function(*args, **options)
            parts[rest] = time.perf_counter() - begun - parts["coding"] - parts.get("analysis", 0.0)
            parts["coding"] -= parts["prior"]
            for part, seconds in parts.items():
                self.timings[part] = self.timings.get(part, 0.0) + seconds
            return result

        return call

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        self.timings = {}
        tile, effort = self.settings["tile"], self.settings["effort"]
        picture = Image.fromarray(pixels)
        return self.codec.compress(picture, quality=quality, tile=tile, metadata="none", effort=effort)

    def decode(self, data: bytes) -> Pixels:
        self.timings = {}
        picture = self.codec.decompress(
            data, realism=self.settings.get("realism", 0.0), limits=Limits(pixels=0)
        )
        return np.asarray(picture.convert("RGB"))


_ANCHORS: dict[str, Codec] = {codec.name: codec for codec in ANCHORS}

DEFAULT_NAMES = (*_ANCHORS, VQCODEC)
REALISMS = (0.5, 1.0)
ONE_FILE = (VQCODEC, *(f"{VQCODEC}-r{realism:g}" for realism in REALISMS))
"""Decoders of the same file."""
_OPTIONS: dict[str, dict[str, Any]] = {
    VQCODEC: {},
    **{f"{VQCODEC}-e{effort}": {"effort": effort} for effort in range(2, EFFORT_MAX + 1)},
    **{f"{VQCODEC}-r{realism:g}": {"realism": realism} for realism in REALISMS},
}
CODEC_NAMES = (*_ANCHORS, *_OPTIONS)


def make(name: str, *, model: str = "default", device: str = "cpu", precision: str = "float32") -> Codec:
    """Build the codec called `name`; `model`, `device` and `precision` are for vqcodec only.

    Raises:
        KeyError: there is no such codec.
    """
    if name in _ANCHORS:
        return _ANCHORS[name]
    return VqCodec(model, device=device, precision=precision, **_OPTIONS[name])


def match(codec: Codec, pixels: Pixels, size: int) -> bytes:
    """The smallest file of at least `size` bytes, over qualities 0 to 100; the largest where all are smaller.

    Rates must rise with quality; where a codec's do not quite, a neighbour of that file may be returned.
    """
    low, high = 0, 100
    best = None
    while low <= high:
        middle = (low + high) // 2
        data = codec.encode(pixels, middle)
        if len(data) >= size:
            best, high = data, middle - 1
        else:
            low = middle + 1
    return best if best is not None else codec.encode(pixels, 100)


def at_equal_bytes(codec: Codec, pixels: Pixels, ours: bytes) -> bytes:
    """The file that a codec is compared by: ours if it decodes that, else one of at least as many bytes."""
    return ours if codec.name in ONE_FILE else match(codec, pixels, len(ours))
