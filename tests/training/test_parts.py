"""Training one part alone: the prior, or the networks of g_s."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import load_codec, picture, settings
from vqcodec.entropy.steps import SLOPE, greedy_slope
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.training import __main__ as command
from vqcodec.training import export
from vqcodec.training.state import load_start, load_state
from vqcodec.training.trainer import Trainer
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.writing import add_realism, save_weights


def changed_by_training(exported, folder, out, monkeypatch, option):
    """Names of the parameters that a short run with `option` changes."""
    words = f"--data {folder} --from {exported} --out {out} --steps 16 --batch 2 --crop 64 --late-crop 64"
    monkeypatch.setattr(sys, "argv", ["x", *words.split(), option, "--revive-every", "1", "--log-every", "8"])
    command.main()
    before, (after, _) = load_start(str(exported)), load_state(out / "state.safetensors")
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return {name for (name, a), b in pairs if not torch.equal(a, b)}


def test_a_prior_is_trained_alone(exported, folder, tmp_path, monkeypatch):
    """Latents stay, and so do codewords; rates are logged, errors are not."""
    changed = changed_by_training(exported, folder, tmp_path, monkeypatch, "--prior-only")
    assert {name.split(".")[0] for name in changed} == {"prior", "h_a", "hyper_quantizer", "quantizer"}
    assert not any(name.startswith("quantizer.words") for name in changed)
    entry = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    for values in entry["levels"].values():
        assert values["bpp"] > 0
        assert values["psnr"] is None


@pytest.mark.parametrize("part", ["", "prior_only", "decoder_only"])
def test_a_part_alone_is_trained_on_what_files_choose(folder, tmp_path, part):
    """Errors have the prices by which effort 1 chooses codewords; all at once they have training's own."""
    trainer = Trainer(settings(data=str(folder), out=str(tmp_path), **({part: True} if part else {})))
    sizes = [size for size, _, _ in trainer.config.model.bands]
    assert trainer.model.quantizer.slopes == [greedy_slope(size) if part else SLOPE for size in sizes]
    assert len({greedy_slope(size) for size in sizes}) > 1


def test_a_prior_that_was_trained_alone_replaces_another(exported, folder, tmp_path, monkeypatch, capsys):
    """Both decoders stay what they are, and so do latents but for what other prices choose."""
    out, new, looks = tmp_path / "run", tmp_path / "new.safetensors", tmp_path / "looks.safetensors"
    changed_by_training(exported, folder, out, monkeypatch, "--prior-only")
    bias = load_weights(exported).transforms["g_s.last.bias"]
    add_realism(exported, {"g_s.last.bias": bias + 1}, looks)
    arguments = ["x", str(out / "state.safetensors"), "--coding-of", str(looks), "-o", str(new)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--data", str(folder), "--batches", "1"])
    export.main()
    old, weights = load_weights(looks), load_weights(new)
    assert weights.bitstream_id != old.bitstream_id
    assert weights.bitstream_id.hex() in capsys.readouterr().out
    assert (weights.decoder_id, weights.realism_id) == (old.decoder_id, old.realism_id)
    for name, array in old.transforms.items():
        assert np.array_equal(weights.transforms[name], array) or name.startswith("h_a."), name
    assert any(not np.array_equal(weights.transforms[n], a) for n, a in old.transforms.items())
    codec, pixels = load_codec(new), picture(64, 96)
    data = codec.compress(pixels, quality=60, drawn=False)
    assert psnr(pixels, np.asarray(codec.decompress(data))) > 20


def test_a_prior_of_other_latents_is_refused(exported, trained, folder, tmp_path, monkeypatch, capsys):
    state, target = str(trained / "state.safetensors"), tmp_path / "new.safetensors"
    words = ["x", state, "-o", str(target), "--data", str(folder), "--batches", "1", "--coding-of", "default"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        export.main()
    assert "its gains are others, the prior was trained for other latents" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words, "--share", "0.5"])
    with pytest.raises(SystemExit):
        export.main()
    assert "not allowed with argument" in capsys.readouterr().err
    assert not target.exists()


def test_one_part_is_trained_alone_at_a_time(folder, tmp_path, monkeypatch, capsys):
    words = f"x --data {folder} --out {tmp_path} --steps 1 --prior-only --decoder-only"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit):
        command.main()
    assert "exclude each other" in capsys.readouterr().err


def test_a_decoder_is_trained_alone_and_replaced(exported, folder, tmp_path, monkeypatch, capsys):
    """The bits stay what they are, and so does the linear half, which the perceptual decoder shares."""
    out, new = tmp_path / "run", tmp_path / "new.safetensors"
    changed = changed_by_training(exported, folder, out, monkeypatch, "--decoder-only")
    assert changed
    assert all(name.startswith("g_s.") for name in changed)
    assert not changed & {"g_s.shortcut", "g_s.lapping"}

    arguments = ["x", str(out / "state.safetensors"), "--decoder-of", str(exported), "-o", str(new)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--data", str(folder)])
    export.main()
    old_codec, codec = load_codec(exported), load_codec(new)
    told = capsys.readouterr()
    assert (codec.decoder_id in told.out, "makes a new model" in told.err) == (True, False)
    assert (codec.bitstream_id, codec.decoder_id != old_codec.decoder_id) == (old_codec.bitstream_id, True)
    pixels = picture(64, 96)
    data = codec.compress(pixels)
    assert data == old_codec.compress(pixels)
    assert not np.array_equal(np.asarray(codec.decompress(data)), np.asarray(old_codec.decompress(data)))

    whole = [*arguments[:2], "-o", str(tmp_path / "whole.safetensors"), "--batches", "1"]
    monkeypatch.setattr(sys, "argv", [*whole, "--data", str(folder)])
    export.main()
    assert "makes a new model" in capsys.readouterr().err


def test_a_decoder_of_other_latents_is_refused(exported, trained, folder, tmp_path, monkeypatch, capsys):
    state, target = str(trained / "state.safetensors"), str(tmp_path / "new.safetensors")
    other = tmp_path / "other.safetensors"
    weights = load_weights(exported)
    transforms = weights.transforms | {"log_gain": weights.transforms["log_gain"] + np.float32(0.1)}
    save_weights(other, weights.config, transforms, weights.coding, {})
    for arguments, reason in (
        (["--decoder-of", str(other)], "its gains are others"),
        (["--decoder-of", "default"], "its latents are of other sizes"),
        (["--decoder-of", str(tmp_path / "none.safetensors")], "none.safetensors"),
    ):
        monkeypatch.setattr(sys, "argv", ["x", state, "-o", target, "--data", str(folder), *arguments])
        with pytest.raises(SystemExit):
            export.main()
        assert reason in capsys.readouterr().err
    assert not Path(target).exists()
