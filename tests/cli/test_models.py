"""`vqcodec models import`: only weights that load are installed, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from vqcodec.weights import decoder_file, zoo


@pytest.fixture
def weights(tiny_weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_weights, tmp_path / "mine-1.0.safetensors"))


@pytest.fixture(autouse=True)
def empty_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def installed() -> list[str]:
    folder = zoo.user_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_import(vqcodec, weights):
    run = vqcodec("models", "import", weights)
    target = zoo.user_folder() / "mine-1.0.safetensors"
    found = zoo.describe_model(weights)
    assert (run.code, run.out) == (0, b"")
    assert run.err.startswith(f"{weights} -> {target}  bitstream {found.bitstream_id}  ")
    assert run.err.count("\n") == 1
    assert target.read_bytes() == weights.read_bytes()
    assert zoo.find_model("mine-1.0") == target
    assert "mine-1.0  bitstream" in vqcodec("models", "list").out.decode()


def test_name_and_force(vqcodec, weights):
    assert vqcodec("models", "import", weights, "--name", "other_2").code == 0
    assert installed() == ["other_2.safetensors"]
    target = zoo.user_folder() / "other_2.safetensors"
    target.write_bytes(b"old")
    run = vqcodec("models", "import", "--name=other_2", weights)
    assert run.code == 1
    assert run.err == f"vqcodec: {target}: exists already (use -f to overwrite)\n"
    assert target.read_bytes() == b"old"
    assert vqcodec("models", "import", "-f", "--name=other_2", weights).code == 0
    assert target.read_bytes() == weights.read_bytes()
    assert installed() == ["other_2.safetensors"]
    assert vqcodec("models", "import", "-f", target).code == 0  # onto itself


@pytest.mark.parametrize(
    "name", ["", "a b", "../up", "a/b", "-q", ".hidden", "a.safetensors", "\u00e4", "a" * 65]
)
def test_names_that_lead_nowhere(vqcodec, weights, name):
    run = vqcodec("models", "import", weights, f"--name={name}")
    assert run.code == 2
    assert "cannot be a model's name" in run.err
    assert installed() == []


def test_name_of_the_file_may_not_do(vqcodec, weights, tmp_path):
    odd = weights.rename(tmp_path / "my model.safetensors")
    assert vqcodec("models", "import", odd).code == 2
    assert vqcodec("models", "import", odd, "--name", "mine").code == 0


def test_a_suffix_in_capitals_is_no_part_of_the_name(vqcodec, weights, tmp_path):
    assert vqcodec("models", "import", weights.rename(tmp_path / "UP.SAFETENSORS")).code == 0
    assert installed() == ["UP.safetensors"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_and_not_waited_for(vqcodec, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    run = vqcodec("models", "import", tmp_path / "pipe")
    assert (run.code, installed()) == (1, [])
    assert run.err.startswith(f"vqcodec: {tmp_path / 'pipe'}: is no regular file")


def test_not_a_model(vqcodec, weights, models, tmp_path):
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    cases = {
        "damaged": bytes(damaged),
        "cut": weights.read_bytes()[:-100],
        "text": b"some text",
        "foreign": (models / "default.safetensors").read_bytes(),
    }
    for name, data in cases.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        run = vqcodec("models", "import", path)
        assert (run.code, run.out) == (4, b""), name
        assert run.err.startswith(f"vqcodec: {path}: ")
    assert installed() == []
    run = vqcodec("models", "import", tmp_path / "absent.safetensors")
    assert run.code == 1
    assert "No such file or directory" in run.err


def test_note_where_another_model_comes_first(vqcodec, weights, models):
    run = vqcodec("models", "import", weights, "--name", "default")
    assert run.code == 0
    note = f"vqcodec: note: default still means {models / 'default.safetensors'}, which is searched first\n"
    assert run.err.endswith(note)


def test_export_decoder_writes_a_file_named_by_the_fingerprints_and_an_index(vqcodec, weights, tmp_path):
    folder, found = tmp_path / "web", zoo.describe_model(weights)
    run = vqcodec("models", "export-decoder", folder, "-m", weights)
    target = folder / f"{found.bitstream_id}-{found.decoder_id}.safetensors"
    assert run.code == 0
    assert run.out.decode().startswith(f"{target}  ")
    assert json.loads((folder / "models.json").read_text()) == {found.bitstream_id: target.name}
    assert target.stat().st_size < weights.stat().st_size
    missing = vqcodec("models", "export-decoder", folder, "-m", "nobody")
    assert missing.code != 0
    assert missing.err.count("\n") == 1


def test_export_decoder_looks_at_its_folder_first(vqcodec, weights, tmp_path, monkeypatch):
    def pack(_model):
        raise AssertionError("seconds later it would be too late")

    monkeypatch.setattr(decoder_file, "pack_decoder", pack)
    (tmp_path / "file").write_bytes(b"")
    run = vqcodec("models", "export-decoder", tmp_path / "file", "-m", weights)
    assert (run.code, run.err) == (1, f"vqcodec: {tmp_path / 'file'}: File exists\n")
