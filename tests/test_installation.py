"""`vqcodec.features`: versions, devices and models of an installation."""

from __future__ import annotations

import re
import types

import pytest
import torch

import vqcodec
from vqcodec import installation
from vqcodec.native import choice
from vqcodec_cli.main import main


def test_features(models):
    found = vqcodec.features()
    assert found["format"] == "1"
    assert found["engine"] == choice.engine()
    assert found["versions"]["vqcodec"] == vqcodec.__version__
    assert None not in found["versions"].values()
    assert found["devices"][0] == "cpu"
    assert set(found["devices"]) <= {"cpu", "cuda", "mps"}
    assert found["models"][0] == "default"


@pytest.mark.skipif(choice.built("_kernels") is None, reason="installed without the C engine")
def test_which_engine_runs(monkeypatch, capsys):
    monkeypatch.setenv(choice.VARIABLE, "torch")
    assert choice.engine() == "torch"
    monkeypatch.delenv(choice.VARIABLE)
    assert re.fullmatch(r"native \((portable|neon|avx2|avxvnni|avx512vnni|amx)\)", choice.engine())
    assert main(["--version"]) == 0
    assert f", engine {choice.engine()}, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "isa", "expected"),
    [("", "portable", "torch"), ("native", "portable", "native (portable)"), ("", "avx2", "native (avx2)")],
)
def test_plain_c_is_for_who_asks_for_it(monkeypatch, asked, isa, expected):
    module = types.SimpleNamespace(isa=lambda: isa)
    monkeypatch.setattr(choice, "built", lambda name: module)
    monkeypatch.setenv(choice.VARIABLE, asked)
    assert choice.engine() == expected
    assert (choice.kernels() is None) == (expected == "torch")


def test_missing_library(monkeypatch):
    monkeypatch.setattr(installation, "_LIBRARIES", ("no-such-library",))
    assert vqcodec.features()["versions"]["no-such-library"] is None


@pytest.mark.parametrize(("cuda", "mps"), [(False, False), (True, False), (False, True)])
def test_devices_are_those_torch_finds(monkeypatch, cuda, mps):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    expected = ["cpu", *(["cuda"] if cuda else []), *(["mps"] if mps else [])]
    assert vqcodec.features()["devices"] == expected
