"""Pillow opening and saving .vqc files, with the fake codec behind the plugin."""

from __future__ import annotations

import inspect
import io
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

import vqcodec
from tests.drawings import page
from vqcodec import errors, loading, pillow_plugin
from vqcodec.bitstream import parse, write
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.codec import Codec
from vqcodec.image.exif import EXIF_PREFIX
from vqcodec.types import Chunk

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta/>"
_REGISTRIES: tuple[dict[str, Any], ...] = (
    Image.OPEN,
    Image.SAVE,
    Image.MIME,
    Image.EXTENSION,
    Image.DECODERS,
)


@pytest.fixture
def clean_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pillow forgets the plugin again: other tests are about pictures it cannot open."""
    Image.init()
    before = [dict(registry) for registry in _REGISTRIES]
    monkeypatch.setattr(Image, "ID", Image.ID.copy())
    monkeypatch.setattr(pillow_plugin, "_registered", None)
    yield
    for registry, content in zip(_REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(content)


@pytest.fixture
def plugin(clean_pillow: None, models: Path) -> None:
    vqcodec.register_pillow_plugin()


def picture(pixels: Any, mode: str) -> Image.Image:
    image = Image.fromarray(pixels).convert(mode)
    if mode[-1] == "A":
        image.putalpha(Image.fromarray(pixels[:, :, 0] | 1))  # colours under an alpha of 0 are not kept
    return image


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    return exif


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "VQC", **options)
    return buffer.getvalue()


# -- opening -----------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_round_trip(plugin, pixels, mode, tmp_path):
    before = picture(pixels, mode)
    before.save(tmp_path / "a.vqc", quality=100)
    with Image.open(tmp_path / "a.vqc") as image:
        assert (image.format, image.mode, image.size) == ("VQC", mode, (72, 48))
        assert image.get_format_mimetype() == "image/x-vqc"
        assert np.array_equal(np.asarray(image), np.asarray(before))
        assert image.info["vqc_quality"] == 100.0
    data = (tmp_path / "a.vqc").read_bytes()
    for source in (io.BytesIO(data), str(tmp_path / "a.vqc")):
        with Image.open(source, formats=["vqc"]) as image:
            assert image.tobytes() == before.tobytes()


def test_opening_decodes_nothing(plugin, codec, pixels, monkeypatch):
    calls = []

    def decompress(self: Codec, *args: Any, **options: Any) -> Image.Image:
        calls.append(options)
        return whole(self, *args, **options)

    whole = Codec.decompress
    monkeypatch.setattr(Codec, "decompress", decompress)
    data = codec.compress(pixels, quality=70)
    image = Image.open(io.BytesIO(data))
    assert (image.size, image.mode, image.info["vqc_model"]) == ((72, 48), "RGB", "default")
    assert image.info["vqc_quality"] == vqcodec.probe(data).quality
    assert image.info["vqc_complete"]
    assert calls == []
    image.load()
    image.getpixel((0, 0))
    assert len(calls) == 1


def test_opening_reads_the_front_only(plugin, codec):
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    noise = np.random.default_rng(3).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    data = codec.compress(noise, quality=100)
    file = Counting(data)
    image = Image.open(file, formats=["VQC"])
    assert image.size == (200, 200)
    assert len(data) > 100_000
    assert file.count < 10_000


def test_opening_imports_no_torch(codec, photo, models, tmp_path):
    codec.compress_file(photo, tmp_path / "a.vqc")
    code = """if True:
        import sys, vqcodec
        from PIL import Image
        vqcodec.register_pillow_plugin(device="cuda")
        with Image.open(sys.argv[1]) as image:
            print(image.size, image.mode, image.info["vqc_model"])
        Image.open(sys.argv[1]).verify()
        print("torch" in sys.modules)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "a.vqc")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["(72, 48) RGB default", "False"]


