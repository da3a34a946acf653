"""Profiles that mean a well-known one are recognised by what they say; all others are not."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.image.icc_profiles import (
    BRADFORD,
    D65,
    SRGB_CURVE,
    SRGB_PARAMETERS,
    colour,
    colour_tags,
    fixed,
    gray,
    para,
    power,
    profile,
    srgb_table,
    table,
)
from tests.image.samples import SRGB
from vqcodec.bitstream.profiles import PROFILES, profile_bytes
from vqcodec.image.icc import Meaning, read
from vqcodec.image.profiles import channel_light, difference, is_srgb, recognise, simplified


def shortened(icc: bytes, by: int) -> bytes:
    """The same bytes, whose header tells fewer."""
    return struct.pack(">I", len(icc) - by) + icc[4:]


SAME = {
    "by littleCMS": (SRGB, 1),
    "version 2 without chad, a table": (colour("sRGB", srgb_table(1024)), 1),
    "version 4 with chad": (
        profile(colour_tags("sRGB", SRGB_CURVE, chad=fixed(b"sf32", BRADFORD)), version=4),
        1,
    ),
    "a scanner, colorimetric": (colour("sRGB", kind=b"scnr", intent=1), 1),
    "a colour space": (colour("sRGB", kind=b"spac"), 1),
    "a curve of type 4": (colour("sRGB", para(4, *SRGB_PARAMETERS, 0, 0)), 1),
    "code points": (profile(colour_tags("sRGB", SRGB_CURVE, cicp=b"cicp" + bytes(4) + b"\1\x0d\0\1")), 1),
    "no white": (profile(colour_tags("sRGB", SRGB_CURVE, wtpt=None)), 1),
    "bytes behind it": (colour("sRGB") + b"more", 1),
    "P3": (colour("Display P3"), 2),
    "P3 with code points": (
        profile(colour_tags("Display P3", SRGB_CURVE, cicp=b"cicp" + bytes(4) + b"\x0c\x0d\0\1")),
        2,
    ),
    "Adobe": (colour("Adobe RGB (1998)", power(563 / 256)), 3),
    "Adobe, a parametric curve": (colour("Adobe RGB (1998)", para(0, 2.19921875)), 3),
    "gray of sRGB": (gray(SRGB_CURVE), 4),
    "gray of sRGB, a table": (gray(srgb_table(4096), D65), 4),
    "gray 2.2": (gray(power(2.2)), 5),
    "gray 2.2, parametric, to print": (gray(para(0, 2.2), kind=b"prtr"), 5),
    "gray 1.8": (gray(power(1.8)), 6),
}
OTHER = {
    "no profile": b"junk",
    "nothing": b"",
    "a simple gamma for sRGB": colour("sRGB", power(2.2)),
    "the curve of Adobe RGB in sRGB": colour("Adobe RGB (1998)"),
    "P3 with gamma 2.6": colour("Display P3", power(2.6)),
    "the curve of video": colour("sRGB", para(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)),
    "tables beside the matrix": profile(colour_tags("sRGB", SRGB_CURVE, A2B0=b"mft1" + bytes(60))),
    "tables towards the screen": profile(colour_tags("sRGB", SRGB_CURVE, B2A0=b"mft1" + bytes(60))),
    "a calibration": profile(colour_tags("sRGB", SRGB_CURVE, vcgt=b"vcgt" + bytes(60))),
    "code points of another space": profile(
        colour_tags("sRGB", SRGB_CURVE, cicp=b"cicp" + bytes(4) + b"\x09\x10\0\1")
    ),
    "absolute colorimetry": colour("sRGB", intent=3),
    "saturation": colour("sRGB", intent=2),
    "a printer": colour("sRGB", kind=b"prtr"),
    "a link": colour("sRGB", kind=b"link"),
    "connected by Lab": colour("sRGB", connection=b"Lab "),
    "version 5": colour("sRGB", version=5),
    "CMYK": colour("sRGB", space=b"CMYK"),
    "an odd white": profile(colour_tags("sRGB", SRGB_CURVE, wtpt=fixed(b"XYZ ", (0.8, 0.8, 0.7)))),
    "adapted from an odd white": profile(
        colour_tags("sRGB", SRGB_CURVE, chad=fixed(b"sf32", (0.8, 0, 0, 0, 1, 0, 0, 0, 1)))
    ),
    "adapted from no white": profile(colour_tags("sRGB", SRGB_CURVE, chad=fixed(b"sf32", (0.0,) * 9))),
    "red and green swapped": profile(
        {
            {"rXYZ": "gXYZ", "gXYZ": "rXYZ"}.get(name, name): tag
            for name, tag in colour_tags("sRGB", SRGB_CURVE).items()
        }
    ),
    "no red": profile(colour_tags("sRGB", SRGB_CURVE, rXYZ=None)),
    "no curve": profile(colour_tags("sRGB", SRGB_CURVE, bTRC=None)),
    "one curve of another kind": profile(colour_tags("sRGB", SRGB_CURVE, bTRC=power(1.8))),
    "a colorant of another type": profile(
        colour_tags("sRGB", SRGB_CURVE, rXYZ=fixed(b"sf32", (0.4360, 0.2225, 0.0139)))
    ),
    "not adapted to D50": profile(
        {
            **colour_tags("sRGB", SRGB_CURVE),
            "rXYZ": fixed(b"XYZ ", (0.4124, 0.2126, 0.0193)),
            "gXYZ": fixed(b"XYZ ", (0.3576, 0.7152, 0.1192)),
            "bXYZ": fixed(b"XYZ ", (0.1805, 0.0722, 0.9505)),
        }
    ),
    "linear gray": gray(b"curv" + bytes(8)),
    "gray 2.0": gray(power(2.0)),
    "gray on paper": gray(table(np.linspace(0, 1, 256) ** 1.75)),
    "gray with a colour's curves": profile(colour_tags("sRGB", SRGB_CURVE), space=b"GRAY"),
    "an unknown kind of curve": colour("sRGB", para(5, *SRGB_PARAMETERS, 0, 0)),
    "a curve of another type": colour("sRGB", b"data" + SRGB_CURVE[4:]),
    "a curve that falls": colour("sRGB", para(3, -2.4, *SRGB_PARAMETERS[1:])),
    "a curve that is cut": colour("sRGB", SRGB_CURVE[:20]),
    "a table that is cut": colour("sRGB", srgb_table(1024)[:200]),
    "no signature": colour("sRGB").replace(b"acsp", b"none"),
    "a tag twice": colour("sRGB").replace(b"rTRC", b"gTRC"),
    "a harmless tag twice": profile(
        colour_tags("sRGB", SRGB_CURVE, cprt=b"text" + bytes(4) + b"x\0", tech=b"sig " + bytes(8))
    ).replace(b"tech", b"cprt"),
    "a curve behind the end": colour("sRGB")[:-4],
    "a harmless tag behind the end": profile(colour_tags("sRGB", SRGB_CURVE, cprt=b"text" + bytes(20)))[:-4],
    "a size that leaves out the last curve": shortened(colour("sRGB"), 4),
    "a curve from infinity": colour("sRGB", para(0, -2.2)),
    "a curve to infinity": colour("sRGB", para(1, 1000.0, 1000.0, 0.0)),
    "too many tags": profile(colour_tags("sRGB", SRGB_CURVE) | {f"x{n:03}": b"" for n in range(100)}),
}


@pytest.mark.parametrize(("same", "number"), SAME.values(), ids=SAME)
def test_what_means_the_same_is_recognised(same, number):
    assert recognise(same) == number
    assert simplified(same) == profile_bytes(number)
    assert is_srgb(same) == (number in (1, 4))
    assert largest_difference(same, profile_bytes(number), PROFILES[number].gray) <= 1


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_what_means_something_else_is_not(other):
    assert recognise(other) is None
    assert simplified(other) is other
    assert not is_srgb(other)


@pytest.mark.parametrize("number", PROFILES)
def test_a_well_known_profile_means_itself(number):
    assert recognise(profile_bytes(number)) == number
    # Not only because its bytes are known.
    renamed = profile_bytes(number).replace("CC0".encode("utf-16-be"), "You".encode("utf-16-be"))
    assert renamed != profile_bytes(number)
    assert recognise(renamed) == number


@pytest.mark.parametrize("name", ["sRGB", "Display P3"])
@pytest.mark.parametrize("channel", range(3))
def test_a_screen_that_is_only_near_is_not(name, channel):
    """Screens differ from sRGB by hundredths; published values of it, by one in the fourth place."""
    tags = colour_tags(name, SRGB_CURVE)
    values = list(np.frombuffer(tags["rXYZ"], ">i4", 3, 8) / 65536)
    for change, same in ((0.0001, True), (0.004, False), (-0.004, False)):
        moved = [value + change * (at == channel) for at, value in enumerate(values)]
        near = profile({**tags, "rXYZ": fixed(b"XYZ ", tuple(moved))})
        assert (recognise(near) is not None) == same


@given(st.floats(1.0, 3.0), st.sampled_from(["sRGB", "Display P3", "Adobe RGB (1998)", "gray"]))
def test_never_wrong_about_a_power(exponent, name):
    made = gray(power(exponent)) if name == "gray" else colour(name, power(exponent))
    number = recognise(made)
    assert number is None or largest_difference(made, profile_bytes(number), name == "gray") <= 1


def near(number: int, seed: int) -> bytes:
    """A well-known profile with colorants and curve moved at random, by a little or by less."""
    generator = np.random.default_rng(seed)
    known = PROFILES[number]
    moved = np.reshape(known.colorants, (3, 3)) / 65536
    moved = moved + generator.normal(0, 10 ** generator.uniform(-5, -3.3), (3, 3))
    bend = 1 + generator.normal(0, 10 ** generator.uniform(-5, -3), 5)
    curve = para(0, 563 / 256 * bend[0]) if number == 3 else para(3, *(bend * SRGB_PARAMETERS))
    colorants = {f"{c}XYZ": fixed(b"XYZ ", tuple(xyz)) for c, xyz in zip("rgb", moved, strict=True)}
    return profile(colour_tags(known.name, curve, **colorants), version=4)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("number", [1, 2, 3])
def test_never_wrong_about_what_is_near(number, seed):
    made = near(number, seed)
    meaning, known = read(made), read(profile_bytes(number))
    assert meaning is not None
    assert known is not None
    bound = difference(channel_light(meaning), channel_light(known))
    truth = by_colours(meaning, known)
    assert truth - 1e-4 <= bound <= 1.5 * truth + 0.1  # the curve of sRGB has a step of 1e-5
    assert recognise(made) == (number if bound <= 1 else None)
    assert bound > 1 or largest_difference(made, profile_bytes(number), False) <= 1


def test_one_sample_apart_is_the_limit():
    samples = np.arange(256) / 255

    def shown(exponent: float) -> np.ndarray:
        light = samples**exponent
        return 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)

    for exponent in np.arange(2.17, 2.23, 0.001):
        apart = float(np.abs(shown(exponent) - shown(563 / 256)).max())
        known = recognise(gray(para(0, exponent))) == 5
        assert known or apart > 0.9, exponent
        assert not known or apart <= 1, exponent


def by_colours(one: Meaning, other: Meaning) -> float:
    """The largest difference of many colours in sRGB samples that are not clipped, of 255."""
    to_srgb = np.linalg.inv(np.reshape(PROFILES[1].colorants, (3, 3)).T / 65536)
    levels = np.r_[0:256:6, 255]
    samples = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    shown = []
    for meaning in (one, other):
        assert meaning.colorants is not None
        light = np.stack([meaning.curves[c][samples[:, c]] for c in range(3)], axis=1)
        light = light @ (to_srgb @ meaning.colorants).T
        size = np.abs(light)
        curved = np.where(size > 0.0031308, 1.055 * size ** (1 / 2.4) - 0.055, 12.92 * size)
        shown.append(255 * np.copysign(curved, light))
    return float(np.abs(shown[0] - shown[1]).max())


@given(st.integers(0, 400), st.binary(min_size=1, max_size=6))
def test_damage_never_raises_and_is_never_wrong(place, junk):
    whole = colour("sRGB", para(0, 2.2)) if len(junk) % 2 else profile_bytes(3)
    damaged = whole[:place] + junk + whole[place + len(junk) :]
    assert recognise(damaged) in ((None,) if len(junk) % 2 else (None, 3))
    assert recognise(whole[:place]) is None


def largest_difference(one: bytes, other: bytes, only_gray: bool) -> int:
    """The largest difference, of 255, that littleCMS finds between two profiles when converting to sRGB."""
    levels = np.array([0, 1, 3, 8, 16, 32, 64, 96, 128, 160, 192, 224, 240, 254, 255], np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(np.arange(256, dtype=np.uint8)[None] if only_gray else grid)
    shown = [
        ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        for icc in (one, other)
    ]
    first, second = (np.asarray(found).astype(int) for found in shown)
    return int(np.abs(first - second).max())
