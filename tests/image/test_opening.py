"""Files that end early, and what is said of files that are refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile

import vqcodec
from tests.image.samples import exif_with, saved
from vqcodec.errors import UnsupportedImage
from vqcodec.image.picture import load_picture

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_only_is_taken(mode, missing, progressive):
    data = saved(PHOTO.convert(mode), "JPEG", quality=90, progressive=progressive)
    picture = load_picture(data[:-missing])
    assert np.array_equal(picture.pixels, load_picture(data).pixels)
    assert "the end marker of the JPEG is missing" in picture.notes
    assert picture.complete


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_more_is_refused_or_taken_as_it_is(codec, progressive):
    data = saved(PHOTO, "JPEG", quality=90, progressive=progressive)
    cuts = [data[: len(data) * 2 // 3], data[:-40], data[:-6]]
    if progressive:
        cuts.append(data[: data.rindex(b"\xff\xda")])  # a whole scan is missing
    for cut in cuts:
        with pytest.raises(UnsupportedImage, match="damaged"):
            load_picture(cut)
        picture = load_picture(cut, allow_partial=True)
        assert (picture.width, picture.complete) == (96, False)
        assert picture.notes == ("the file is cut short or damaged, only a part of the picture is coded",)
        _, info = codec.compress_with_info(cut, allow_partial=True)
        assert not info.complete
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_other_formats_that_are_cut_are_taken_where_pillow_can(kind):
    data = saved(PHOTO, kind)[: -len(saved(PHOTO, kind)) // 3]
    try:
        picture = load_picture(data, allow_partial=True)
    except UnsupportedImage as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert (picture.width, picture.height) == (96, 64)
    with pytest.raises(UnsupportedImage):
        load_picture(data[:20], allow_partial=True)


def test_partial_pictures_on_the_command_line(vqcodec, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(PHOTO, "JPEG")[:-50])
    assert vqcodec("compress", path).code == 3
    assert not (tmp_path / "a.vqc").exists()
    run = vqcodec("compress", path, "--allow-partial")
    assert (run.code, "note: the file is cut short" in run.err) == (3, True)
    assert (tmp_path / "a.vqc").exists()
    assert vqcodec("compress", path, "-f", "--max-pixels", "6143", "--allow-partial").code == 3
    assert "more than the limit of 6143" in vqcodec("compress", path, "-f", "--max-pixels", "6143").err
    assert vqcodec("compress", path, "-f", "--compare", "--allow-partial").code == 3


def float_tiff() -> bytes:
    tags = [(256, 8), (257, 8), (258, 32), (259, 1), (262, 2), (273, 122), (277, 3), (278, 8), (339, 3)]
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4) + bytes(8 * 8 * 12)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved(PHOTO, "WEBP")[:-40], r"damaged or unsupported WEBP picture \(.+\)"),
        (saved(PHOTO, "AVIF")[:-40], r"damaged or unsupported picture \(.+\)"),
        (saved(PHOTO)[:20], r"damaged or unsupported PNG picture \(.+\)"),
        (saved(PHOTO, "GIF")[:8], r"damaged or unsupported GIF picture \(.+\)"),
        (float_tiff(), r"damaged or unsupported TIFF picture \(unknown pixel mode\)"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "is HEIC, which Pillow does not read"),
        (b"\xff\x0a" + bytes(40), "is JPEG XL, which Pillow does not read"),
        (b"<svg xmlns='x'/>", "is SVG or XML, which Pillow does not read"),
        (b"%PDF-1.7", "is PDF, which Pillow does not read"),
        (bytes(50), "not a picture in a known format"),
        (b"some text of a person", "not a picture in a known format"),
    ],
)
def test_refusals_say_what_is_wrong(data, reason):
    with pytest.raises(UnsupportedImage, match=f"^{reason}$"):
        load_picture(data)


def test_notes_reach_the_description_of_a_file(codec):
    _, info = codec.compress_with_info(io.BytesIO(saved(PHOTO, "JPEG")[:-2]))
    assert isinstance(info, vqcodec.ImageInfo)
    assert (info.notes, info.complete) == (("the end marker of the JPEG is missing",), True)


def test_damage_that_pillow_is_told_to_overlook_raises_one_type():
    """Cut and changed files of formats with metadata, half of them with `allow_partial`."""
    rng = np.random.default_rng(5)
    exif = exif_with(6)
    files = [saved(PHOTO, kind, exif=exif) for kind in ("JPEG", "PNG", "TIFF", "WEBP")]
    seen = 0
    for trial in range(400):
        data = bytearray(files[trial % 4])
        if trial % 3:
            del data[rng.integers(1, len(data)) :]
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(0, 256)
        try:
            picture = load_picture(bytes(data), allow_partial=trial % 2 == 0)
        except UnsupportedImage as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            picture.metadata.without_gps()
            seen += 1
    assert 20 < seen < 380
