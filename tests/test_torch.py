"""vqcodec.torch: the pixels of `Codec.decompress`, also of a batch that goes through the networks at once."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import vqcodec.torch
from tests.drawings import mixed, page
from tests.tiny import DEVICES, load_codec, picture
from vqcodec import errors
from vqcodec.bitstream import parse, probe
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.decompress import on_device
from vqcodec.engine.synthesis import Synthesis
from vqcodec.engine.torch_ops import TorchOps
from vqcodec.types import BLACK, WHITE


@pytest.fixture(autouse=True)
def models_folder(real_weights, tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(real_weights, folder)
    monkeypatch.setenv("VQCODEC_MODELS", str(folder))
    vqcodec.torch._models.cache_clear()


@pytest.fixture(scope="module")
def real_codec(real_weights):
    return load_codec(real_weights)


@pytest.fixture(params=DEVICES)
def card(request):
    """What decodes on a card, with the CPU in the place of one that is not there."""
    return vqcodec.torch.Card(request.param)


def pixels_of(codec, data, **options):
    image = codec.decompress(data, **options).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def white():
    """Much of it pure white, and a part that is not."""
    pixels = np.full((130, 100, 3), 255, np.uint8)
    pixels[20:60, 10:50] = picture(40, 40)
    return pixels


@pytest.fixture(scope="module")
def files(real_codec):
    """Files of one size that differ in all else."""
    plain = picture(130, 100, seed=1)
    alpha = np.full((130, 100, 1), 9, np.uint8)
    return {
        "plain": real_codec.compress(plain, quality=70),
        "other level": real_codec.compress(picture(130, 100, seed=2), quality=20),
        "tiles": real_codec.compress(picture(130, 100, seed=3), tile=64),
        "gray": real_codec.compress(plain[:, :, 0]),
        "alpha": real_codec.compress(np.concatenate([plain, alpha], 2)),
        "white": real_codec.compress(white(), drawn=False),
        "black": real_codec.compress(255 - white(), drawn=False),
        "mixed": real_codec.compress(mixed(130, 100)[0], tile=64),
    }


def test_a_file_as_a_tensor(real_codec, files, tmp_path):
    path = tmp_path / "x.vqc"
    path.write_bytes(files["plain"])
    for source in (path, str(path), files["plain"]):
        found = vqcodec.torch.decode(source)
        assert (found.dtype, found.shape, found.device.type) == (torch.uint8, (3, 130, 100), "cpu")
        assert found.is_contiguous()
        assert torch.equal(found, pixels_of(real_codec, files["plain"]))
    crisp = vqcodec.torch.decode(path, realism=1)
    assert torch.equal(crisp, pixels_of(real_codec, files["plain"], realism=1))
    assert not torch.equal(crisp, found)


def test_the_module_is_there_once_it_is_asked_for():
    words = "import vqcodec, sys; assert 'torch' not in sys.modules; print(vqcodec.torch.decode.__name__)"
    assert (
        subprocess.run([sys.executable, "-c", words], capture_output=True, check=True).stdout == b"decode\n"
    )


def test_a_batch_is_its_pictures(real_codec, files):
    found = vqcodec.torch.decode_batch(list(files.values()))
    assert found.shape == (len(files), 3, 130, 100)
    assert torch.equal(vqcodec.torch.decode_batch(files["plain"])[0], found[list(files).index("plain")])
    for pixels, (name, data) in zip(found, files.items(), strict=True):
        assert torch.equal(pixels, pixels_of(real_codec, data)), name


@pytest.mark.parametrize("realism", [0.0, 0.4, 1.0])
def test_a_batch_on_a_device_is_its_pictures(real_codec, files, card, realism, monkeypatch):
    """Of several levels, with what files say of white, black, gray and what is drawn; in windows, too."""
    headers = {name: parse(data).header for name, data in files.items()}
    assert headers["white"].ignorable & WHITE
    assert headers["black"].ignorable & BLACK
    assert headers["mixed"].drawn
    assert headers["gray"].gray
    assert len({header.level for header in headers.values()}) > 2
    containers = [parse(data) for data in files.values()]
    wanted = torch.stack([pixels_of(real_codec, data, realism=realism) for data in files.values()])
    assert torch.equal(card.decode(containers, None, realism).cpu(), wanted)
    monkeypatch.setattr(on_device, "TRANSFORM_SIDE", 4)
    monkeypatch.setattr(on_device, "POSITIONS", 150)
    assert torch.equal(card.decode(containers, None, realism).cpu(), wanted)


def test_the_networks_run_once(files, card, monkeypatch):
    calls = []
    run = Synthesis.__call__

    def counted(self, y_hat, level, window=None):
        calls.append(y_hat.shape)
        return run(self, y_hat, level, window)

    monkeypatch.setattr(Synthesis, "__call__", counted)
    card.decode([parse(files[name]) for name in ("plain", "other level", "alpha")], None, 0.0)
    assert [shape[2] for shape in calls] == [3]


@pytest.mark.skipif("cuda" not in DEVICES, reason="needs a card")
def test_pixels_stay_on_the_card(real_codec, files):
    alone = real_codec.compress(page(130, 100), lossless=True)
    found = vqcodec.torch.decode_batch([*files.values(), alone], device="cuda")
    assert found.device.type == "cuda"
    wanted = torch.stack([pixels_of(real_codec, data) for data in (*files.values(), alone)])
    assert torch.equal(found.cpu(), wanted)


def test_groups_of_a_batch_keep_their_places(real_codec, files, monkeypatch):
    """Files that need no model among those that do; on the CPU in the place of a card."""
    alone = real_codec.compress(page(130, 100), lossless=True)
    monkeypatch.setattr(vqcodec.torch, "check_device", lambda _: ("cuda", ""))
    monkeypatch.setattr(vqcodec.torch, "resolve_device", lambda _: ("cpu", None))
    order = [files["plain"], alone, files["gray"]]
    found = vqcodec.torch.decode_batch(order, device="cpu:0")
    assert torch.equal(found, torch.stack([pixels_of(real_codec, data) for data in order]))


def test_what_cannot_be_decoded(real_codec, files, tiny_codec, tiny_weights, monkeypatch):
    small = real_codec.compress(picture(64, 64))
    with pytest.raises(ValueError, match="one size are wanted, not of 2"):
        vqcodec.torch.decode_batch([files["plain"], small])
    with pytest.raises(ValueError, match="one size are wanted, not of 0"):
        vqcodec.torch.decode_batch([])
    for device in ("mps", "auto", "tpu"):
        with pytest.raises(ValueError, match="device must be"):
            vqcodec.torch.decode(small, device=device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"cuda is not available$"):
        vqcodec.torch.decode(small, device="cuda")
    with pytest.raises(errors.FormatError):
        vqcodec.torch.decode(small[:-1])
    with pytest.raises(errors.ModelNotFound, match="no perceptual decoder"):
        vqcodec.torch.Card("cpu").decode([parse(small)], tiny_weights, 0.5)
    with pytest.raises(errors.ModelMismatch):
        vqcodec.torch.Card("cpu").decode([parse(small)], "default", 0.0)


def test_results_stay_where_they_are_asked_to():
    ops = TorchOps("cpu", stays=True)
    x = torch.zeros(2, 3)
    assert ops.leave(x) is x
    assert torch.equal(ops.join([x, x]), torch.zeros(4, 3))
    assert isinstance(TorchOps().join([x, x]), np.ndarray)


def test_a_colour_profile_is_not_applied(real_codec):
    image = Image.fromarray(picture(64, 64))
    plain = real_codec.compress(image)
    image.info["icc_profile"] = profile_bytes(2)
    wide = real_codec.compress(image)
    assert probe(wide).chunks[0].type == "iCCP"
    assert torch.equal(vqcodec.torch.decode(wide), vqcodec.torch.decode(plain))
