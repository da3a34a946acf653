"""Codec, probe and verify: everything around the network, with a codec that needs no weights."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import vqcodec
from vqcodec import errors
from vqcodec.bitstream import parse, write
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.compress import picture_encoder
from vqcodec.compress.picture_encoder import PictureEncoder
from vqcodec.compress.preparing import Prepared
from vqcodec.image.picture import Picture
from vqcodec.loading import resolve_device
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.probing import describe
from vqcodec.types import Chunk, Limits
from vqcodec.weights import zoo

PACKAGED = Path(str(vqcodec.__file__)).parent / "weights" / "default.safetensors"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def opened(path: Path) -> Image.Image:
    """The picture in a file, without a file left open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def test_round_trip_is_what_the_segments_give(codec, pixels):
    data = codec.compress(pixels, quality=100)
    image = codec.decompress(data)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), pixels)
    assert image.info["vqc_complete"]


def test_quality_is_monotone_in_size_and_psnr(codec, pixels):
    ready = codec.prepare(pixels)
    files = [codec.compress(ready, quality=quality) for quality in (0, 25, 50, 75, 100)]
    sizes = [len(data) for data in files]
    scores = [psnr(pixels, np.asarray(codec.decompress(data))) for data in files]
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)
    assert codec.compress(pixels) == files[2]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_survive(codec, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    if mode[-1] == "A":
        image.putalpha(Image.fromarray(pixels[:, :, 0] | 1))  # colours under an alpha of 0 are not kept
    back = codec.decompress(codec.compress(image, quality=100))
    assert back.mode == mode
    assert np.array_equal(np.asarray(back), np.asarray(image))


@given(
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    tile=st.sampled_from([0, 64, 128]),
    seed=st.integers(0, 9),
)
@settings(max_examples=30, deadline=None)
def test_any_size_and_tile(codec, width, height, tile, seed):
    source = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    coded = codec.compress(source, quality=100, tile=tile)
    assert np.array_equal(np.asarray(codec.decompress(coded)), source)
    assert vqcodec.probe(coded).tiles == (-(-width // tile) * -(-height // tile) if tile else 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_pictures(codec, size):
    image = Image.new("RGB", size, (10, 200, 30))
    back = codec.decompress(codec.compress(image, quality=100, tile=64))
    assert np.array_equal(np.asarray(back), np.asarray(image))


def test_overhead_of_a_plain_picture_is_small(codec, pixels):
    data = codec.compress(pixels)
    payload = sum(len(segment or b"") for layers in parse(data).segments for segment in layers)
    assert len(data) - payload <= 40


def test_the_next_level_would_not_fit_the_target_size(codec, pixels):
    encoder = PictureEncoder(codec.encoder, codec.decoder, codec.prepare(pixels), 1024, 1)
    sizes = [len(encoder.file(encoder.encode(level))) for level in range(253)]
    targets = {sizes[level] + more for level in (0, 1, 100, 101, 251, 252) for more in (-1, 0, 1)}
    for most in sorted(targets - {sizes[0] - 1}):
        data = codec.compress(pixels, target_size=most)
        level = vqcodec.probe(data).level
        assert len(data) == sizes[level] <= most
        assert level == 252 or sizes[level + 1] > most
    with pytest.raises(errors.TargetTooSmall, match=f"already needs {sizes[0]} bytes"):
        codec.compress(pixels, target_size=sizes[0] - 1)


@pytest.mark.parametrize("missing", [0, 0.1, 0.9])
def test_bpp_counts_the_whole_file_and_no_part_of_a_byte(codec, pixels, missing):
    size = len(codec.compress(pixels, target_size=2500))
    assert len(codec.compress(pixels, target_size=size)) == size
    bpp = 8 * (size - missing) / (48 * 72)
    data = codec.compress(pixels, bpp=bpp)
    assert 8 * len(data) / (48 * 72) <= bpp
    assert vqcodec.probe(data).bpp <= bpp
    assert data == codec.compress(pixels, target_size=size - (missing > 0))


@pytest.mark.parametrize(
    "options",
    [
        {"quality": -1},
        {"quality": 101},
        {"quality": float("nan")},
        {"bpp": 0},
        {"bpp": float("nan")},
        {"target_size": -5},
        {"quality": 50, "bpp": 1},
        {"tile": 63},
        {"tile": -64},
        {"tile": 65_536},
        {"metadata": "gps"},
    ],
)
def test_bad_options_are_value_errors(codec, pixels, options):
    with pytest.raises(ValueError, match=r"must be|only one of"):
        codec.compress(pixels, **options)


def test_metadata_travels(codec, photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    image = opened(photo)
    source = tmp_path / "meta.jpg"
    image.save(source, exif=exif, icc_profile=SRGB, xmp=b"<x tiff:Orientation='6'/>")
    back = codec.decompress(codec.compress(source))
    assert back.size == (48, 72)
    assert back.info["icc_profile"] == profile_bytes(1)  # it means sRGB
    exact = codec.compress(source, metadata="exact")
    assert codec.decompress(exact, metadata="exact").info["icc_profile"] == SRGB
    assert len(exact) > len(codec.compress(source)) + 300
    assert codec.decompress(codec.compress(source, metadata="exact,xmp")).info.keys() == {
        "xmp",
        "vqc_complete",
    }
    assert back.info["xmp"] == b"<x tiff:Orientation='1'/>"
    assert back.getexif()[0x010F] == "Maker"
    assert back.getexif()[0x0112] == 1
    assert set(codec.decompress(codec.compress(source), metadata="none").info) == {"vqc_complete"}
    assert vqcodec.probe(codec.compress(source, metadata="exif,xmp")).metadata.keys() == {"eXIF", "xMPd"}


def test_label(codec, pixels, monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "model_folders", lambda: [tmp_path])
    plain = vqcodec.probe(codec.compress(pixels))
    named = vqcodec.probe(codec.compress(pixels, label=True))
    assert (plain.model, plain.decoder_id) == (None, None)
    assert (named.model, named.decoder_id) == ("fake", codec.decoder_id)
    assert named.bitstream_id == codec.bitstream_id


def test_another_model_is_refused_naming_both(codec, other_codec, pixels):
    with pytest.raises(errors.ModelMismatch, match=f"{other_codec.bitstream_id}.*{codec.bitstream_id}"):
        codec.decompress(other_codec.compress(pixels))


def test_cut_files(codec, pixels):
    data = codec.compress(pixels, quality=60, tile=64)
    with pytest.raises(errors.Truncated):
        codec.decompress(data[:-1])
    image = codec.decompress(data[:-1], allow_partial=True)
    assert not image.info["vqc_complete"]
    # Only the second layer of the last tile, columns 64.., is missing there.
    whole = np.asarray(codec.decompress(data))
    assert np.array_equal(np.asarray(image)[:, :64], whole[:, :64])
    assert not np.array_equal(np.asarray(image)[:, 64:], whole[:, 64:])
    assert psnr(whole, np.asarray(image)) > 20
    assert not vqcodec.probe(data[:-1]).complete


def test_limits(codec, pixels):
    data = codec.compress(pixels)
    for limits in (Limits(pixels=48 * 72 - 1), Limits(side=71)):
        with pytest.raises(errors.LimitExceeded):
            codec.decompress(data, limits=limits)
        with pytest.raises(errors.LimitExceeded):
            vqcodec.probe(data, limits=limits)
        with pytest.raises(errors.UnsupportedImage):
            codec.compress(pixels, limits=limits)


def test_more_tiles_than_a_decoder_accepts(codec, monkeypatch):
    blank = np.broadcast_to(np.zeros(3, np.uint8), (64 * 300, 64 * 300, 3))
    with pytest.raises(ValueError, match="90000 tiles are more"):
        codec.compress(Prepared(Picture(blank), ()), tile=64)
    monkeypatch.setattr(picture_encoder, "DEFAULT_LIMITS", Limits(tiles=4))
    most = np.zeros((64, 256, 3), np.uint8)
    assert vqcodec.probe(codec.compress(most, tile=64)).tiles == 4
    with pytest.raises(ValueError, match="5 tiles are more"):
        codec.compress(np.zeros((64, 257, 3), np.uint8), tile=64)


def test_the_place_is_stripped_by_every_way_in(codec, tmp_path, pixels):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.345)})
    source, coded = tmp_path / "a.jpg", tmp_path / "a.vqc"
    Image.fromarray(pixels).save(source, exif=exif, xmp=b"<x exif:GPSLatitude='52,31.2N' tiff:Make='Maker'/>")

    def places(data: bytes) -> list[bool]:
        info = codec.decompress(data).info
        assert b"Maker" in info["exif"]
        assert b"Maker" in info["xmp"]
        read = Image.Exif()
        read.load(info["exif"])
        return [bool(read.get_ifd(0x8825)), b"GPSLatitude" in info["xmp"]]

    assert places(codec.compress(source)) == [True, True]
    assert places(codec.compress(source, strip_gps=True)) == [False, False]
    assert places(codec.compress(codec.prepare(source, strip_gps=True))) == [False, False]
    codec.compress_file(source, coded, strip_gps=True)
    assert places(coded.read_bytes()) == [False, False]


def test_a_file_is_described_without_a_look_at_other_models(codec, pixels, tmp_path, monkeypatch):
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray(pixels[:, :, 0]))
    image.info["xmp"] = b"<x/>"
    coded = tmp_path / "a.vqc"
    with monkeypatch.context() as patch:
        patch.setattr(zoo, "list_models", None)
        info = codec.compress_file(image, coded, quality=60, tile=64)
        _, back = codec.transcode(coded, "PNG")
    assert info.seconds > 0
    assert info.model == back.model == "fake"
    probed = vqcodec.probe(coded)
    assert replace(info, seconds=None, model=probed.model) == probed
    assert replace(back, seconds=None, model=probed.model, preview_bytes=probed.preview_bytes) == probed


