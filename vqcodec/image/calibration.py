"""PNG's gAMA, cHRM and cICP, which say without an ICC profile that pixels are not sRGB: as a profile.

Pixels stay as they are stored, and the profile says how they are meant; who asks for sRGB gets that.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream.profiles import tag_table, text_tag

Chromaticities = tuple[float, ...]
"""x and y of white, red, green and blue."""
SRGB: Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
DISPLAY_P3: Chromaticities = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT_2020: Chromaticities = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
_PRIMARIES = {1: SRGB, 9: BT_2020, 12: DISPLAY_P3}
"""Code points of ITU-T H.273."""
_POWERS = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR = {16: "PQ", 18: "HLG"}
"""The other curves are sRGB's, or those of video, which everybody shows as if they were."""
_ALIKE, _NEAR = 0.05, 0.01
"""Share that an exponent may differ from 1/2.2 and still mean sRGB, as libpng has it; and x and y."""
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@dataclass(frozen=True)
class Calibration:
    """How samples are meant.

    Attributes:
        exponent: light is a sample 0..1 to this power; None: sRGB's curve.
        primaries: of the colours.
    """

    exponent: float | None
    primaries: Chromaticities = SRGB

    def profile(self, gray: bool) -> bytes | None:
        """The ICC profile of such pixels; None if they are gray, and sRGB but for the colours."""
        if self.exponent is None:
            curve = _numbers(b"para", *_SRGB_CURVE, before=struct.pack(">HH", 3, 0))
        else:
            curve = _numbers(b"para", self.exponent, before=struct.pack(">HH", 0, 0))
        if gray:
            return None if self.exponent is None else _profile(b"GRAY", {"kTRC": curve})
        adapted, columns = _to_d50(self.primaries)
        tags = {"chad": _numbers(b"sf32", *adapted.ravel())}
        for name, column in zip("rgb", columns.T, strict=True):
            tags[f"{name}XYZ"] = _numbers(b"XYZ ", *column)
            tags[f"{name}TRC"] = curve
        return _profile(b"RGB ", tags)


def calibration_of(
    info: dict[Any, Any], notes: list[str], code: tuple[int, int] | None
) -> Calibration | None:
    """How the samples of an image are meant, from Pillow's `info` of a PNG; None if as sRGB.

    Args:
        notes: receives a line on what has no profile.
        code: colour primaries and transfer characteristics of H.273, where the file has them.
    """
    if info.get("icc_profile"):
        return None
    if code is not None:
        primaries, transfer = code
        if transfer in _HDR:
            notes.append(f"HDR ({_HDR[transfer]}) picture taken as if it were sRGB, which looks pale")
            return None
        found = Calibration(_POWERS.get(transfer), _PRIMARIES.get(primaries, SRGB))
        return None if found == Calibration(None) else found
    gamma = info.get("gamma")
    if "srgb" in info or not isinstance(gamma, float) or not 0.05 <= gamma <= 20:
        return None
    exponent = None if abs(gamma * 2.2 - 1) <= _ALIKE else 1 / gamma
    stated = tuple(info.get("chromaticity", SRGB))
    if not _plausible(stated) or max(abs(a - b) for a, b in zip(stated, SRGB, strict=True)) < _NEAR:
        stated = SRGB
    return None if exponent is None and stated == SRGB else Calibration(exponent, stated)


def _plausible(stated: Chromaticities) -> bool:
    """Whether they are eight numbers, and the primaries span colours."""
    if len(stated) != 8 or not all(0 <= value <= 1 for value in stated):
        return False
    _, white, rx, ry, gx, gy, bx, by = stated
    return abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry)) > 0.01 and min(white, ry, gy, by) > 0


def _column(x: float, y: float) -> NDArray[np.float64]:
    """CIE XYZ of a chromaticity at Y = 1."""
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_d50(primaries: Chromaticities) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The adaptation of white to D50 (Bradford), and the columns of red, green and blue under it."""
    white, *colours = (_column(*primaries[i : i + 2]) for i in range(0, 8, 2))
    columns = np.stack(colours, axis=1)
    gains = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return adapted, adapted @ (columns * np.linalg.solve(columns, white))


def _numbers(kind: bytes, *values: float, before: bytes = b"") -> bytes:
    """A tag of numbers with 16 bits behind the point."""
    return kind + bytes(4) + before + struct.pack(f">{len(values)}i", *(round(65_536 * v) for v in values))


def _profile(space: bytes, tags: dict[str, bytes]) -> bytes:
    """An ICC profile of version 4 for displays."""
    first = {"desc": text_tag("gamma"), "cprt": text_tag("CC0"), "wtpt": _numbers(b"XYZ ", *_D50)}
    body = tag_table(first | tags)
    head = struct.pack(">I4xI", 128 + len(body), 0x04200000) + b"mntr" + space + b"XYZ "
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(24) + struct.pack(">I", 1)
    head += _numbers(b"", *_D50)[4:]
    return head.ljust(128, b"\0") + body
