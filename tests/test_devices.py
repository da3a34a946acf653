from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import torch

from vqcodec import devices


@pytest.mark.parametrize(
    ("driver", "torch_sees", "expected"), [(0, True, "cuda"), (0, False, "cpu"), (100, True, "cpu")]
)
def test_auto_is_a_card_where_its_driver_and_torch_see_one(
    monkeypatch, tmp_path, driver, torch_sees, expected
):
    class Driver:
        def __init__(self, name):
            assert name in devices._DRIVERS.values()

        def cuInit(self, flags):  # noqa: N802  the driver's name
            return driver

    monkeypatch.setattr(devices, "_AMD_DRIVER", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", Driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: torch_sees)
    assert devices.resolve_device("auto") == (expected, None)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_no_driver_is_no_card(monkeypatch, tmp_path, platform):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(devices, "_AMD_DRIVER", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not devices.may_have_card()
    (tmp_path / "none").touch()
    assert devices.may_have_card()


def test_without_a_driver_torch_is_not_asked():
    code = "import sys; from vqcodec import devices; devices.may_have_card = bool;"
    code += "print(devices.resolve_device('auto'), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('cpu', None) False\n"