def test_files(codec, photo, tmp_path):
    coded, back = tmp_path / "a.vqc", tmp_path / "b.webp"
    info = codec.compress_file(photo, coded, quality=100, drawn=False)
    assert info.file_bytes == coded.stat().st_size
    assert (info.width, info.height, info.mode, info.quality) == (72, 48, "RGB", 100.0)
    assert info.seconds is not None
    again = codec.decompress_file(coded, back)
    assert again.bitstream_id == codec.bitstream_id
    read = opened(back)
    assert read.format == "WEBP"
    assert np.array_equal(np.asarray(read), np.asarray(opened(photo)))
    codec.decompress_file(coded, tmp_path / "c", picture_format="bmp")
    assert opened(tmp_path / "c").format == "BMP"
    with pytest.raises(ValueError, match="same file"):
        codec.compress_file(photo, photo)
    with pytest.raises(ValueError, match="unknown picture format"):
        codec.decompress_file(coded, tmp_path / "c.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vqc", "b.webp", "c", "photo.png"]


def test_remarks_on_a_picture_are_in_the_info_of_its_file(codec, tmp_path):
    deep = Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    deep.save(tmp_path / "deep.png")
    notes = codec.prepare(tmp_path / "deep.png").picture.notes
    assert notes
    assert codec.compress_file(tmp_path / "deep.png", tmp_path / "deep.vqc").notes == notes


