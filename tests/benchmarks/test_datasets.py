"""Fetching pictures: sums are checked, what is there stays, and being offline is said in one line."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request

import pytest
from PIL import Image

FILES = {"a.png": b"first", "b.png": b"second"}
SUMS = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


@pytest.fixture
def datasets(bench):
    return bench("datasets")


def test_the_sums_of_kodak_are_there(datasets):
    sums = datasets.known_sums()
    assert list(sums) == [f"kodim{i:02}.png" for i in range(1, 25)]
    assert {len(s) for s in sums.values()} == {64}
    assert sums["kodim01.png"].startswith("a56e27cb")


def test_only_what_is_missing_or_wrong_is_fetched(datasets, tmp_path):
    asked = []

    def get(address: str) -> bytes:
        asked.append(address)
        return FILES[address.rsplit("/", 1)[1]]

    assert datasets.fetch(tmp_path / "new", SUMS, get, "http://x/") == ["a.png", "b.png"]
    assert asked == ["http://x/a.png", "http://x/b.png"]
    assert datasets.fetch(tmp_path / "new", SUMS, get, "http://x/") == []
    (tmp_path / "new" / "b.png").write_bytes(b"sec")
    assert datasets.fetch(tmp_path / "new", SUMS, get, "http://x/") == ["b.png"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "new").iterdir()} == FILES


def test_another_file_is_refused_and_not_kept(datasets, tmp_path):
    with pytest.raises(datasets.DatasetError, match="another file than expected"):
        datasets.fetch(tmp_path, SUMS, lambda address: b"a page that says no")
    assert not list(tmp_path.iterdir())


def test_offline_is_one_clear_line(datasets, tmp_path, monkeypatch, capsys):
    def offline(*_args, **_keywords):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    assert datasets.main(["kodak", "--out", str(tmp_path / "kodak")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "http://r0k.us/graphics/kodak/kodak/kodim01.png" in said
    assert "Name or service not known" in said


def test_a_complete_folder_needs_no_network(datasets, tmp_path, monkeypatch, capsys):
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(datasets, "known_sums", lambda: SUMS)
    assert datasets.main(["kodak", "--out", str(tmp_path)]) == 0
    assert "2 pictures" in capsys.readouterr().out


def test_pages_are_drawn_again_alike_and_held_out_ones_differ(bench, tmp_path):
    documents = bench("documents")
    for name, *words in (("one",), ("two",), ("held", "--held-out"), ("seed", "--seed", "1")):
        assert documents.main(["--out", str(tmp_path / name), "--count", "2", *words]) == 0
    pages = {
        name: [(tmp_path / name / f"page000{i}.png").read_bytes() for i in range(2)]
        for name in ("one", "two", "held", "seed")
    }
    assert pages["one"] == pages["two"]
    assert len({page for name in ("one", "held", "seed") for page in pages[name]}) == 6
    assert not {*documents.FONTS} & {*documents.HELD_FONTS}
    with Image.open(tmp_path / "one" / "page0000.png") as image:
        assert (image.mode, image.size) == ("RGB", (576, 576))
        shades = image.convert("L").histogram()
    assert sum(shades[:128]) > 5000  # ink
    assert sum(shades[220:]) > 150_000  # paper
