"""The codecs under measurement behind one small interface: picture and quality in, whole files out.

A codec here is stateless apart from loaded weights, takes bare 8-bit RGB pictures (no ICC profile, EXIF or
XMP, so that every file pays for pixels and its own header only) and says precisely what it is: `settings` and
`versions` go into the result files, and cached results of other settings or versions are not used again.
"""

from __future__ import annotations

from typing import Any, Protocol

import vqcodec
from benchmarks.anchors import ANCHORS, MORE_ANCHORS, Pixels
from benchmarks.processes import installed
from vqcodec.compress import dial
from vqcodec.image.picture import pixels_of
from vqcodec.types import EFFORT_MAX, TUNES


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


class VqCodec:
    """This project's codec with its weights loaded.

    Args:
        model: name of installed weights, or a path to a weights file.
        tile: tile size of the files, 0 for one tile.
        tune: what pictures are coded for, part of the name where it is not the default.
        effort: the encoder's effort, part of the name where it is not 1.
        realism: what decoding mixes, part of the name where it is not 0; the files are the same.
    """

    qualities = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)

    def __init__(
        self,
        model: str = "default",
        *,
        tune: str = TUNES[0],
        tile: int = 1024,
        device: str = "cpu",
        effort: int = 1,
        realism: float = 0,
    ) -> None:
        self.codec = vqcodec.load(model, device=device)
        parts = {tune: tune != TUNES[0], f"e{effort}": effort != 1, f"r{realism:g}": realism != 0}
        self.name = "-".join([VQCODEC, *(part for part, told in parts.items() if told)])
        self.settings: dict[str, Any] = {
            "metadata": "none",
            "tune": tune,
            "tile": tile,
            "device": device,
            "effort": effort,
        }
        # Another strength is another dial, whose results must not be taken for this one's.
        self.settings["dial"] = dial.STRENGTH
        if realism:
            self.settings["realism"] = realism

    @property
    def versions(self) -> dict[str, str]:
        # The fingerprints name the weights: results of other weights are other results.
        realism = {"realism_id": self.codec.realism_id} if "realism" in self.settings else {}
        return {
            "vqcodec": vqcodec.__version__,
            "torch": installed("torch") or "none",
            "bitstream_id": self.codec.bitstream_id,
            "decoder_id": self.codec.decoder_id,
            **realism,
        }

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        asked = {option: self.settings[option] for option in ("metadata", "tune", "tile", "effort")}
        return self.codec.compress(pixels, quality=quality, **asked)

    def decode(self, data: bytes) -> Pixels:
        picture = self.codec.decompress(
            data, realism=self.settings.get("realism", 0.0), limits=vqcodec.Limits(pixels=0)
        )
        return pixels_of(picture)


_ANCHORS: dict[str, Codec] = {codec.name: codec for codec in (*ANCHORS, *MORE_ANCHORS)}

DEFAULT_NAMES = (*(codec.name for codec in ANCHORS), VQCODEC)
REALISMS = (0.5, 1.0)
ONE_FILE = (VQCODEC, *(f"{VQCODEC}-r{realism:g}" for realism in REALISMS))
"""Decoders of the same file."""
_OPTIONS: dict[str, dict[str, Any]] = {
    VQCODEC: {},
    **{f"{VQCODEC}-e{effort}": {"effort": effort} for effort in range(2, EFFORT_MAX + 1)},
    **{f"{VQCODEC}-psnr-e{e}": {"tune": "psnr", "effort": e} for e in range(2, EFFORT_MAX + 1)},
    **{f"{VQCODEC}-r{realism:g}": {"realism": realism} for realism in REALISMS},
}
CODEC_NAMES = (*_ANCHORS, *_OPTIONS)


def make(name: str, *, model: str = "default", device: str = "cpu") -> Codec:
    """Build the codec called `name`; `model` and `device` are for vqcodec only.

    Raises:
        KeyError: there is no such codec.
    """
    if name in _ANCHORS:
        return _ANCHORS[name]
    return VqCodec(model, device=device, **_OPTIONS[name])


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