def test_metadata_blocks_are_in_info(plugin, codec, pixels):
    source = Image.fromarray(pixels)
    blocks = {"icc_profile": profile_bytes(1), "exif": exif_with(1).tobytes(), "xmp": XMP}
    source.info.update(blocks)
    data = codec.compress(source)
    image = Image.open(io.BytesIO(data))
    assert {key: image.info[key] for key in blocks} == blocks
    assert image.getexif()[0x010F] == "Maker"
    image.load()
    found = codec.decompress(data)
    assert image.tobytes() == found.tobytes()
    assert found.info.items() <= image.info.items()
    assert image.info["exif"].startswith(EXIF_PREFIX)


def test_info_of_a_model_that_is_not_installed(plugin, other_codec, pixels):
    image = Image.open(io.BytesIO(other_codec.compress(pixels)))
    assert image.info["vqc_model"] == "ff" * 8
    assert Image.open(io.BytesIO(other_codec.compress(pixels, label=True))).info["vqc_model"] == "other"
    with pytest.raises(OSError, match=f"needs model {'ff' * 8}, installed: default"):
        image.load()


def test_files_of_other_installed_models_open(plugin, other_codec, pixels, models, make_model, monkeypatch):
    path = make_model(models / "other.safetensors", b"\xff" * 8)
    first = loading.load

    def load(model: Any, *, device: str) -> Codec:
        return other_codec if model == path else first(model, device=device)

    monkeypatch.setattr(loading, "load", load)
    image = Image.open(io.BytesIO(other_codec.compress(pixels, quality=100, drawn=False)))
    assert image.info["vqc_model"] == "other"
    assert np.array_equal(np.asarray(image), pixels)
    assert parse(saved(image)).header.bitstream_id == bytes(range(8))


def test_thumbnail_draft_and_parser(plugin, codec, pixels):
    data = codec.compress(np.tile(pixels, (4, 4, 1)), quality=100)
    image = Image.open(io.BytesIO(data))
    assert image.draft("L", (10, 10)) is None
    assert image.draft("RGB", (10, 10)) is None
    image.thumbnail((40, 40))
    assert image.size == (40, 27)
    whole = codec.decompress(data)
    whole.thumbnail((40, 40))
    assert image.tobytes() == whole.tobytes()  # not from the coarse layer, which looks poor
    parser = ImageFile.Parser()
    for start in range(0, len(data), 1000):
        parser.feed(data[start : start + 1000])
    assert np.array_equal(np.asarray(parser.close()), np.tile(pixels, (4, 4, 1)))


def test_threads_share_one_loaded_model(plugin, codec, pixels, monkeypatch):
    loads = []
    first = loading.load

    def load(model: Any, *, device: str) -> Codec:
        loads.append(model)
        return first(model, device=device)

    monkeypatch.setattr(loading, "load", load)
    sources = [np.roll(pixels, shift, axis=1) for shift in range(8)]
    files = [codec.compress(source, quality=100) for source in sources]

    def opened(data: bytes) -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            return image.tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, files)) == [source.tobytes() for source in sources]
    assert len(loads) == 1


# -- files that are damaged, cut or too large --------------------------------------------------
def test_accept_by_magic_only(plugin, tmp_path, photo):
    path = tmp_path / "named.vqc"
    path.write_bytes(photo.read_bytes())
    with Image.open(path) as image:
        assert image.format == "PNG"
    for data in (b"", b"\x89VQ", b"\x89VQC", b"\x89VQC" + bytes(60)):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data))
    with pytest.raises(SyntaxError):
        pillow_plugin.VqcImageFile(io.BytesIO(photo.read_bytes()))


def test_the_reason_for_refusing_a_file_is_in_the_error(plugin, codec, pixels, tmp_path):
    data = bytearray(codec.compress(pixels))
    data[4] = 9
    with pytest.raises(UnidentifiedImageError, match="major version"):
        Image.open(io.BytesIO(data))
    container = parse(codec.compress(pixels))
    damaged = write(container.header, container.segments, [Chunk("xMPd", b"\x01not deflate")])
    with pytest.raises(UnidentifiedImageError, match="xMPd"):
        Image.open(io.BytesIO(damaged))


