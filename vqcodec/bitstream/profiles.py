"""Well-known colour profiles: what a number in the chunk `iCCP` stands for, byte for byte.

number --profile_bytes--> ICC profile --profile_number--> number

Which other profiles mean the same is judged by `vqcodec.image.profiles`.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import NamedTuple

WHITE = (0xF6D6, 0x10000, 0xD32D)
"""CIE XYZ of D50 in 1/65536, the white of all ICC profiles."""
D65_TO_D50 = (68674, 1502, -3291, 1939, 64912, -1119, -606, 988, 49262)
_SRGB_CURVE = struct.pack(">4s4xHH5I", b"para", 3, 0, 0x26666, 0xF2A7, 0xD59, 0x13D0, 0xA5B)


def _power(exponent: int) -> bytes:
    """A curve of one exponent, in 1/256."""
    return struct.pack(">4s4xIH", b"curv", 1, exponent)


class WellKnown(NamedTuple):
    """A colour space that a number stands for."""

    name: str
    curve: bytes
    """From samples to light, as an ICC tag of type curv or para."""
    colorants: tuple[int, ...] = ()
    """X, Y, Z of red, then green, then blue, adapted to D50, in 1/65536; empty for gray."""

    @property
    def gray(self) -> bool:
        """It has one channel."""
        return not self.colorants


PROFILES = {
    1: WellKnown("sRGB", _SRGB_CURVE, (28578, 14581, 912, 25241, 46981, 6362, 9376, 3972, 46799)),
    2: WellKnown("Display P3", _SRGB_CURVE, (33759, 15807, -69, 19135, 45367, 2745, 10296, 4363, 51385)),
    3: WellKnown(
        "Adobe RGB (1998)", _power(0x233), (39960, 20389, 1276, 13453, 41004, 3989, 9777, 4143, 48796)
    ),
    4: WellKnown("Gray, sRGB curve", _SRGB_CURVE),
    5: WellKnown("Gray gamma 2.2", _power(0x233)),
    6: WellKnown("Gray gamma 1.8", _power(0x1CD)),
}
"""Never changed, only added to: files hold the numbers."""


@functools.cache
def profile_bytes(number: int) -> bytes:
    """The profile, ICC version 4.3.

    Raises:
        KeyError: no well-known profile has this number.
    """
    found = PROFILES[number]
    tags = {"desc": text_tag(found.name), "cprt": text_tag("CC0"), "wtpt": _xyz(WHITE)}
    if found.gray:
        tags["kTRC"] = found.curve
    else:
        tags["chad"] = struct.pack(">4s4x9i", b"sf32", *D65_TO_D50)
        tags |= {
            f"{letter}XYZ": _xyz(found.colorants[3 * at : 3 * at + 3]) for at, letter in enumerate("rgb")
        }
        tags |= {f"{letter}TRC": found.curve for letter in "rgb"}
    body = tag_table(tags)
    space = b"GRAY" if found.gray else b"RGB "
    header = struct.pack(">I4xI4s4s4s", 128 + len(body), 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s28x3I", 2026, 1, 1, 0, 0, 0, b"acsp", *WHITE)
    return header.ljust(128, b"\0") + body


def profile_number(profile: bytes) -> int | None:
    """The number of the well-known profile that has exactly these bytes."""
    return next((number for number in PROFILES if profile_bytes(number) == profile), None)


def tag_table(tags: Mapping[str, bytes]) -> bytes:
    """What follows a profile's header: the tag table and the tags by signature; equal ones stand once."""
    table, content, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for signature, tag in tags.items():
        if tag not in places:
            places[tag] = 128 + 4 + 12 * len(tags) + len(content)
            content += tag + bytes(-len(tag) % 4)
        table += struct.pack(">4sII", signature.encode(), places[tag], len(tag))
    return table + content


def text_tag(words: str) -> bytes:
    """A tag of one line in English."""
    coded = words.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(coded), 28) + coded


def _xyz(values: tuple[int, ...]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *values)
