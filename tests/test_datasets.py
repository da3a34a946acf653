"""Fetching pictures: sums are checked, what is there stays, and being offline is said in one line."""

from __future__ import annotations

import hashlib
import importlib
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {"a.png": b"first", "b.png": b"second"}
SUMS = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


@pytest.fixture
def datasets(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    return importlib.import_module("benchmarks.datasets")


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