def test_encode_and_decode_are_the_parts_of_compress(codec, pixels):
    ready = codec.prepare(pixels)
    parsed = parse(codec.compress(ready, quality=40, tile=64))
    level = parsed.header.level
    segments = codec.encode(pixels, level, 64).segments
    assert tuple(map(tuple, segments)) == parsed.segments
    decoded = codec.decode(segments, width=72, height=48, level=level, tile=64)
    coded = codec.compress(ready, quality=40, tile=64)
    assert np.array_equal(decoded, np.asarray(codec.decompress(coded)))


def test_threads(codec, pixels):
    pictures = [np.roll(pixels, shift, axis=1) for shift in range(16)]
    expected = [codec.compress(picture) for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(codec.compress, pictures)) == expected
        decoded = list(pool.map(codec.decompress, expected))
    assert [image.tobytes() for image in decoded] == [codec.decompress(data).tobytes() for data in expected]


def test_probe_reads_no_more_than_it_needs(codec, pixels, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    data = codec.compress(noise, quality=100)
    path = tmp_path / "a.vqc"
    path.write_bytes(data)
    assert vqcodec.probe(path) == vqcodec.probe(data) == vqcodec.probe(io.BytesIO(data))
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))  # damage after what probe looks at
    assert vqcodec.probe(path).file_bytes == len(data)
    with pytest.raises(errors.CorruptData):
        vqcodec.verify(path)


def test_probe_with_large_metadata(codec, pixels, tmp_path):
    block = np.random.default_rng(0).bytes(50_000)
    image = Image.fromarray(pixels)
    image.info["xmp"] = block
    path = tmp_path / "a.vqc"
    info = codec.compress_file(image, path)
    assert info.metadata["xMPd"] >= 50_000
    found = vqcodec.probe(path)
    assert (found.metadata, found.file_bytes) == (info.metadata, info.file_bytes)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(errors.Truncated):
        vqcodec.probe(path)


def test_every_damaged_byte_is_noticed(codec, pixels, tmp_path):
    image = Image.fromarray(pixels[:16, :16])
    image.putalpha(Image.fromarray(pixels[:16, :16, 1]))
    data = codec.compress(image, quality=0)
    vqcodec.verify(data)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(errors.VQCodecError):
            vqcodec.verify(bytes(damaged))
        with pytest.raises(errors.VQCodecError):
            codec.decompress(bytes(damaged))
    for end in range(len(data)):
        with pytest.raises(errors.FormatError):
            vqcodec.verify(data[:end])
    with pytest.raises(errors.CorruptData):
        vqcodec.verify(data + b"x")


