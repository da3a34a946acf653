"""The third set of pictures: means of 5x5 pixels, of the very files that are known."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture


@pytest.fixture
def photographs(bench):
    return bench("photographs")


def test_the_set_is_fourteen_known_photographs(photographs):
    sums = photographs.known_sums(photographs.SUMS)
    assert len(sums) == 14
    assert {len(digest) for digest in sums.values()} == {64}
    assert "waves-midnight.jpg" not in sums  # a drawing


def test_pictures_are_means_of_25_pixels(photographs, tmp_path, monkeypatch, capsys):
    pixels = picture(40, 60, seed=4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not in the set")
    known = {"a.png": hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()}
    monkeypatch.setattr(photographs, "known_sums", lambda path: known)
    words = ["--source", str(tmp_path), "--out", str(tmp_path / "out")]
    assert photographs.main(words) == 0
    assert "1 pictures" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    with Image.open(tmp_path / "out" / "a.png") as image:
        made = np.asarray(image)
    assert made.shape == (8, 12, 3)
    assert made == pytest.approx(
        pixels.reshape(8, 5, 12, 5, 3).mean((1, 3)), abs=0.53
    )  # Pillow rounds in 1/2**24
    (tmp_path / "a.png").write_bytes(b"another")
    assert photographs.main(words) == 1
    assert "another file than expected" in capsys.readouterr().err
    (tmp_path / "a.png").unlink()
    assert photographs.main(words) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "apt-get install budgie-backgrounds" in said
