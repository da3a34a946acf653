"""Finding models and reading what they say about themselves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqcodec.errors import ModelNotFound
from vqcodec.weights import zoo


@pytest.fixture
def folders(tmp_path: Path, monkeypatch, make_model):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    make_model(first / "small.safetensors", b"a" * 8)
    make_model(second / "small.safetensors", b"b" * 8)
    make_model(second / "large.safetensors", b"c" * 8, b"d" * 8)
    (second / "junk.safetensors").write_bytes(b"junk")
    monkeypatch.setenv("VQCODEC_MODELS", os.pathsep.join([str(first), str(tmp_path / "absent"), str(second)]))
    return first, second


def test_first_folder_wins(folders):
    assert zoo.find_model("small") == folders[0] / "small.safetensors"
    assert zoo.find_model("large") == folders[1] / "large.safetensors"
    listed = {info.name: info for info in zoo.list_models()}
    assert listed["small"].bitstream_id == (b"a" * 8).hex()
    assert listed["large"].decoder_id == (b"d" * 8).hex()
    assert "junk" not in listed


def test_paths(folders):
    path = folders[1] / "small.safetensors"
    assert zoo.find_model(path) == path
    assert zoo.find_model(str(path)) == path
    for absent in ("absent.safetensors", "./absent", Path("absent")):
        with pytest.raises(ModelNotFound, match="no weight file"):
            zoo.find_model(absent)


def test_unknown_name_lists_the_known(folders):
    with pytest.raises(ModelNotFound, match=r"'medium'.*small, large"):
        zoo.find_model("medium")


def test_find_by_id(folders):
    found = zoo.find_by_id(b"c" * 8)
    assert found is not None
    assert found.name == "large"
    # The second "small" is shadowed: no name leads to it.
    assert zoo.find_by_id(b"b" * 8) is None


@pytest.mark.parametrize(
    "data", [b"", b"1234567", (9).to_bytes(8, "little") + b"{}", (4).to_bytes(8, "little") + b"\xff{}}"]
)
def test_damaged_files(tmp_path: Path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelNotFound, match="not a safetensors file"):
        zoo.describe_model(path)


def test_real_safetensors_file(tmp_path: Path):
    path = tmp_path / "real.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"bitstream_id": "0" * 16, "note": "x"})
    info = zoo.describe_model(path)
    assert (info.name, info.bitstream_id, info.decoder_id) == ("real", "0" * 16, "")
    assert info.metadata["note"] == "x"
    assert info.file_bytes == path.stat().st_size


def test_models_of_the_user_come_before_those_of_the_package(tmp_path, monkeypatch, make_model):
    monkeypatch.delenv("VQCODEC_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert zoo.user_folder() == tmp_path / "vqcodec" / "models"
    zoo.user_folder().mkdir(parents=True)
    path = make_model(zoo.user_folder() / "mine.safetensors", b"m" * 8)
    assert zoo.find_model("mine") == path
    assert [info.name for info in zoo.list_models()] == ["mine", "default"]
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert zoo.user_folder() == tmp_path / ".local" / "share" / "vqcodec" / "models"


def test_a_file_of_another_kind_is_no_missing_model(tmp_path, monkeypatch):
    (tmp_path / "photo.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match=r"^photo.png is no weight file: those end in .safetensors$"):
        zoo.find_model("photo.png")


def test_headers_are_read_once_until_a_file_changes(tiny_weights, tmp_path, monkeypatch):
    read: list[bytes] = []
    loads = json.loads

    def counted(text: bytes) -> Any:
        read.append(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", counted)
    path = tmp_path / "some.safetensors"
    shutil.copy(tiny_weights, path)
    first = zoo.describe_model(path)
    first.metadata.clear()
    assert zoo.describe_model(path).metadata
    assert len(read) == 1
    other = tmp_path / "other.safetensors"
    shutil.copy(zoo.find_model("default"), other)
    other.replace(path)
    assert zoo.describe_model(path).bitstream_id != first.bitstream_id
    assert len(read) == 2


def test_the_package_serves_users_without_a_home(monkeypatch):
    def homeless(_cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("VQCODEC_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", classmethod(homeless))
    assert zoo.find_model("default").is_file()
    assert [info.name for info in zoo.list_models()] == ["default"]
    with pytest.raises(OSError, match="no home folder; set HOME"):
        zoo.install_path("mine")


def test_folders_that_cannot_be_looked_into_are_passed_over(tmp_path, monkeypatch):
    # A name that is too long fails as a closed folder does, for root, too.
    monkeypatch.setenv("VQCODEC_MODELS", str(tmp_path / ("x" * 300)))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert zoo.find_model("default").is_file()
    assert [info.name for info in zoo.list_models()] == ["default"]
