"""Every option of the codec reaches what it is an option of; what is not given has its documented default."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FakeModel, codec_of
from vqcodec import codec as module
from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.compress.dial import busyness, level_from_quality
from vqcodec.compress.options import CompressOptions
from vqcodec.errors import ModelNotFound, UnsuitableOption
from vqcodec.metrics.rate_distortion import psnr


class Watched(FakeModel):
    """A model that keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[dict[str, Any]] = []
        self.decoded: list[dict[str, Any]] = []

    def encode(self, pixels, level, tile, effort=0, progress=None):
        self.encoded.append({"level": level, "tile": tile, "effort": effort})
        return super().encode(pixels, level, tile, effort, progress)

    def decode(self, segments, **options):
        self.decoded.append(options)
        return super().decode(segments, **options)

    def parts(self, segments, *, region=None, **options):
        yield from super().parts(segments, region=region, **options)
        self.decoded[-1]["region"] = region


@pytest.fixture
def model() -> Watched:
    return Watched()


@pytest.fixture
def watched(model):
    return codec_of(model)


@pytest.fixture
def clock(monkeypatch):
    """Two looks at the clock are 3 seconds apart."""
    times = iter((1000.0, 1003.0))
    monkeypatch.setattr(module, "time", types.SimpleNamespace(perf_counter=lambda: next(times)))


@pytest.fixture
def photo_with_place(tmp_path: Path, pixels) -> Path:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    path = tmp_path / "place.png"
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_compress_has_its_defaults(watched, model, photo_with_place, pixels):
    data = watched.compress(photo_with_place)
    level = level_from_quality(50, busyness(pixels))
    assert level != level_from_quality(50)
    assert model.encoded == [{"level": level, "tile": 1024, "effort": 1}]
    kinds = {chunk.type: chunk.data for chunk in parse(data).chunks}
    assert kinds.keys() == {"eXIF"}
    options = {
        "metadata": "all",
        "strip_gps": False,
        "label": False,
        "effort": 1,
        "quality": 50,
        "tile": 1024,
    }
    assert watched.compress(photo_with_place, **options) == data
    assert watched.compress_with_info(photo_with_place)[0] == data
    assert watched.compress(watched.prepare(photo_with_place)) == data
    assert {call["effort"] for call in model.encoded} == {1}
    assert watched.compress(photo_with_place, strip_gps=True) != data
    assert watched.compress(watched.prepare(photo_with_place, strip_gps=True)) != data


def test_options_are_the_arguments_of_compress():
    arguments = list(inspect.signature(Codec.compress).parameters.values())[2:]
    fields = {field.name: field.default for field in dataclasses.fields(CompressOptions)}
    assert {argument.name: argument.default for argument in arguments} == fields
    with pytest.raises(TypeError, match="unexpected keyword argument 'qualty'"):
        CompressOptions(qualty=50)  # type: ignore[call-arg]


def test_options_that_there_are_not_are_told_by_a_name_that_users_know(codec, pixels, tmp_path):
    for compress in (
        codec.compress_with_info,
        functools.partial(codec.compress_file, dst=tmp_path / "x.vqc"),
    ):
        with pytest.raises(TypeError, match=r"^compress\(\) got an unexpected keyword argument 'qualty'"):
            compress(pixels, qualty=50)
    assert list(tmp_path.iterdir()) == []


def test_a_size_with_a_fraction_is_rounded_down(codec, pixels):
    assert codec.compress(pixels, target_size=2000.5) == codec.compress(pixels, target_size=2000)


def test_effort_and_progress_reach_the_encoder(watched, model, pixels):
    for compress in (watched.compress, watched.compress_with_info):
        calls: list[tuple[int, int]] = []
        compress(pixels, tile=64, effort=7, progress=lambda *parts: calls.append(parts))  # noqa: B023
        assert model.encoded.pop()["effort"] == 7
        assert calls == [(1, 2), (2, 2)]


def test_the_level_below_would_fall_short_of_the_psnr(watched, model, pixels):
    data = watched.compress(pixels, psnr=38.0)
    level = parse(data).header.level
    assert psnr(pixels, np.asarray(watched.decompress(data))) > 38.0
    lower = watched.encode(pixels, level - 1)
    where = {"width": 72, "height": 48, "level": level - 1, "tile": 1024}
    assert psnr(pixels, watched.decode(lower.segments, **where)) <= 38.0
    assert watched.compress_with_info(pixels, psnr=38.0)[0] == data


@pytest.mark.parametrize("option", ["bpp", "target_size", "psnr"])
def test_targets_are_positive_and_finite(watched, pixels, option):
    for bad in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"^{option} must be positive, not {bad}$"):
            watched.compress(pixels, **{option: bad})
        with pytest.raises(
            ValueError, match=r"^give only one of quality, bpp, target_size, psnr and lossless$"
        ):
            watched.compress(pixels, quality=3, **{option: bad})


def test_targets_may_be_less_than_one(watched):
    flat = np.full((256, 256, 3), 99, np.uint8)
    assert 8 * len(watched.compress(flat, bpp=0.9)) / 256**2 <= 0.9
    assert watched.compress(flat, psnr=0.5) == watched.compress(flat, quality=0)


@pytest.mark.parametrize("name", ["quality", "bpp", "target_size", "psnr", "tile", "effort"])
def test_options_in_text_are_told_by_their_name(watched, pixels, name):
    with pytest.raises(TypeError, match=rf"^{name} must be a (whole )?number, not '64'$"):
        watched.compress(pixels, **{name: "64"})