def test_verify_finds_damage_without_a_model(plugin, codec, pixels, tmp_path, monkeypatch):
    path = tmp_path / "a.vqc"
    path.write_bytes(codec.compress(pixels))
    monkeypatch.setattr(loading, "load", None)  # verifying needs no model
    image = Image.open(path)
    image.verify()
    assert image.fp is None
    with pytest.raises(RuntimeError, match="directly after open"):
        image.verify()
    for data in (path.read_bytes()[:-1], path.read_bytes()[:-9] + b"damage!!!"):
        path.write_bytes(data)
        with pytest.raises(OSError, match=r"truncated|checksum"):
            Image.open(path).verify()


def test_cut_files_decode_only_if_truncated_images_are_allowed(plugin, codec, pixels, monkeypatch):
    data = codec.compress(pixels, quality=60, tile=64)
    cut = Image.open(io.BytesIO(data[:-1]))
    assert not cut.info["vqc_complete"]
    with pytest.raises(OSError, match="image file is truncated"):
        cut.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    found = np.asarray(Image.open(io.BytesIO(data[:-1])))
    assert np.array_equal(found, np.asarray(codec.decompress(data[:-1], allow_partial=True)))
    damaged = bytearray(data)
    damaged[-9] ^= 1
    with pytest.raises(OSError, match="wrong checksum"):
        Image.open(io.BytesIO(damaged)).load()


def test_headers_over_the_limits_raise_decompression_bomb_error(plugin, codec, pixels, monkeypatch):
    data = codec.compress(pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 72 - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    # The codec's own bounds hold even where Pillow's guard is off.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    Image.open(io.BytesIO(data)).load()
    start = data[:16] + struct.pack("<3B3B", 0xC0, 0x9A, 0x0C, 0xC0, 0x9A, 0x0C)  # 200000x200000
    with pytest.raises(Image.DecompressionBombError, match="side limit"):
        Image.open(io.BytesIO(start + bytes(60)))


def test_file_changed_after_opening(plugin, codec, pixels):
    file = io.BytesIO(codec.compress(pixels))
    image = Image.open(file)
    file.seek(0)
    file.write(codec.compress(pixels[:24]))
    file.truncate()
    with pytest.raises(OSError, match="changed after it was opened"):
        image.load()


# -- saving ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 30},
        {"quality": 33.3, "tile": 64},
        {"bpp": 6},
        {"target_size": 3000},
        {"psnr": 30},
        {"label": True},
    ],
)
def test_same_bytes_as_compress(plugin, codec, pixels, options):
    assert saved(Image.fromarray(pixels), **options) == codec.compress(pixels, **options)


def test_every_option_of_save_reaches_compress(plugin, pixels, monkeypatch):
    seen = {}

    def compress(_codec: Codec, _image: Any, **options: Any) -> bytes:
        seen.update(options)
        return b""

    compress.__signature__ = inspect.signature(Codec.compress)  # type: ignore[attr-defined]
    monkeypatch.setattr(Codec, "compress", compress)
    names = (
        "quality",
        "bpp",
        "target_size",
        "psnr",
        "tune",
        "tile",
        "label",
        "effort",
        "strip_gps",
        "limits",
    )
    options = {name: number for number, name in enumerate(names, 1)}
    saved(Image.fromarray(pixels), **options)
    assert seen == options


def test_the_place_is_stripped_if_so_asked(plugin, pixels):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 24.0)
    for strip in (False, True):
        back = Image.open(io.BytesIO(saved(Image.fromarray(pixels), exif=exif, strip_gps=strip))).getexif()
        assert (back[0x010F], bool(back.get_ifd(0x8825))) == ("Maker", not strip)


