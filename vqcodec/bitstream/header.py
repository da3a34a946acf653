"""The fixed part of a .vqc file: magic, version, flags, model fingerprint, geometry and coder.

    bytes --read_header--> Header, flags        Header --write_header--> bytes

The limits are applied to the plain integers read here, before anything is allocated on their word. The
checksum over these bytes comes after the table of contents and is checked in container.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX, NO_MODEL
from vqcodec.bitstream.fields import Cursor, encode_varint, where
from vqcodec.errors import CorruptData, LimitExceeded, Truncated, UnsupportedVersion
from vqcodec.types import LEVEL_MAX, TUNES, Header, Limits, check_tune

MAGIC = b"\x89VQC"
"""First byte: not ASCII and no valid start of UTF-8, so that no text is mistaken for it."""

MAJOR = 1
LAYERS = 2
SIDE_MAX = 65_535
TILE_UNIT = 64
TILE_UNITS_MAX = 1_023
TILE_MAX = TILE_UNIT * TILE_UNITS_MAX
ID_BYTES = 8

FLAG_CHUNKS = 0x01
"""Critical flag bit 0: a chunk list follows the fixed header."""
FLAG_PSNR = 0x02
"""Critical flag bit 1: the picture is coded by the tune "psnr", not "eyes"."""
FLAG_DRAWN = 0x04
"""Critical flag bit 2: the drawn layer comes before layer 0."""
FLAG_BARE = 0x08
"""Critical flag bit 3: the picture is one lossless drawn tile, and fields without meaning are left out."""
KNOWN_CRITICAL = FLAG_CHUNKS | FLAG_PSNR | FLAG_DRAWN | FLAG_BARE

COLOUR_GRAY = 0x01
COLOUR_ALPHA = 0x02
KNOWN_COLOUR = COLOUR_GRAY | COLOUR_ALPHA

CODER_WORD_BYTES = {1: 4}
"""Known coder ids -> bytes per word of their segments; lengths in the table of contents count words."""

BARE: dict[str, Any] = {
    "level": LEVEL_MAX,
    "bitstream_id": NO_MODEL,
    "tile": 0,
    "coder_id": 1,
    "tune": TUNES[0],
    "drawn": True,
    "bare": True,
}
"""What a bare file does not tell: its pixels are exact, and no model, tiles or coder have a part in them."""


def bare_header(header: Header) -> Header:
    """The header of a picture that is a bare file."""
    return replace(header, **BARE)


def tile_count(header: Header) -> int:
    """Return the number of tiles, numbered row by row from the top left; 1 where `tile` is 0."""
    if header.tile == 0:
        return 1
    return -(-header.width // header.tile) * -(-header.height // header.tile)


def tile_sizes(header: Header) -> Iterator[tuple[int, int]]:
    """Width and height of each tile, in the order of their numbers."""
    wide, tall = (header.tile or side for side in (header.width, header.height))
    for top in range(0, header.height, tall):
        for left in range(0, header.width, wide):
            yield min(wide, header.width - left), min(tall, header.height - top)


def write_header(header: Header, *, chunks: bool) -> bytes:
    """Return the fixed header, up to and including coder_id; `chunks` says whether a chunk list follows.

    Raises:
        ValueError: a field is outside what the format can hold.
    """
    if header.major != MAJOR or header.layers != LAYERS:
        raise ValueError(f"this writer makes version {MAJOR} files of {LAYERS} layers only")
    if header.coder_id not in CODER_WORD_BYTES:
        raise ValueError(f"unknown coder_id {header.coder_id}")
    if not (1 <= header.width <= SIDE_MAX and 1 <= header.height <= SIDE_MAX):
        raise ValueError(f"width and height must be 1..{SIDE_MAX}, not {header.width}x{header.height}")
    if header.tile % TILE_UNIT or not 0 <= header.tile <= TILE_MAX:
        raise ValueError(f"tile must be a multiple of {TILE_UNIT} up to {TILE_MAX}, not {header.tile}")
    if len(header.bitstream_id) != ID_BYTES:
        raise ValueError(f"bitstream_id must be {ID_BYTES} bytes, not {len(header.bitstream_id)}")
    if not 0 <= header.level <= LEVEL_MAX:
        raise ValueError(f"level must be 0..{LEVEL_MAX}, not {header.level}")
    check_tune(header.tune)
    if header.bare and header != bare_header(header):
        raise ValueError("a bare file must have the level, tile, tune, coder and id of BARE, and be drawn")
    if not (0 <= header.minor <= 0xFF and 0 <= header.ignorable <= 0xFF):
        raise ValueError("minor and ignorable must be 0..255")
    critical = (FLAG_CHUNKS if chunks else 0) | (FLAG_PSNR if header.tune == "psnr" else 0)
    critical |= (FLAG_DRAWN if header.drawn else 0) | (FLAG_BARE if header.bare else 0)
    colour = (COLOUR_GRAY if header.gray else 0) | (COLOUR_ALPHA if header.alpha else 0)
    start = MAGIC + bytes((header.major, header.minor, critical, header.ignorable))
    size = encode_varint(header.width) + encode_varint(header.height)
    if header.bare:
        return start + size + bytes((colour,))
    how = bytes((header.level, colour)) + encode_varint(header.tile // TILE_UNIT) + bytes((header.coder_id,))
    return start + header.bitstream_id + size + how


def read_header(cursor: Cursor, limits: Limits) -> tuple[Header, bool]:
    """Read the fixed header.

    Returns:
        The header, and whether a chunk list follows it.

    Raises:
        CorruptData: not a .vqc file, a field outside its range, or flags in contradiction.
        LimitExceeded: more pixels, a longer side or more tiles than `limits` or the format allow.
        Truncated: the data ends inside the header.
        UnsupportedVersion: another major version, or a flag, colour bit or coder this reader does not know.
    """
    if not cursor.data:
        raise Truncated("the file is empty")
    if not MAGIC.startswith(bytes(cursor.data[: len(MAGIC)])):  # shorter data may only be cut
        raise CorruptData("this is not a .vqc file")
    cursor.take(len(MAGIC), "magic")
    at = cursor.offset
    major = cursor.uint(1, "major version")
    if major != MAJOR:
        raise UnsupportedVersion(where("major version", at, f"{major} is not supported, only {MAJOR}"))
    minor = cursor.uint(1, "minor version")
    at = cursor.offset
    critical = _known_bits(cursor, "critical flags", KNOWN_CRITICAL)
    bare = bool(critical & FLAG_BARE)
    if bare and critical & (FLAG_DRAWN | FLAG_PSNR) != FLAG_DRAWN:
        raise CorruptData(where("critical flags", at, "a bare file without a drawn layer, or with a tune"))
    ignorable = cursor.uint(1, "ignorable flags")
    told: dict[str, Any] = dict(BARE)
    if not bare:
        told = {"drawn": bool(critical & FLAG_DRAWN), "tune": "psnr" if critical & FLAG_PSNR else "eyes"}
        told["bitstream_id"] = bytes(cursor.take(ID_BYTES, "bitstream_id"))
    at = cursor.offset
    width = cursor.varint("width")
    height = cursor.varint("height")
    _check_size(width, height, at, limits)
    if bare and max(width, height) > DRAWN_SIDE_MAX:
        raise CorruptData(where("width, height", at, f"a bare file is at most {DRAWN_SIDE_MAX} a side"))
    if not bare:
        told["level"] = _bounded(cursor.offset, "level", cursor.uint(1, "level"), LEVEL_MAX)
    colour = _known_bits(cursor, "colour", KNOWN_COLOUR)
    at = cursor.offset
    if not bare:
        told["tile"] = TILE_UNIT * _bounded(at, "tile", cursor.varint("tile"), TILE_UNITS_MAX)
        told["coder_id"] = _read_coder(cursor)
    header = Header(
        width=width,
        height=height,
        gray=bool(colour & COLOUR_GRAY),
        alpha=bool(colour & COLOUR_ALPHA),
        minor=minor,
        ignorable=ignorable,
        **told,
    )
    tiles = tile_count(header)
    if limits.tiles and tiles > limits.tiles:
        raise LimitExceeded(where("tile", at, f"{tiles} tiles exceed the limit of {limits.tiles}"))
    return header, bool(critical & FLAG_CHUNKS)


def _bounded(at: int, name: str, value: int, most: int) -> int:
    """A value that was read at an offset, if it is no larger than it may be."""
    if value > most:
        raise CorruptData(where(name, at, f"{value} is above {most}"))
    return value


def _read_coder(cursor: Cursor) -> int:
    at = cursor.offset
    coder_id = cursor.uint(1, "coder_id")
    if coder_id not in CODER_WORD_BYTES:
        raise UnsupportedVersion(where("coder_id", at, f"entropy coder {coder_id} is not supported"))
    return coder_id


def _known_bits(cursor: Cursor, name: str, known: int) -> int:
    """Read a byte whose unknown bits change the meaning of the file, and refuse those by number."""
    at = cursor.offset
    bits = cursor.uint(1, name)
    unknown = bits & ~known
    if unknown:
        lowest = (unknown & -unknown).bit_length() - 1
        raise UnsupportedVersion(where(name, at, f"bit {lowest} is not supported, a newer decoder is needed"))
    return bits


def _check_size(width: int, height: int, at: int, limits: Limits) -> None:
    """Apply the format's own bounds, then the caller's; plain integers, so nothing can overflow."""
    if width == 0 or height == 0:
        raise CorruptData(where("width, height", at, f"{width}x{height} is empty"))
    side = min(limits.side, SIDE_MAX) if limits.side else SIDE_MAX
    if max(width, height) > side:
        raise LimitExceeded(where("width, height", at, f"{width}x{height} exceeds the side limit of {side}"))
    if limits.pixels and width * height > limits.pixels:
        raise LimitExceeded(
            where("width, height", at, f"{width}x{height} pixels exceed the limit of {limits.pixels}")
        )