def test_tile_and_effort_are_whole_numbers_of_any_kind(watched, pixels):
    for name in ("tile", "effort"):
        with pytest.raises(TypeError, match=rf"^{name} must be a whole number, not 64\.0$"):
            watched.compress(pixels, **{name: 64.0})
    assert watched.compress(pixels, quality=np.float32(64), tile=np.int64(64), effort=np.int8(2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tile": None}, "tile must be a whole number, not None"),
        ({"effort": None}, "effort must be a whole number, not None"),
        ({"limits": None}, "limits must be a vqcodec.Limits, not None"),
        ({"metadata": None}, "metadata must be text, or a list of it, not None"),
        ({"metadata": [3]}, "metadata must be text, or a list of it, not [3]"),
    ],
)
def test_options_of_compress_that_are_of_no_kind(watched, pixels, options, said):
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        watched.compress(pixels, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"realism": "1"}, "realism must be a number, not '1'"),
        ({"realism": None}, "realism must be a number, not None"),
        ({"preview": 1.0}, "preview must be a whole number, not 1.0"),
        ({"preview": 1.5}, "preview must be a whole number, not 1.5"),
        ({"limits": 5}, "limits must be a vqcodec.Limits, not 5"),
        ({"metadata": 3}, "metadata must be text, or a list of it, not 3"),
        (
            {"region": (1.0, 2, 3, 4)},
            "region must be four whole numbers, x, y, width and height, not (1.0",
        ),
        ({"region": 7}, "region must be four whole numbers, x, y, width and height, not 7"),
        ({"region": "1,2,3,4"}, "region must be four whole numbers, x, y, width and height, not '1,2,3,4'"),
    ],
)
def test_options_of_decompress_that_are_of_no_kind(watched, pixels, options, said):
    data = watched.compress(pixels)
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        watched.decompress(data, **options)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int8, np.int64])
def test_a_region_of_numpy_integers(watched, pixels, kind):
    """Unsigned ones, as detectors give them, do not overflow on the way."""
    data = watched.compress(pixels)
    part = watched.decompress(data, region=np.array([40, 9, 30, 20], kind))
    assert np.array_equal(np.asarray(part), np.asarray(watched.decompress(data, region=(40, 9, 30, 20))))
    with pytest.raises(UnsuitableOption, match="not within 72x48"):
        watched.decompress(data, region=np.array([120, 9, 120, 20]).astype(np.uint8))
    for few in ((), (1, 2, 3)):
        with pytest.raises(ValueError, match="four whole numbers"):
            watched.decompress(data, region=few)


def test_decompress_passes_its_options_on(watched, model, pixels):
    data = watched.compress(pixels, quality=95, tile=64, drawn=False)
    calls: list[tuple[int, int]] = []
    part = watched.decompress(data, region=(3, 4, 20, 10), progress=lambda *parts: calls.append(parts))
    assert part.size == (20, 10)
    assert calls
    assert [model.decoded[-1][key] for key in ("realism", "region")] == [0.0, (3, 4, 20, 10)]
    coarse, fine = watched.decompress(data, preview=1), watched.decompress(data)
    assert psnr(pixels, np.asarray(coarse)) < psnr(pixels, np.asarray(fine)) - 3
    with pytest.raises(ModelNotFound, match="no perceptual decoder"):
        watched.decompress(data, realism=0.5)
    assert model.decoded[-1]["realism"] == 0.5


def test_files_take_the_same_options(watched, tmp_path, pixels):
    data = watched.compress(pixels)
    target = tmp_path / "part.png"
    watched.decompress_file(data, target, region=(0, 0, 20, 10))
    with Image.open(target) as image:
        assert image.size == (20, 10)
    file = tmp_path / "x.vqc"
    file.write_bytes(data)
    with pytest.raises(ValueError, match="same file"):
        watched.decompress_file(file, file, picture_format="png")
    assert file.read_bytes() == data


def test_the_time_that_compression_took_is_in_its_info(watched, pixels, clock):
    assert watched.compress_with_info(pixels)[1].seconds == 3.0


def test_decompression_tells_its_time_and_what_the_format_could_not_hold(watched, pixels, clock):
    image = Image.fromarray(pixels)
    image.putalpha(99)
    data = watched.compress(image)
    _, info = watched.transcode(data, "JPEG")
    assert info.seconds == 3.0
    assert info.notes == ("JPEG has no alpha channel, flattened on white",)


def test_encode_and_decode_have_the_defaults_of_compress(watched, model, pixels):
    encoded = watched.encode(pixels, 100)
    assert model.encoded == [{"level": 100, "tile": 1024, "effort": 1}]
    watched.encode(pixels, 100, 64, 3)
    assert model.encoded[1] == {"level": 100, "tile": 64, "effort": 3}
    where = {"width": 72, "height": 48, "level": 100, "tile": 1024}
    watched.decode(encoded.segments, **where)
    assert model.decoded == [where | {"realism": 0.0}]
    with pytest.raises(ModelNotFound, match="no perceptual decoder"):
        watched.decode(encoded.segments, **where, realism=1)
    with pytest.raises(ValueError, match="realism must be from 0 to 1"):
        watched.decode(encoded.segments, **where, realism=1.1)
