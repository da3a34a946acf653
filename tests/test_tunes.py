"""A model with two tunes: what files say, which tables they are coded with, and who shares what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import add_random_realism, load_codec, picture
from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.inspect.bit_report import count_bits
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore

PIXELS = picture(70, 90, seed=3)


@pytest.fixture(scope="module")
def weights(two_tunes_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two") / "two.safetensors"
    add_random_realism(two_tunes_weights, path)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> Codec:
    return load_codec(weights)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("tune", ["eyes", "psnr"])
def test_a_file_is_decoded_by_the_tune_that_it_names(codec: Codec, tune: str):
    file = codec.compress(PIXELS, quality=70, tune=tune)
    found = parse(file)
    header, own = found.header, codec.tuned(tune)
    assert header.tune == tune
    assert own.bitstream_id == codec.bitstream_id
    where = {"width": 90, "height": 70, "level": header.level, "tile": header.tile}
    for realism in (0.0, 0.5, 1.0):
        wanted = own.decode(found.segments, **where, realism=realism)
        assert np.array_equal(pixels(codec.decompress(file, realism=realism)), wanted)
    assert count_bits(codec, file)[0].bits > 0


def test_tunes_give_different_files_and_eyes_is_the_default(codec: Codec):
    eyes, psnr = (codec.compress(PIXELS, tune=tune) for tune in ("eyes", "psnr"))
    assert codec.compress(PIXELS) == eyes
    assert parse(eyes).segments != parse(psnr).segments
    assert codec.tuned("psnr").compress(PIXELS) == psnr
    assert codec.tuned("psnr") is codec.tuned("psnr")
    assert codec.tuned("psnr").tuned("eyes").compress(PIXELS) == eyes
    with pytest.raises(ValueError, match=r"^tune must be eyes or psnr, not 'ears'$"):
        codec.compress(PIXELS, tune="ears")


def test_a_model_with_one_tune_writes_it_down(tiny_codec: Codec):
    eyes, psnr = (parse(tiny_codec.compress(PIXELS, tune=tune)) for tune in ("eyes", "psnr"))
    assert (eyes.header.tune, psnr.header.tune) == ("eyes", "psnr")
    assert eyes.segments == psnr.segments


@pytest.mark.parametrize("effort", [2, 5])
def test_searches_use_the_tables_of_the_tune(codec: Codec, effort: int):
    """Their errors are those of the right decoder, or the file would not be better."""
    for tune in ("eyes", "psnr"):
        own = codec.tuned(tune)
        errors = []
        for search in (1, effort):
            coded = own.encode(PIXELS, 200, 0, search)
            decoded = own.decode(coded.segments, width=90, height=70, level=200, tile=0)
            errors.append(float(np.square(decoded.astype(float) - PIXELS).mean()))
        assert errors[1] < errors[0]


def test_tables_of_a_tune_are_parts_of_those_of_both(weights: Path):
    whole = load_weights(weights)
    for number, tune in enumerate(("eyes", "psnr")):
        part = whole.of_tune(tune)
        assert part.config.tunes == 1
        for name, parts, both in (
            ("log_gain", part.transforms, whole.transforms),
            ("g_a.fine.0.conv1.modulation", part.transforms, whole.transforms),
            ("g_s.coarse.0.conv1.modulation", part.realism, whole.realism),
            ("prior.enter.0.bias", part.coding, whole.coding),
        ):
            assert both[name].shape[:2] == (2, 9)
            assert np.array_equal(parts[name], both[name][number]), name
        assert part.coding["prior.middle.0.bias"].shape[0] == 1
        assert part.coding["y.words.0"] is whole.coding["y.words.0"]


def test_a_restored_model_has_both_tunes(weights: Path):
    whole = load_weights(weights)
    both, parts = restore(whole), [restore(whole.of_tune(tune)) for tune in ("eyes", "psnr")]
    for name, parameter in both.named_parameters():
        ends = [part.get_parameter(name) for part in parts]
        if name.endswith(("modulation.table", "log_gain")):
            assert np.array_equal(parameter.detach(), np.concatenate([end.detach() for end in ends])), name
        elif name.endswith("level_bias"):
            shared = both.get_parameter(name.replace("level_bias", "bias"))
            own = [part.get_parameter(name.replace("level_bias", "bias")) for part in parts]
            sums = [b + shared for b in parameter.unflatten(0, (2, 9))]
            for found, end, bias in zip(sums, ends, own, strict=True):
                assert np.allclose(found.detach(), (end + bias).detach(), atol=1e-5), name