def test_verify_inflates_metadata(codec, pixels):
    container = parse(codec.compress(pixels))
    data = write(container.header, container.segments, [Chunk("xMPd", b"\x01not deflate")])
    assert vqcodec.probe(data).metadata == {"xMPd": 12}
    with pytest.raises(errors.CorruptData):
        vqcodec.verify(data)


def test_describe_names_installed_models(codec, pixels, models):
    container = parse(codec.compress(pixels))
    assert describe(container, 1).model == "default"


def test_devices():
    assert resolve_device("cpu") == ("cpu", None)
    device, note = resolve_device("cuda:99")
    assert device == "cpu"
    assert note is not None
    assert "cuda:99" in note
    assert resolve_device("auto")[1] is None
    for bad in ("gpu", "cpu:1", "cuda:x", "cuda:", ""):
        with pytest.raises(ValueError, match="device must be"):
            resolve_device(bad)


def test_load_reports_missing_models(monkeypatch, tmp_path):
    monkeypatch.setenv("VQCODEC_MODELS", str(tmp_path))
    with pytest.raises(errors.ModelNotFound):
        vqcodec.load("no-such-model", device="cpu")
    with pytest.raises(errors.ModelNotFound):
        vqcodec.load(tmp_path / "absent.safetensors", device="cpu")


def test_public_names():
    assert vqcodec.__all__ == [
        "BatchReport",
        "Codec",
        "FileResult",
        "ImageInfo",
        "Limits",
        "ModelInfo",
        "Thumbnailer",
        "__version__",
        "compress_batch",
        "decompress_batch",
        "errors",
        "features",
        "list_models",
        "load",
        "probe",
        "register_pillow_plugin",
        "verify",
    ]
    for name in vqcodec.__all__:
        assert getattr(vqcodec, name) is not None
        assert name in dir(vqcodec)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vqcodec.nothing  # type: ignore[attr-defined]  # checkers know the names, too


def test_features():
    found = vqcodec.features()
    assert found["devices"][0] == "cpu"
    assert found["versions"].keys() >= {"torch", "constriction", "pillow"}


def test_import_is_cheap():
    code = "import sys, vqcodec; vqcodec.probe; print({'torch', 'PIL', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_packaged_weights(pixels):
    codec = vqcodec.load(device="cpu")
    picture = np.kron(pixels, np.ones((2, 2, 1), np.uint8))
    low, high = (codec.compress(picture, quality=quality) for quality in (10, 90))
    assert len(low) < len(high)
    scores = [psnr(picture, np.asarray(codec.decompress(data))) for data in (low, high)]
    assert 15 < scores[0] < scores[1]
    assert vqcodec.probe(low).model == "default"
    assert codec.bitstream_id == zoo.describe_model(PACKAGED).bitstream_id


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("kind", ["bars", "checks", "noise"])
@pytest.mark.slow
def test_unusual_pictures_do_not_get_worse_up_the_dial(kind, drawn):
    """Beyond the reach of the codebooks a lower level is taken, and the file says so; or it is exact."""
    codec = vqcodec.load(device="cpu")
    stripes = np.tile((np.arange(96) // 4 % 2 * 255).astype(np.uint8), (96, 1))
    checks = (np.indices((96, 96)).sum(0) % 2 * 255).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    picture = {"bars": stripes, "checks": checks, "noise": noise}[kind]
    errors_then = []
    for quality in (0, 50, 75, 100):
        data = codec.compress(picture, quality=quality, drawn=drawn)
        decoded = np.asarray(codec.decompress(data), dtype=float)
        errors_then.append(float(((decoded - picture) ** 2).mean()))
    assert all(b <= 1.02 * a for a, b in itertools.pairwise(errors_then))
    assert vqcodec.probe(data).quality < 100 or errors_then[-1] == 0
    assert drawn or vqcodec.probe(data).needs_model


def test_photographs_keep_their_level(pixels):
    codec = vqcodec.load(device="cpu")
    assert vqcodec.probe(codec.compress(pixels, quality=100)).quality == 100


def test_a_bad_quality_is_refused_before_anything_is_read(codec, tmp_path):
    missing, out = tmp_path / "missing.png", tmp_path / "out.vqc"
    with pytest.raises(ValueError, match="quality"):
        codec.compress(missing, quality=101)
    with pytest.raises(ValueError, match="quality"):
        codec.compress_file(missing, out, quality=101)
    with pytest.raises(ValueError, match="only one"):
        codec.compress_file(missing, out, quality=50, bpp=1)
    assert not out.exists()
