"""Frozen values that travel between modules; imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

Region = tuple[int, int, int, int]
"""A part of a picture: x, y, width, height in pixels."""
TileProgress = Callable[[int, int], None]
"""Called with the parts of a picture that are done, and their number, after each part."""

LEVEL_MAX = 252
"""Highest quality level in a header: four steps for each of 63 quality intervals."""

LAMBDA_MIN, LAMBDA_MAX = 0.0006, 0.15
"""Bits that a squared error of 1 is worth, of samples 0..255, at either end of the dial."""

EFFORT_MAX = 9
"""The encoder's longest search; 1 is none."""

DEFAULT_TILE = 1024
"""Side of tiles in pixels, where nothing else is asked for."""

TUNES = ("eyes", "psnr")
"""What a picture is coded for: what people see (by SSIMULACRA2, in training), or squared error."""


def lambda_at(level: float) -> float:
    """Bits that a squared error of 1 is worth, of samples 0..255, at a level 0..252; geometric in between."""
    return LAMBDA_MIN * math.exp(level / LEVEL_MAX * math.log(LAMBDA_MAX / LAMBDA_MIN))


def check_kind(name: str, value: object, kind: type, what: str) -> None:
    """Refuse an argument of another kind than it is to have.

    Raises:
        TypeError: it is no `kind`, which people call `what`.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {what}, not {value!r}")


def check_tune(tune: str) -> None:
    """Refuse what is no tune.

    Raises:
        ValueError: it is not one of `TUNES`.
    """
    if tune not in TUNES:
        raise ValueError(f"tune must be {' or '.join(TUNES)}, not {tune!r}")


@dataclass(frozen=True)
class Limits:
    """Upper bounds checked on header values before anything is allocated; 0 turns one off."""

    pixels: int = 2**28
    side: int = 32_768
    tiles: int = 2**16
    metadata: int = 16 * 2**20


DEFAULT_LIMITS = Limits()


NEUTRAL, WHITE, BLACK = 1, 2, 4
"""Ignorable flags: a gray picture is to come back as RGB; what is nearly white is white; or black, black."""
NEAR = 4
"""How far from 255 or 0 samples are nearly white or black."""


@dataclass(frozen=True)
class Header:
    """What a .vqc file says about its picture before any payload is read.

    Attributes:
        drawn: there is a drawn layer.
        bare: the file is nothing but one lossless tile of it, see `vqcodec.bitstream.header.BARE`.
    """

    width: int
    height: int
    level: int
    bitstream_id: bytes
    gray: bool = False
    alpha: bool = False
    tile: int = DEFAULT_TILE
    layers: int = 2
    coder_id: int = 1
    major: int = 1
    minor: int = 0
    ignorable: int = 0
    tune: str = TUNES[0]
    drawn: bool = False
    bare: bool = False

    @property
    def neutral(self) -> bool:
        """Whether it is gray, but came as RGB and is to come back as that."""
        return self.gray and bool(self.ignorable & NEUTRAL)

    @property
    def quality(self) -> float:
        """The quality 0..100 that gives a typical picture this level, see `vqcodec.compress.dial`."""
        return self.level * 100.0 / LEVEL_MAX


@dataclass(frozen=True)
class Chunk:
    """One ancillary or critical chunk: a four letter ASCII type and its payload."""

    type: str
    data: bytes


@dataclass(frozen=True)
class ImageInfo:
    """Result of `probe`, `compress_file` and `decompress_file`.

    Attributes:
        file_bytes: size of the file, or of what there is of it.
        metadata: chunk types and their bytes.
        profile: name of the well-known colour profile that the file holds by its number, or None.
        complete: nothing that was asked for is missing.
        preview_bytes: bytes of the file's beginning that a preview from 1, 2, ... layers needs; only `probe`
            and `compress_file` tell.
        drawn_bytes: bytes of the drawn layer, which holds text, interfaces and the like exactly.
        drawn_share: share of the pixels that it covers, 0 to 1; None where only decoding would tell.
    """

    width: int
    height: int
    mode: str
    quality: float
    file_bytes: int
    bitstream_id: str
    model: str | None = None
    decoder_id: str | None = None
    tiles: int = 1
    metadata: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    level: int = 0
    tile: int = 0
    version: str = "1.0"
    complete: bool = True
    notes: tuple[str, ...] = ()
    preview_bytes: tuple[int, ...] = ()
    tune: str = TUNES[0]
    profile: str | None = None
    drawn_bytes: int = 0
    drawn_share: float | None = 0.0

    @property
    def needs_model(self) -> bool:
        """Whether a model is needed to decode it: not where everything is drawn."""
        return self.bitstream_id.strip("0") != ""

    @property
    def bpp(self) -> float:
        """Bits of the whole file per pixel of the original."""
        return 8.0 * self.file_bytes / (self.width * self.height)


@dataclass(frozen=True)
class Compared(ImageInfo):
    """With what a comparison with the original found: dB, and MS-SSIM if asked and large enough for it."""

    psnr: float | None = None
    ms_ssim: float | None = None
