"""Colour profiles that mean the same as a well-known one, whatever their bytes, names and makers are.

ICC profile --icc.read--> curves, colorants --_shown--> sRGB samples, to compare with a well-known profile's
"""

from __future__ import annotations

import functools

import numpy as np

from vqcodec.bitstream.profiles import PROFILES, profile_bytes, profile_number
from vqcodec.image.icc import Floats, Meaning, read

TOLERANCE = 1.0
"""Of 255: how far any colour may be from what the well-known profile makes of it, in sRGB samples.

Profiles that are made from the definition of a space differ by up to 0.93, since they adapt and round its
white in different ways; those that only resemble it, by 8 and more.
"""
_CICP = {1: (1, 13, 0, 1), 2: (12, 13, 0, 1)}
"""Code points that may stand beside what they mean."""
_LEVELS = np.linspace(0, 255, 9).astype(np.intp)
_GRAYS = np.arange(256)[:, None].repeat(3, axis=1)
_COLOURS = np.concatenate([np.stack(np.meshgrid(*[_LEVELS] * 3), axis=-1).reshape(-1, 3), _GRAYS])
"""Samples (P, 3) of the colours that are compared: a grid, and all grays."""


def recognise(profile: bytes) -> int | None:
    """The number in `vqcodec.bitstream.profiles` of the well-known profile that means the same, or None.

    Then no colour of a grid differs by more than `TOLERANCE`, not even before it is clipped to sRGB.
    """
    if (number := profile_number(profile)) is not None:
        return number
    meaning = read(profile)
    if meaning is None:
        return None
    shown = _shown(meaning)
    for number, known in PROFILES.items():
        if known.gray != (meaning.colorants is None) or meaning.cicp not in (None, _CICP.get(number)):
            continue
        if np.abs(shown - _expected(number)).max() <= TOLERANCE:
            return number
    return None


def simplified(profile: bytes) -> bytes:
    """The well-known profile that means the same, or else the profile itself."""
    number = recognise(profile)
    return profile if number is None else profile_bytes(number)


def is_srgb(profile: bytes) -> bool:
    """Whether samples with this profile, of colour or gray, are sRGB as they are."""
    return recognise(profile) in (1, 4)


@functools.cache
def _expected(number: int) -> Floats:
    meaning = read(profile_bytes(number))
    assert meaning is not None
    return _shown(meaning)


def _shown(meaning: Meaning) -> Floats:
    """sRGB samples of the compared colours, or of all grays; not clipped, so that more than sRGB is seen."""
    if meaning.colorants is None:
        return _encode(meaning.curves[0])
    to_srgb = np.linalg.inv(np.reshape(PROFILES[1].colorants, (3, 3)).T / 65536)
    light = meaning.curves[[0, 1, 2], _COLOURS]
    return _encode(light @ (to_srgb @ meaning.colorants).T)


def _encode(light: Floats) -> Floats:
    size = np.abs(light)
    curved = 1.055 * size ** (1 / 2.4) - 0.055
    return 255 * np.copysign(np.where(size > 0.0031308, curved, 12.92 * size), light)
