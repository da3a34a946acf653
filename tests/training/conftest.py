"""What the tests of training share: pictures, a finished run of a tiny model, its weights."""

from __future__ import annotations

import sys

import pytest
import torch
from PIL import Image

from tests.once import shared
from tests.tiny import picture, pictures, settings
from vqcodec.training import export
from vqcodec.training.trainer import Trainer


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that wait for the finished run are slow."""
    for item in items:
        if "trained" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def process_state():
    """A run changes the number of threads; the other tests want theirs back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Pictures to train on, one of them in a folder below, and files that are none."""

    def make(path):
        (path / "below").mkdir()
        for i, x in enumerate(pictures(5, 256)):
            Image.fromarray(x).save(path / ("below" if i == 0 else ".") / f"{i}.png")
        Image.fromarray(picture(40, 300)).save(path / "narrow.png")
        (path / "broken.png").write_bytes(b"no picture")
        (path / "notes.txt").write_text("no picture either")

    return shared(tmp_path_factory, "pictures", make)


@pytest.fixture(scope="session")
def trained(folder, tmp_path_factory):
    """Folder of a finished run of 60 steps."""

    def make(path):
        Trainer(settings(data=str(folder), out=str(path), steps=60, exact_from=0.7)).run()

    return shared(tmp_path_factory, "trained", make)


@pytest.fixture(scope="session")
def exported(trained, folder, tmp_path_factory):
    """Weights file made by the export command from the trained state."""

    def make(path):
        words = [str(trained / "state.safetensors"), "--data", str(folder), "--batches", "4"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["export", *words, "-o", str(path / "mine.safetensors")])
            export.main()

    return shared(tmp_path_factory, "exported", make) / "mine.safetensors"
