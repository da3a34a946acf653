"""`vqcodec.features`: what can be told about an installation without torch."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import platform
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import vqcodec
from vqcodec import installation


def test_features(models):
    found = vqcodec.features()
    assert found["format"] == "1"
    assert found["versions"]["vqcodec"] == vqcodec.__version__
    assert None not in found["versions"].values()
    assert found["devices"][0] == "cpu"
    assert set(found["devices"]) <= {"cpu", "cuda", "mps"}
    assert found["models"][0] == "default"


def test_missing_library(monkeypatch):
    monkeypatch.setattr(installation, "_LIBRARIES", ("no-such-library",))
    assert vqcodec.features()["versions"]["no-such-library"] is None


@pytest.fixture
def torch_build(tmp_path: Path, monkeypatch):
    """Make torch look like a build for the CUDA version written in its version.py."""

    def build(cuda: str) -> None:
        (tmp_path / "version.py").write_text(f"debug = False\ncuda: Optional[str] = {cuda}\nhip = None\n")
        spec = importlib.machinery.ModuleSpec("torch", None, origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)

    return build


def driver(devices: int) -> Any:
    def count(pointer: Any) -> int:
        pointer._obj.value = devices
        return 0

    return SimpleNamespace(nvmlInit_v2=lambda: 0, nvmlDeviceGetCount_v2=count, nvmlShutdown=lambda: 0)


@pytest.mark.parametrize(
    ("build", "devices", "visible", "there"),
    [
        ("'12.8'", 2, None, True),
        ("'12.8'", 2, "1", True),
        ("'12.8'", 2, "", False),
        ("'12.8'", 2, "-1", False),
        ("'12.8'", 0, None, False),
        ("None", 2, None, False),
    ],
)
def test_cuda(torch_build, monkeypatch, build, devices, visible, there):
    torch_build(build)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: driver(devices))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert ("cuda" in vqcodec.features()["devices"]) == there


def test_no_driver(torch_build, monkeypatch):
    torch_build("'12.8'")

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert "cuda" not in vqcodec.features()["devices"]


def test_apple(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert "mps" in vqcodec.features()["devices"]
