"""ICC profiles made by hand, for tests of what reads them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

D50, D65 = (0.9642, 1.0, 0.8249), (0.9505, 1.0, 1.0891)
BRADFORD = (1.0479, 0.0229, -0.0502, 0.0296, 0.9905, -0.0171, -0.0092, 0.0151, 0.7517)
"""From D65 to D50, row by row."""
COLORANTS = {
    "sRGB": ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)),
    "Display P3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "Adobe RGB (1998)": (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
}
"""X, Y, Z of red, green and blue as they are published, for D50."""
SRGB_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(kind: bytes, values: tuple[float, ...]) -> bytes:
    """A tag of fixed-point numbers."""
    return kind + bytes(4) + struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))


def para(kind: int, *values: float) -> bytes:
    """A parametric curve."""
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(b"", values)[4:]


def power(exponent: float) -> bytes:
    """A curve of one exponent."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * exponent))


def table(light: np.ndarray) -> bytes:
    """A curve of as many points as `light` has, in 0..1."""
    return b"curv" + bytes(4) + struct.pack(">I", len(light)) + np.rint(65535 * light).astype(">u2").tobytes()


def srgb_table(points: int) -> bytes:
    """The curve of sRGB by points."""
    samples = np.linspace(0, 1, points)
    return table(np.where(samples < 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4))


SRGB_CURVE = para(3, *SRGB_PARAMETERS)


def profile(
    tags: dict[str, bytes],
    *,
    space: bytes = b"RGB ",
    kind: bytes = b"mntr",
    connection: bytes = b"XYZ ",
    version: int = 2,
    intent: int = 0,
) -> bytes:
    """An ICC profile with these tags."""
    head, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        head += struct.pack(">4sII", name.encode(), start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI4s4s4s", start + len(body), version << 24, kind, space, connection)
    header += bytes(12) + b"acsp" + bytes(24) + struct.pack(">I", intent) + fixed(b"", D50)[4:]
    return header.ljust(128, b"\0") + head + body


def colour_tags(name: str, curve: bytes, **others: bytes | None) -> dict[str, bytes]:
    """Tags of a space of `COLORANTS` with this curve; `others` are added, None takes one away."""
    tags = {"wtpt": fixed(b"XYZ ", D65), "desc": b"desc" + bytes(8) + b"some name\0"}
    tags |= {f"{c}XYZ": fixed(b"XYZ ", xyz) for c, xyz in zip("rgb", COLORANTS[name], strict=True)}
    tags |= {f"{c}TRC": curve for c in "rgb"}
    return {key: tag for key, tag in {**tags, **others}.items() if tag is not None}


def colour(name: str, curve: bytes = SRGB_CURVE, **header: Any) -> bytes:
    """A profile of a space of `COLORANTS`."""
    return profile(colour_tags(name, curve), **header)


def gray(curve: bytes, white: tuple[float, ...] = D50, **header: Any) -> bytes:
    """A profile of gray."""
    return profile({"wtpt": fixed(b"XYZ ", white), "kTRC": curve}, space=b"GRAY", **header)
