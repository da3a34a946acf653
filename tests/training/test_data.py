"""Pictures are found, and crops cut from them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import pictures
from vqcodec.training.data import Crops, find_images, load_images


def test_pictures_are_found_and_bad_ones_skipped(folder, capsys, tmp_path):
    assert [p.name for p in find_images(folder)] == [
        "1.png", "2.png", "3.png", "4.png", "0.png", "broken.png", "narrow.png"
    ]  # fmt: skip
    loaded = load_images(folder, 64)
    assert len(loaded) == 5
    assert all(p.shape == (256, 256, 3) and p.dtype == np.uint8 for p in loaded)
    assert "skipped broken.png" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="no picture has both sides >= 999"):
        load_images(folder, 999)
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"no pictures found$"):
            find_images(missing)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "a.tar.gz").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="a tar shard must not be compressed"):
        find_images(tmp_path / "packed")


def test_folders_that_links_lead_to_are_searched(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder, target_is_directory=True)
    assert len(find_images(tmp_path)) == len(find_images(folder))


def test_patterns_that_python_does_not_know_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / '**.png'}: ")):
        find_images(tmp_path / "**.png")


def test_floats_are_skipped_and_not_black(tmp_path, capsys):
    Image.fromarray(np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)).save(tmp_path / "a.tif")
    Image.fromarray(pictures(1)[0]).save(tmp_path / "b.png")
    assert len(load_images(tmp_path, 64)) == 1
    assert "skipped a.tif: floating-point pictures have no known range" in capsys.readouterr().err


def test_gray_of_16_bits_is_not_white(tmp_path):
    slope = np.linspace(0, 65_535, 64 * 64).reshape(64, 64)
    Image.fromarray(slope.astype(np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(slope.astype(np.uint16)).save(tmp_path / "b.tiff")
    Image.fromarray((slope / 257).astype(np.int32)).save(tmp_path / "c.tiff")  # 8 bits in 32
    for pixels in load_images(tmp_path, 64):
        assert pixels.shape == (64, 64, 3)
        assert np.abs(pixels - (slope / 257)[..., None]).max() <= 1


def test_one_odd_file_does_not_end_a_run(folder, tmp_path, monkeypatch, capsys):
    """Nor does one that Pillow takes for an attack."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 256 * 256)
    Image.new("1", (800, 800)).save(tmp_path / "huge.png")
    Image.fromarray(pictures(1)[0]).save(tmp_path / "good.png")
    assert len(load_images(tmp_path, 64)) == 1
    assert "skipped huge.png" in capsys.readouterr().err


def test_whatever_a_decoder_raises_skips_a_file(folder, monkeypatch, capsys):
    """As RuntimeError, of an AVIF file whose planes are damaged."""
    opened = Image.open

    def damaged(file, *args):
        if str(file).endswith("2.png"):
            raise RuntimeError("Decoding of color planes failed")
        return opened(file, *args)

    monkeypatch.setattr(Image, "open", damaged)
    assert len(load_images(folder, 64)) == 4
    assert "skipped 2.png: Decoding of color planes failed" in capsys.readouterr().err


def test_a_path_with_a_star_or_one_picture(folder):
    assert [path.name for path in find_images(folder / "?.png")] == ["1.png", "2.png", "3.png", "4.png"]
    assert len(load_images(str(folder / "[12].png"), 64)) == 2
    assert len(load_images(folder / "1.png", 64)) == 1


def test_crops_are_spread_over_the_dial_and_repeatable():
    first, second = (Crops(pictures(3, 100), seed=4) for _ in range(2))
    for _ in range(3):
        x, level = first.batch(6, 48)
        again, level_again = second.batch(6, 48)
        assert torch.equal(x, again)
        assert torch.equal(level, level_again)
        assert x.shape == (6, 3, 48, 48)
        assert float(x.min()) >= 0
        assert float(x.max()) <= 1
        assert (level * 6).long().tolist() == list(range(6))


def test_half_of_the_crops_are_of_either_tune():
    """Of a batch, or of two where it is odd; each tune sees the whole dial."""
    one, two = (Crops(pictures(3, 100), seed=4, tunes=tunes) for tunes in (1, 2))
    for count in (4, 3):
        pairs = [(one.batch(count, 48), two.batch(count, 48)) for _ in range(40)]
        tunes = torch.stack([dial[1] - plain[1] for plain, dial in pairs])
        assert set(tunes.unique().round().tolist()) == {0, 2}
        assert torch.equal(pairs[0][0][0], pairs[0][1][0])
        assert tunes.unflatten(0, (20, 2)).sum((1, 2)).round().tolist() == [2 * count] * 20
        assert bool((tunes.mean(0) > 0.5).all())
        assert bool((tunes.mean(0) < 1.5).all())


def test_crops_cut_ahead_are_the_same():
    """Neither threads nor the number of the first batch change what a batch holds."""
    plain, ahead = Crops(pictures(3, 100), seed=4), Crops(pictures(3, 100), seed=4, workers=3)
    shapes = [(6, 48), (6, 48), (2, 64), (6, 48)]
    for count, side in shapes:
        for x, again in zip(plain.batch(count, side), ahead.batch(count, side), strict=True):
            assert torch.equal(x, again)
    later = Crops(pictures(3, 100), seed=4, first=len(shapes))
    assert torch.equal(later.batch(6, 48)[0], plain.batch(6, 48)[0])
    assert not torch.equal(plain.batch(6, 48)[0], plain.batch(6, 48)[0])


def test_a_crop_is_cut_of_pictures_that_hold_it():
    """Larger crops late in a run leave the small pictures to the others."""
    small, large = np.full((64, 90, 3), 50, np.uint8), np.full((200, 128, 3), 200, np.uint8)
    crops = Crops([small, large], seed=1)
    seen = {side: crops.batch(40, side)[0].flatten(1).mean(1) for side in (64, 65, 128)}
    assert sorted(set((255 * seen[64]).round().tolist())) == [50, 200]
    for side in (65, 128):
        assert set((255 * seen[side]).round().tolist()) == {200}
    with pytest.raises(FileNotFoundError, match="no picture has both sides >= 129"):
        crops.batch(1, 129)
