"""Programs that read pictures through Pillow read .vqc files, as docs/usage.md tells."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import vqcodec
import vqcodec.torch
from tests.tiny import picture


@pytest.fixture
def folder(installed_tiny, tiny_codec, tmp_path):
    """Four .vqc files; their model is installed, and Pillow's plugin registered with it."""
    files = tmp_path / "files"
    files.mkdir()
    for number in range(4):
        (files / f"{number}.vqc").write_bytes(tiny_codec.compress(picture(64, 96, seed=number)))
    vqcodec.register_pillow_plugin()
    return files


def wanted(tiny_codec, folder, number=0):
    return np.asarray(tiny_codec.decompress(folder / f"{number}.vqc"))


def test_imageio(folder, tiny_codec):
    iio = pytest.importorskip("imageio.v3")
    path = folder / "0.vqc"
    assert np.array_equal(iio.imread(path), wanted(tiny_codec, folder))
    assert iio.improps(path, plugin="pillow").shape == (64, 96, 3)
    iio.imwrite(folder / "new.vqc", picture(64, 96), plugin="pillow", quality=70)
    assert vqcodec.probe(folder / "new.vqc").width == 96


def test_matplotlib(folder, tiny_codec):
    image = pytest.importorskip("matplotlib.image")
    assert np.array_equal(image.imread(folder / "0.vqc"), wanted(tiny_codec, folder))


class Folder(Dataset[torch.Tensor]):
    """As torchvision's DatasetFolder with its default loader, or with that of `vqcodec.torch`."""

    def __init__(self, folder, tensors):
        self.paths, self.tensors = sorted(folder.glob("*.vqc")), tensors

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        if self.tensors:
            return vqcodec.torch.decode(self.paths[index])
        with self.paths[index].open("rb") as file, Image.open(file) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere libraries themselves may not take forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_with_worker_processes(folder, tiny_codec, tensors, workers):
    loader = DataLoader(Folder(folder, tensors), batch_size=2, num_workers=workers)
    found = torch.cat(list(loader))
    pixels = np.stack([wanted(tiny_codec, folder, number) for number in range(4)])
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), pixels)
