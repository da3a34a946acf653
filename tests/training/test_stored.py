"""Pictures that stay in files and tar shards: the same crops as of a folder in memory."""

from __future__ import annotations

import io
import shutil
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import picture, settings
from tests.training.runs import log_of
from vqcodec.training import data, stored
from vqcodec.training.data import Crops, load_images
from vqcodec.training.export import export_state
from vqcodec.training.state import FILE
from vqcodec.training.stored import StoredPictures, open_pictures
from vqcodec.training.trainer import Trainer


def add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def shards(folder, tmp_path):
    """The pictures of `folder` in two shards, with what is none of their business."""
    path = tmp_path / "shards"
    path.mkdir()
    for number, names in enumerate((["1", "2", "3"], ["4", "below/0", "broken", "narrow"])):
        with tarfile.open(path / f"train-{number}.tar", "w") as shard:
            for key, name in enumerate(names):
                add(shard, f"{key:06}.png", (folder / f"{name}.png").read_bytes())
                add(shard, f"{key:06}.json", b"{}")
    return path


def test_shards_hold_what_the_folder_holds(folder, shards, capsys):
    held, inside = load_images(folder, 64), open_pictures(str(shards), 64)
    assert isinstance(inside, StoredPictures)
    assert inside.sizes.tolist() == [[256, 256]] * 5
    assert "train-1.tar: 000002.png" in capsys.readouterr().err
    pairs = zip(held, inside, strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)
    first, second = (Crops(pictures, seed=3) for pictures in (held, inside))
    for _ in range(3):
        assert torch.equal(first.batch(4, 64)[0], second.batch(4, 64)[0])


def test_a_folder_with_a_cache_cuts_the_same_crops(folder):
    held, cached = load_images(folder, 64), open_pictures(str(folder), 64, cache=0.0003)
    assert isinstance(cached, StoredPictures)
    first, second = Crops(held, seed=3), Crops(cached, seed=3, workers=2)
    for _ in range(3):
        assert torch.equal(first.batch(4, 64)[0], second.batch(4, 64)[0])


def test_no_more_than_the_cache_is_kept(shards, monkeypatch):
    read = []
    real = data.read_picture

    def watched(path, offset, length):
        if str(path).startswith(str(shards)):  # crops of other tests may still be cut ahead
            read.append(offset)
        return real(path, offset, length)

    monkeypatch.setattr(stored, "read_picture", watched)
    pictures = open_pictures(str(shards), 64, cache=2.5 * 256 * 256 * 3 / 1e9)
    assert isinstance(pictures, StoredPictures)
    for number in (0, 1, 0, 1, 2, 1, 0):  # 2 takes the place of 0, which was used least lately
        assert pictures[number].shape == (256, 256, 3)
    assert len(read) == 4
    assert sum(p.nbytes for p in pictures._kept.values()) == 2 * 256 * 256 * 3


def test_a_damaged_picture_gives_way_to_the_next(folder, tmp_path, capsys):
    data = png(picture(256, 256, seed=9))
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    shutil.copy(folder / "1.png", tmp_path / "b.png")
    pictures = open_pictures(str(tmp_path), 64, cache=0.1)
    for _ in range(2):
        assert np.array_equal(pictures[0], pictures[1])
    assert capsys.readouterr().err.count("skipped a.png") == 1
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileNotFoundError, match="no picture can be decoded"):
        open_pictures(str(tmp_path), 64, cache=0.1)[1]


def test_a_shard_that_goes_is_told_once(shards, capsys):
    pictures = open_pictures(str(shards), 64)
    capsys.readouterr()
    (shards / "train-0.tar").unlink()
    last = [pictures[number] for number in range(5)][3]
    assert capsys.readouterr().err == f"skipped {shards / 'train-0.tar'}, which is gone\n"
    assert np.array_equal(pictures[0], last)


def test_sources(shards, folder, tmp_path, capsys):
    assert len(open_pictures(str(shards / "train-0.tar"), 64)) == 3
    assert len(open_pictures(str(shards / "train-*.tar"), 64)) == 5
    assert not isinstance(open_pictures(str(folder), 64), StoredPictures)
    for missing in (tmp_path / "nowhere", tmp_path / "x*.tar"):
        with pytest.raises(FileNotFoundError, match="no pictures found"):
            open_pictures(str(missing), 64)
    with pytest.raises(FileNotFoundError, match="no picture has both sides >= 999"):
        open_pictures(str(shards), 999)
    (tmp_path / "broken.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(FileNotFoundError, match="no picture has both sides >= 64"):
        open_pictures(str(tmp_path / "broken.tar"), 64)
    assert "broken.tar: not a whole tar file" in capsys.readouterr().err
    (tmp_path / "cut.tar").write_bytes((shards / "train-0.tar").read_bytes()[:600])
    with pytest.raises(FileNotFoundError, match="no picture has both sides >= 64"):
        open_pictures(str(tmp_path / "cut.tar"), 64)
    assert "cut.tar: not a whole tar file" in capsys.readouterr().err


def test_links_in_a_shard_are_told(folder, tmp_path, capsys):
    with tarfile.open(tmp_path / "links.tar", "w") as shard:
        add(shard, "0.png", (folder / "1.png").read_bytes())
        for name, kind in (
            ("1.png", tarfile.LNKTYPE),
            ("2.png", tarfile.SYMTYPE),
            ("2.json", tarfile.SYMTYPE),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "0.png"
            shard.addfile(link)
    assert len(open_pictures(str(tmp_path / "links.tar"), 64)) == 1
    assert "links.tar: 1.png: links are not followed, of 2" in capsys.readouterr().err


def test_a_run_and_its_export_read_shards(shards, tmp_path):
    out = tmp_path / "run"
    Trainer(settings(data=str(shards), out=str(out), steps=2, log_every=1, late_crop=64)).run()
    assert len(log_of(out)) == 2
    export_state(out / FILE, str(shards), tmp_path / "mine.safetensors", "mine", batches=1)
    assert (tmp_path / "mine.safetensors").is_file()
