"""Pillow opening .vqc files: lazily, from the first bytes on."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

import vqcodec
from tests.counting import Counting
from tests.pillow_plugin.samples import XMP, exif_with, picture, saved
from vqcodec import loading
from vqcodec.bitstream import parse
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.codec import Codec
from vqcodec.image.exif import EXIF_PREFIX


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
