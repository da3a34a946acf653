"""Colour profiles that mean the same as a well-known one, whatever their bytes, names and makers are.

ICC profile --icc.read--> curves, colorants --channel_light--> linear sRGB, compared with well-known ones
"""

from __future__ import annotations

import functools

import numpy as np

from vqcodec.bitstream.profiles import PROFILES, profile_bytes, profile_number
from vqcodec.image.icc import Floats, Meaning, read

TOLERANCE = 1.0
"""Of 255: how far any colour may be from what the well-known profile makes of it, in sRGB samples.

Profiles that are made from the definition of a space differ by up to 0.95, since they adapt and round its
white in different ways; those that only resemble it, by 8 and more.
"""
_RUN = 32
"""Neighbouring samples of each channel that are judged at once, since all colours would be 16 million."""
_LINEAR = 0.0031308
"""Light up to which samples of sRGB are proportional to it."""
_CICP = {1: (1, 13, 0, 1), 2: (12, 13, 0, 1)}
"""Code points that may stand beside what they mean."""


def recognise(profile: bytes) -> int | None:
    """The number in `vqcodec.bitstream.profiles` of the well-known profile that means the same, or None.

    Then no colour of 8 bits differs by more than `TOLERANCE`, not even before it is clipped to sRGB.
    """
    if (number := profile_number(profile)) is not None:
        return number
    meaning = read(profile)
    if meaning is None:
        return None
    light = channel_light(meaning)
    for number, known in PROFILES.items():
        if known.gray != (meaning.colorants is None) or meaning.cicp not in (None, _CICP.get(number)):
            continue
        if difference(light, _expected(number)) <= TOLERANCE:
            return number
    return None


def difference(light: Floats, other: Floats) -> float:
    """A bound, not far above the truth, on how far any colour is apart in samples of sRGB, of 255.

    Args:
        light: what each sample (K, C, 256) of each of C channels adds to K values of linear sRGB.
        other: the same of another profile.
    """
    run = 1 if light.shape[1] == 1 else _RUN
    runs, others = (values.reshape(*values.shape[:2], -1, run) for values in (light, other))
    apart = runs - others
    most = np.maximum(_sums(apart.max(axis=3)), _sums(-apart.min(axis=3)))
    low, high = _sums(np.minimum(runs, others).min(axis=3)), _sums(np.maximum(runs, others).max(axis=3))
    # The less light, the more samples it makes. `darkest` is what any colour of the runs has at least.
    darkest = np.maximum(np.maximum(low, -high), _LINEAR)
    steepness = np.where(darkest > _LINEAR, 1.055 / 2.4 * darkest ** (1 / 2.4 - 1), 12.92)
    return 255 * float((steepness * most).max())


def _sums(values: Floats) -> Floats:
    """Sums (K, R, ..., R) of one value from each channel of (K, C, R)."""
    total = values[:, 0]
    for channel in range(1, values.shape[1]):
        total = total[..., None] + values[:, channel].reshape(len(values), *[1] * channel, -1)
    return total


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
    return channel_light(meaning)


def channel_light(meaning: Meaning) -> Floats:
    """What samples (K, C, 256) of each channel add to red, green and blue of linear sRGB; of gray K = 1."""
    if meaning.colorants is None:
        return meaning.curves[None]
    to_srgb = np.linalg.inv(np.reshape(PROFILES[1].colorants, (3, 3)).T / 65536)
    return (to_srgb @ meaning.colorants)[:, :, None] * meaning.curves