def test_options_that_promise_what_is_not_kept_are_refused_and_others_ignored(plugin, pixels):
    image = Image.fromarray(pixels)
    with pytest.raises(ValueError, match="VQC has no option"):
        saved(image, exact=True)
    assert saved(image, optimize=True, exact=False) == saved(image)


def test_a_file_that_takes_a_part_at_a_time_gets_everything(plugin, pixels, tmp_path):
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.got = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.got += data[:100]
            return min(len(data), 100)

    slow = Slow()
    Image.fromarray(pixels).save(cast("IO[bytes]", slow), "VQC")
    assert bytes(slow.got) == saved(Image.fromarray(pixels))


def test_gamma_of_png_is_applied(plugin, pixels):
    image = Image.fromarray(pixels)
    image.info["gamma"] = 1.0
    assert saved(image) != saved(Image.fromarray(pixels))


def test_the_model_is_loaded_once(plugin, codec, pixels, monkeypatch):
    loads = []

    def load(model: Any, *, device: str) -> Codec:
        loads.append((Path(model).name, device))
        return codec

    monkeypatch.setattr(loading, "load", load)
    for data in [saved(Image.fromarray(pixels)) for _ in range(2)]:
        Image.open(io.BytesIO(data)).load()
    assert loads == [("default.safetensors", "cpu")]


@pytest.mark.parametrize("mode", ["1", "P", "PA", "CMYK", "YCbCr", "I;16", "F", "RGBa"])
def test_other_modes_are_saved_as_compress_does(plugin, codec, pixels, mode):
    gray = pixels[:, :, 0]
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(gray.astype(np.float32))
    elif mode in ("PA", "RGBa"):
        image = picture(pixels, "RGBA").convert("RGBa" if mode == "RGBa" else "P")
        image = image if mode == "RGBa" else image.convert("PA")
    else:
        image = Image.fromarray(pixels).convert(mode)
    assert image.mode == mode
    assert saved(image) == codec.compress(image)


def test_transparent_palette_entry(plugin, codec):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.info["transparency"] = 1
    back = Image.open(io.BytesIO(saved(image)))
    assert back.mode == "RGBA"
    assert back.getchannel("A").tobytes() == b"\xff\0"


def test_profile_is_kept_and_other_blocks_are_not(plugin, pixels):
    image = Image.fromarray(pixels)
    image.info = {"icc_profile": SRGB, "exif": exif_with(6).tobytes(), "xmp": XMP}
    back = Image.open(io.BytesIO(saved(image)))
    assert back.info["icc_profile"] == profile_bytes(1)  # it means sRGB
    exact = Image.open(io.BytesIO(saved(image, metadata="exact")))
    assert exact.info["icc_profile"] == SRGB
    assert not {"exif", "xmp"} & back.info.keys()
    assert back.size == (72, 48)
    assert "icc_profile" not in Image.open(io.BytesIO(saved(image, icc_profile=None))).info
    assert image.info.keys() == {"icc_profile", "exif", "xmp"}
    with_all = saved(image, exif=exif_with(1), xmp=XMP.decode())
    assert {"exif", "xmp"} <= Image.open(io.BytesIO(with_all)).info.keys()
    assert saved(image, exif=exif_with(1).tobytes(), xmp=XMP) == with_all
    assert saved(image, exif=Image.Exif(), xmp="") == saved(image)


def test_orientation_given_turns_the_pixels(plugin, pixels):
    back = Image.open(io.BytesIO(saved(Image.fromarray(pixels), quality=100, exif=exif_with(6))))
    assert back.size == (48, 72)
    assert back.getexif()[0x0112] == 1
    assert np.array_equal(np.asarray(back), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    "options",
    [
        {"quality": -1},
        {"quality": 101},
        {"quality": float("nan")},
        {"quality": "high"},
        {"quality": 50, "bpp": 1},
        {"bpp": 0},
        {"tile": 63},
        {"exif": b"not exif"},
    ],
)
def test_bad_options_of_save_raise_valueerror(plugin, pixels, tmp_path, options):
    with pytest.raises(ValueError, match=r"must be|only one of"):
        Image.fromarray(pixels).save(tmp_path / "a.vqc", **options)
    assert not (tmp_path / "a.vqc").exists()


