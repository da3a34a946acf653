"""--preview: a picture from the first layers, and nothing behind them is needed or read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vqcodec
from tests.counting import Counting
from tests.tiny import load_codec, picture
from vqcodec import Codec, errors
from vqcodec.bitstream import parse, probe
from vqcodec.metrics.rate_distortion import psnr
from vqcodec_cli.main import main

WIDTH, HEIGHT = 300, 200


@pytest.fixture(scope="module")
def file(tiny_codec):
    """A picture of 5 x 4 tiles."""
    return tiny_codec.compress(picture(HEIGHT, WIDTH, seed=6), tile=64, quality=70)


def coarse_pixels(codec: Codec, file: bytes, **options: float) -> np.ndarray:
    """What the first layer gives, by the segments themselves."""
    container = parse(file)
    header = container.header
    first = [[layers[0], None] for layers in container.segments]
    size = {"width": header.width, "height": header.height, "level": header.level, "tile": header.tile}
    return codec.decode(first, **size, **options)  # type: ignore[arg-type]


def test_the_first_layer_alone_or_all_of_them(tiny_codec, file):
    codec = tiny_codec
    whole = codec.decompress(file)
    coarse = codec.decompress(file, preview=1)
    assert np.array_equal(np.asarray(coarse), coarse_pixels(tiny_codec, file))
    assert coarse.size == whole.size
    assert coarse.info["vqc_complete"]
    assert codec.decompress(file, preview=2).tobytes() == whole.tobytes()
    original = picture(HEIGHT, WIDTH, seed=6)
    assert psnr(original, np.asarray(coarse)) < psnr(original, np.asarray(whole)) - 0.3


def test_the_prefix_is_enough_and_needed(tiny_codec, file):
    codec = tiny_codec
    end, size = vqcodec.probe(file).preview_bytes
    assert end < size == len(file)
    coarse = codec.decompress(file, preview=1)
    for cut in (file[:end], file[: end + 1], file[:-1], file + b"more"):
        image = codec.decompress(cut, preview=1)
        assert image.tobytes() == coarse.tobytes()
        assert image.info["vqc_complete"]
    with pytest.raises(errors.Truncated, match=f"{end} bytes are needed"):
        codec.decompress(file[: end - 1], preview=1)
    with pytest.raises(errors.Truncated):
        codec.decompress(file[:-1], preview=2)
    part = codec.decompress(file[: end - 1], preview=1, allow_partial=True)
    assert not part.info["vqc_complete"]
    # The last tile is missing, in the lower right corner.
    rows, columns = HEIGHT - HEIGHT % 64 - 16 * 10, WIDTH - WIDTH % 64 - 16 * 10
    assert np.array_equal(np.asarray(part)[:rows, :columns], np.asarray(coarse)[:rows, :columns])
    assert not np.array_equal(np.asarray(part), np.asarray(coarse))


def test_damage_behind_it_is_not_seen(tiny_codec, file):
    codec = tiny_codec
    end = probe(file).layer_ends[0]
    for place in (end + 5, len(file) - 1):
        damaged = bytearray(file)
        damaged[place] ^= 1
        codec.decompress(damaged, preview=1)
        with pytest.raises(errors.CorruptData, match="layer 1"):
            codec.decompress(damaged)
    damaged = bytearray(file)
    damaged[end - 1] ^= 1
    with pytest.raises(errors.CorruptData, match="layer 0"):
        codec.decompress(damaged, preview=1)


def test_no_more_is_read(codec, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    data = codec.compress(noise, quality=100, drawn=False)
    end, size = vqcodec.probe(data).preview_bytes
    assert 5000 < end < size / 4
    file = Counting(data)
    coarse = codec.decompress(file, preview=1)
    assert file.count == end
    path = tmp_path / "a.vqc"
    path.write_bytes(data)
    monkeypatch.setattr(Path, "read_bytes", None)
    assert codec.decompress(path, preview=1).tobytes() == coarse.tobytes()
    assert codec.decompress(data, preview=1).tobytes() == coarse.tobytes()
    for source in (path, Counting(data), data):
        encoded, info = codec.transcode(source, "PNG", preview=1)
        assert (info.file_bytes, info.complete, info.notes) == (size, True, ())
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))), np.asarray(coarse))


def test_a_pipe_is_read_in_one_go(codec, pixels):
    data = codec.compress(pixels, quality=80)

    class Pipe(Counting):
        def seekable(self) -> bool:
            return False

    pipe = Pipe(data)
    _, info = codec.transcode(pipe, "PNG", preview=1)
    assert info.file_bytes == pipe.count == len(data)


@pytest.mark.parametrize("preview", [0, 3, -1])
def test_out_of_range(codec, pixels, preview):
    with pytest.raises(ValueError, match="preview must be from 1 to 2"):
        codec.decompress(codec.compress(pixels), preview=preview)
    with pytest.raises(ValueError, match="layers must be from 1 to 2"):
        parse(codec.compress(pixels), allow_partial=True, layers=preview)


def test_with_a_region(tiny_codec, file):
    codec = tiny_codec
    coarse = np.asarray(codec.decompress(file, preview=1)).astype(int)
    part = np.asarray(codec.decompress(file, preview=1, region=(130, 70, 60, 50))).astype(int)
    assert part.shape == (50, 60, 3)
    assert np.abs(part - coarse[70:120, 130:190]).max() <= 1
    assert np.abs(part - np.asarray(codec.decompress(file))[70:120, 130:190]).max() > 1


def test_with_realism(real_weights, file):
    codec = load_codec(real_weights)
    found = np.asarray(codec.decompress(file, preview=1, realism=0.5))
    assert np.array_equal(found, coarse_pixels(codec, file, realism=0.5))
    assert not np.array_equal(found, coarse_pixels(codec, file))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_and_metadata_are_whole(codec, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    image.putalpha(Image.fromarray(pixels[:, :, 1]))
    image.info["xmp"] = b"<x/>"
    data = codec.compress(image, quality=100)
    coarse = codec.decompress(data[: vqcodec.probe(data).preview_bytes[0]], preview=1)
    assert coarse.mode == mode
    assert coarse.info["xmp"] == b"<x/>"
    assert np.array_equal(np.asarray(coarse.getchannel("A")), pixels[:, :, 1])


def test_batch(codec, photo, tmp_path):
    codec.compress_file(photo, tmp_path / "a.vqc", quality=100)
    report = vqcodec.decompress_batch([tmp_path / "a.vqc"], tmp_path / "out", codec=codec, preview=1)
    assert not report.failed
    with Image.open(tmp_path / "out" / "a.png") as found:
        assert found.tobytes() == codec.decompress(tmp_path / "a.vqc", preview=1).tobytes()


# -- on the command line -----------------------------------------------------------------------
@pytest.fixture
def coded(photo, models, codec, tmp_path):
    """photo.vqc, and the coarse picture that is in it."""
    path = photo.with_suffix(".vqc")
    codec.compress_file(photo, path, quality=100, drawn=False)
    return path, codec.decompress(path, preview=1)


def test_command(coded, tmp_path, capsys):
    path, coarse = coded
    words = ["decompress", str(path), "-o", str(tmp_path / "out.png"), "-f"]
    assert main([*words, "--preview", "1"]) == 0
    assert Image.open(tmp_path / "out.png").tobytes() == coarse.tobytes()
    assert main([*words, "--preview", "1", "--region", "8,8,20,10"]) == 0
    part = coarse.crop((8, 8, 28, 18))
    assert Image.open(tmp_path / "out.png").tobytes() == part.tobytes()
    for bad in ("0", "3", "-1", "x"):
        assert main([*words, "--preview", bad]) == 2
        assert "--preview" in capsys.readouterr().err


def test_command_with_a_cut_file(coded, tmp_path, capsys):
    path, coarse = coded
    data = path.read_bytes()
    end = vqcodec.probe(data).preview_bytes[0]
    words = ["decompress", str(path), "-o", str(tmp_path / "out.png"), "-f"]
    path.write_bytes(data[:end])
    assert main([*words, "--preview", "1"]) == 0
    assert Image.open(tmp_path / "out.png").tobytes() == coarse.tobytes()
    assert main(words) == 3
    path.write_bytes(data[: end - 1])
    capsys.readouterr()
    assert main([*words, "--preview", "1"]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_command_reads_streams(coded, vqcodec):
    path, coarse = coded
    data = path.read_bytes()
    for stdin in (data, data[: probe(data).layer_ends[0]]):
        run = vqcodec("decompress", "-", "--format", "png", "--preview", "1", stdin=stdin)
        assert run.code == 0
        assert Image.open(io.BytesIO(run.out)).tobytes() == coarse.tobytes()
