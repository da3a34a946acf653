"""Latents of the perceptual stage as the codec makes them."""

from __future__ import annotations

import pytest
import torch

from tests.training.players import Difference, batch, perceptual_config
from vqcodec import errors
from vqcodec.training.perceptual.coded import CodedLatents, on_levels
from vqcodec.training.perceptual.players import Players
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore


def test_latents_and_pictures_are_those_of_files(tiny_weights, tiny_codec):
    x, dial = batch()
    dial = on_levels(dial)
    y_hat, fidelity = CodedLatents(tiny_weights)(x, dial)
    for number, level in enumerate((50, 151)):
        pixels = (x[number] * 255).byte().permute(1, 2, 0).numpy()
        segments = tiny_codec.encode(pixels, level, 0).segments
        shown = tiny_codec.decode(segments, width=64, height=64, level=level, tile=0)
        assert (fidelity[number].permute(1, 2, 0).numpy() * 255).round().astype(
            "uint8"
        ).tolist() == shown.tolist()
        latent = tiny_codec.decoder.latent(segments, width=64, height=64, level=level, tile=0)
        assert torch.equal(y_hat[number].permute(1, 2, 0) * 128, torch.from_numpy(latent).float())


def test_a_tuned_decoder_starts_where_the_codec_decodes(tiny_weights):
    """So the gain is divided out, and levels are the files'."""
    model = restore(load_weights(tiny_weights))
    group = Players(
        perceptual_config(), model, (Difference(), Difference()), coded=CodedLatents(tiny_weights)
    )
    x, dial = batch()
    scaled, fidelity = group._latents(x, on_levels(dial))
    assert (group.g_s(scaled, on_levels(dial)) - fidelity).abs().mean() < 1 / 255
    log = group.train_step(x, dial, adversarial=True)
    assert abs(log["psnr_loss"]) < 0.1
    assert log["error"] == pytest.approx(1, abs=0.02)


def test_levels_of_both_tunes_are_rounded_alike():
    assert on_levels(torch.tensor([0.3, 2.3])).tolist() == pytest.approx([76 / 252, 2 + 76 / 252])


def test_a_state_is_no_codec(tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"none")
    with pytest.raises(errors.ModelNotFound):
        CodedLatents(path)