def test_pictures_that_cannot_be_coded_raise_oserror(plugin, pixels, tmp_path):
    bad = Image.fromarray(np.full((4, 4), np.nan, np.float32))
    cases: list[tuple[Image.Image, dict[str, Any]]] = [
        (bad, {}),
        (Image.fromarray(pixels), {"target_size": 50}),
    ]
    for image, options in cases:
        with pytest.raises(OSError, match=r"float|already needs"):
            image.save(tmp_path / "a.vqc", **options)
        assert not (tmp_path / "a.vqc").exists()


def test_saving_over_the_opened_file(plugin, codec, photo, tmp_path):
    path = tmp_path / "a.vqc"
    codec.compress_file(photo, path, quality=100)
    image = Image.open(path)
    image.save(path, quality=100)
    with Image.open(path) as back, Image.open(photo) as before:
        assert back.tobytes() == before.tobytes()


# -- registration ------------------------------------------------------------------------------
def test_registration_is_idempotent(plugin, models, make_model):
    first = pillow_plugin._registered
    vqcodec.register_pillow_plugin()
    assert pillow_plugin._registered is first
    assert Image.ID.count("VQC") == 1
    assert Image.registered_extensions()[".vqc"] == "VQC"
    vqcodec.register_pillow_plugin(model=models / "default.safetensors", device="cuda")
    assert pillow_plugin._registered is not first
    assert Image.ID.count("VQC") == 1


def test_pictures_are_loaded_without_raw_bytes_of_them(plugin, codec, pixels, tmp_path, monkeypatch):
    """Which would take their memory twice more."""
    path = tmp_path / "raw.vqc"
    path.write_bytes(codec.compress(pixels, quality=100, drawn=False))
    with Image.open(path) as image:
        monkeypatch.setattr(Image.Image, "tobytes", None)
        image.load()
        assert image.getpixel((3, 2)) == tuple(pixels[2, 3])


def test_registration_refuses_unknown_models_and_devices(clean_pillow, models):
    with pytest.raises(errors.ModelNotFound):
        vqcodec.register_pillow_plugin(model="nothing")
    with pytest.raises(ValueError, match="device must be"):
        vqcodec.register_pillow_plugin(device="gpu")
    assert "VQC" not in Image.ID


def test_compress_still_refuses_vqc_files(plugin, codec, pixels):
    with pytest.raises(errors.UnsupportedImage, match=r"already a \.vqc"):
        codec.compress(codec.compress(pixels))


def test_a_real_model_gives_the_bytes_and_pixels_of_its_codec(
    clean_pillow, tiny_weights: Path, pixels, make_model: Callable[..., Path]
):
    vqcodec.register_pillow_plugin(model=tiny_weights)
    data = saved(Image.fromarray(pixels), quality=60)
    codec = vqcodec.load(tiny_weights, device="cpu")
    assert data == codec.compress(pixels, quality=60)
    assert Image.open(io.BytesIO(data)).tobytes() == codec.decompress(data).tobytes()


def test_drawn_pictures_need_no_model(plugin, codec, tmp_path):
    data = codec.compress(page())
    path = tmp_path / "text.vqc"
    path.write_bytes(data)
    with Image.open(path) as image:
        assert image.info["vqc_model"] == "none"
        assert np.array_equal(np.asarray(image), page())
    Image.fromarray(page()).save(tmp_path / "again.vqc", lossless=True)
    assert vqcodec.probe(tmp_path / "again.vqc").quality == 100
