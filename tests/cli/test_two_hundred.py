"""200 pictures of mixed modes, formats, sizes and metadata, cut from the samples, in one batch and back."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

import vqcodec
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.metrics.rate_distortion import psnr

COUNT = 200
SAMPLES = Path(str(vqcodec.__file__)).parent / "samples"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

FORMATS = {
    "RGB": ("png", "jpg", "webp", "avif", "tif", "bmp", "ppm"),
    "RGBA": ("png", "webp", "avif", "tif"),
    "L": ("png", "jpg", "tif", "bmp", "pgm"),
    "LA": ("png", "tif"),
    "P": ("png", "gif", "bmp", "tif"),
    "P+": ("png", "gif"),
    "1": ("png", "tif", "bmp", "pbm"),
    "I;16": ("png", "tif"),
    "CMYK": ("jpg", "tif"),
}
"""Mode -> suffixes; P+ is a palette with transparent entries."""
MODES = {"P": "RGB", "P+": "RGBA", "1": "L", "I;16": "L", "CMYK": "RGB"}
"""What comes back where it is another mode."""
WITH_EXIF = {"png", "jpg", "webp", "avif", "tif"}
WITH_XMP = {"png", "jpg", "webp", "avif"}
LOSSLESS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 95},
    "webp": {"lossless": True, "exact": True},
    "avif": {"quality": 95},
}
UNDO = {1: None, 3: 3, 6: 2, 8: 4}
"""Orientation -> the transposition that makes a picture need it."""


@dataclass
class Case:
    """One source, and what must come back."""

    name: str
    mode: str
    image: Image.Image
    blocks: dict[str, bytes] = field(default_factory=dict)


def cut(samples: list[Image.Image], rng: np.random.Generator) -> Image.Image:
    """A random part of a random sample, 8 to 90 pixels wide and high."""
    sample = samples[rng.integers(len(samples))]
    width, height = (int(n) for n in rng.integers(8, 91, 2))
    left, top = int(rng.integers(sample.width - width)), int(rng.integers(sample.height - height))
    return sample.crop((left, top, left + width, top + height))


def converted(image: Image.Image, mode: str, rng: np.random.Generator) -> Image.Image:
    if mode[-1] == "A":
        image = image.convert(mode[:-1])
        image.putalpha(Image.fromarray(rng.integers(0, 255, image.size[::-1], dtype=np.uint8)))
        return image
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode[0] == "P":
        return image.quantize(64)
    return image.convert(mode)


def converted_to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "I;16":
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def make(folder: Path, number: int, samples: list[Image.Image], rng: np.random.Generator) -> Case:
    """Save one picture, and say what it is."""
    mode = list(FORMATS)[number % len(FORMATS)]
    suffix = str(rng.choice(FORMATS[mode]))
    image = converted(cut(samples, rng), mode, rng)
    options = dict(LOSSLESS.get(suffix, {}))
    case = Case(f"{number:03}", MODES.get(mode, mode), image)
    if mode == "P+":
        options["transparency"] = 3 if suffix == "gif" else bytes(range(0, 192, 3))
    if suffix in WITH_EXIF and rng.random() < 0.5:
        orientation = int(rng.choice(list(UNDO)))
        undo = UNDO[orientation]
        image = image if undo is None else image.transpose(Image.Transpose(undo))
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = orientation, f"Maker {number}"
        options["exif"] = exif.tobytes()
        case.blocks["exif"] = f"Maker {number}".encode()
    if suffix in WITH_XMP and rng.random() < 0.5:
        case.blocks["xmp"] = f"<x:xmpmeta n='{number}'/>".encode()
        if suffix == "png":
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", case.blocks["xmp"].decode())
        else:
            options["xmp"] = case.blocks["xmp"]
    if mode in ("RGB", "RGBA", "P", "P+") and suffix in WITH_EXIF and rng.random() < 0.5:
        options["icc_profile"], case.blocks["icc_profile"] = SRGB, profile_bytes(1)
    path = folder / f"{case.name}.{suffix}"
    image.save(path, **options)
    if mode[-1] in "A+":
        # As it is stored: AVIF's alpha is not lossless, a palette's is made here. Not from the path, whose
        # pixels Pillow maps into memory; TIFF files that are to be turned come out wrong then.
        stored = Image.open(io.BytesIO(path.read_bytes())).convert("RGBA")
        upright = ImageOps.exif_transpose(stored)
        case.image = upright if mode == "P+" else case.image
        case.image.putalpha(upright.getchannel("A"))
    return case


@pytest.mark.slow
@pytest.mark.timeout(900)  # minutes of work, more where a machine is shared
def test_two_hundred_pictures(tiny_codec, tmp_path):
    rng = np.random.default_rng(6)
    samples = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.png"))]
    (tmp_path / "in").mkdir()
    cases = [make(tmp_path / "in", number, samples, rng) for number in range(COUNT)]
    assert len({path.suffix for path in (tmp_path / "in").iterdir()}) == 10
    codec = tiny_codec
    coded = vqcodec.compress_batch([tmp_path / "in"], tmp_path / "vqc", codec=codec, quality=90)
    assert not coded.failed
    assert len(coded.done) == COUNT
    back = vqcodec.decompress_batch([tmp_path / "vqc"], tmp_path / "out", codec=codec)
    assert len(back.done) == COUNT
    for case in cases:
        with Image.open(io.BytesIO((tmp_path / "out" / f"{case.name}.png").read_bytes())) as found:
            assert (found.mode, found.size) == (case.mode, case.image.size), case.name
            assert found.info.keys() & {"exif", "icc_profile", "xmp"} == case.blocks.keys(), case.name
            exif = found.getexif()
            assert exif.get(0x0112, 1) == 1
            assert exif.get(0x010F, "").encode() == case.blocks.get("exif", b"")
            for key in case.blocks.keys() - {"exif"}:
                assert found.info[key] == case.blocks[key], case.name
            if case.mode[-1] == "A":
                assert found.getchannel("A").tobytes() == case.image.getchannel("A").tobytes(), case.name
            if case.image.mode != "1":  # dithering is noise to this model
                wanted = converted_to_rgb(case.image)
                assert psnr(wanted, np.asarray(found.convert("RGB"))) > 14, case.name
