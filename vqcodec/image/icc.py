"""Reading ICC profiles that curves and a matrix say in full (ICC.1, versions 2 and 4).

Anything else is not read: tables of many inputs (A2B0 and the like), named colours, CMYK, another rendering
intent, the calibration of a screen, and tags that are not known to be harmless.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CLASSES = {b"RGB ": (b"mntr", b"scnr", b"spac"), b"GRAY": (b"mntr", b"scnr", b"spac", b"prtr")}
"""Kinds of device by colour space. What gray means on paper is told by its one curve as well."""
_CHANNELS = {b"RGB ": "rgb", b"GRAY": "k"}
_HARMLESS = {
    *("desc", "cprt", "dmnd", "dmdd", "dscm", "tech", "vued", "view", "targ", "calt", "meta"),
    *("wtpt", "bkpt", "chad", "chrm", "lumi", "meas", "cicp"),
}
"""Tags that change no colour, or that are looked at below."""
_TAGS_MAX = 100
_D50, _D65 = (0.9642, 1.0, 0.8249), (0.9505, 1.0, 1.0891)
_NEAR = 0.01
"""How far a stated white may be from these; it matters to absolute colorimetry only."""
_PARAMETERS = (1, 3, 4, 5, 7)
"""How many the parametric curves of each type have."""
_SAMPLES = np.arange(256) / 255


class Meaning(NamedTuple):
    """What a profile says.

    Attributes:
        curves: light (C, 256) of each sample, for one channel or three.
        colorants: CIE XYZ (3, 3) of red, green and blue, one in a column, adapted to D50; None for gray.
        cicp: its code points of ITU-T H.273, if it has them as well.
    """

    curves: Floats
    colorants: Floats | None
    cicp: tuple[int, ...] | None


def read(profile: bytes) -> Meaning | None:
    """The meaning of a profile of curves, or of curves and a matrix; None of any other or a damaged one."""
    try:
        return _read(profile)
    except (struct.error, ValueError):  # it ends too early
        return None


def _read(profile: bytes) -> Meaning | None:
    (size,) = struct.unpack_from(">I", profile)
    profile = profile[:size]
    kind, space, connection = struct.unpack_from(">4s4s4s", profile, 12)
    (intent,) = struct.unpack_from(">I", profile, 64)
    usual = connection == b"XYZ " and profile[8] in (2, 4) and intent in (0, 1)
    if not usual or profile[36:40] != b"acsp" or kind not in _CLASSES.get(space, ()):
        return None
    channels = _CHANNELS[space]
    tags = _tags(profile)
    curves = [f"{letter}TRC" for letter in channels]
    colorants = [f"{letter}XYZ" for letter in channels] if space == b"RGB " else []
    if not tags.keys() <= _HARMLESS.union(curves, colorants) or not _white_is_usual(tags):
        return None
    columns = [_numbers(tags.get(name, b""), b"XYZ ", 3) for name in colorants]
    light = [_curve(tags.get(name, b"")) for name in curves]
    cicp = tuple(tags["cicp"][8:12]) if "cicp" in tags else None
    return Meaning(np.stack(light), np.stack(columns, axis=1) if columns else None, cicp)


def _tags(profile: bytes) -> dict[str, bytes]:
    """Tags by signature.

    Raises:
        struct.error, ValueError: they lead out of the profile, are too many, or one stands twice.
    """
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _TAGS_MAX:
        raise ValueError("more tags than any profile needs")
    tags = {}
    for at in range(132, 132 + 12 * count, 12):
        signature, start, size = struct.unpack_from(">4sII", profile, at)
        if start + size > len(profile):
            raise ValueError("a tag ends behind the profile")
        tags[signature.decode("latin-1")] = profile[start : start + size]
    if len(tags) != count:
        raise ValueError("a tag stands twice")
    return tags


def _numbers(tag: bytes, kind: bytes, count: int, start: int = 8) -> Floats:
    """The fixed-point numbers of a tag of this type.

    Raises:
        struct.error, ValueError: it is another type, or too short.
    """
    if tag[:4] != kind:
        raise ValueError("a tag of another type")
    return np.array(struct.unpack_from(f">{count}i", tag, start)) / 65536


def _white_is_usual(tags: dict[str, bytes]) -> bool:
    """Whether the white that was adapted to D50 is D50 or D65, as far as the profile says."""
    white = _numbers(tags["wtpt"], b"XYZ ", 3) if "wtpt" in tags else np.array(_D50)
    stated = [white]
    if "chad" in tags:
        adaptation = _numbers(tags["chad"], b"sf32", 9).reshape(3, 3)
        stated.append(np.linalg.solve(adaptation, np.array(_D50)))
    return all(bool(min(np.abs(one - usual).max() for usual in (_D50, _D65)) <= _NEAR) for one in stated)


def _curve(tag: bytes) -> Floats:
    """Light (256,) that a tag of type curv or para gives to the samples 0 to 255.

    Raises:
        struct.error, ValueError: it is another type, too short, or a function that falls.
    """
    if tag[:4] == b"para":
        return _parametric(tag)
    if tag[:4] != b"curv":
        raise ValueError("a curve of another type")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return _SAMPLES
    values = np.frombuffer(tag, ">u2", count, 12)
    if count == 1:
        return _SAMPLES ** (values[0] / 256)
    return np.interp(_SAMPLES * (count - 1), np.arange(count), values / 65535)


def _parametric(tag: bytes) -> Floats:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind >= len(_PARAMETERS):
        raise ValueError("an unknown kind of curve")
    given = list(_numbers(tag, b"para", _PARAMETERS[kind], start=12))
    # Named as in the specification. What a kind does not have changes nothing.
    g, a, b, c, d, e, f = given + [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][len(given) :]
    if g <= 0 or a <= 0:
        raise ValueError("a curve that does not rise")
    with np.errstate(over="ignore"):  # of a curve that is none of ours
        power = np.maximum(a * _SAMPLES + b, 0) ** g
    light = power + c if kind < 3 else np.where(d <= _SAMPLES, power + e, c * _SAMPLES + f)
    return light.clip(0, 1)
