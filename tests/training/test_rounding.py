"""Training with the rounding of the engine's layers in 8 bits: what the model computes then, and when."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import load_codec, open_restoration_, picture, pictures, settings, tiny_model, write_tiny
from vqcodec.model.rounding import RoundedConv, rounded_layers
from vqcodec.training.quantise import some_batches
from vqcodec.training.rounding_steps import measure_steps, steps_of
from vqcodec.training.state import FILE
from vqcodec.training.trainer import Trainer


def layer(signed: bool) -> RoundedConv:
    torch.manual_seed(1)
    made = RoundedConv(3, 4, 3, signed)
    made.step.copy_(torch.tensor([0.5, 0.25, 0.01]))
    made.rounded = True
    return made


# -- a layer -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("signed", "low", "high"), [(True, -127, 127), (False, 0, 255)])
def test_inputs_are_whole_steps_within_8_bits(signed, low, high):
    made = layer(signed)
    x = 40 * torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    units = made.on_grid(x) / made.step[:, None, None]
    wanted = (x / made.step[:, None, None]).round().clamp(low, high)
    assert torch.allclose(units, wanted, atol=1e-3)
    assert units.min() == low
    assert units[:, 2].max() == pytest.approx(high)


def test_weights_are_those_of_the_engine():
    made = layer(signed=True)
    folded = made.weight_on_grid() * made.step[:, None, None]
    for real, rounded in zip(made.weight * made.step[:, None, None], folded, strict=True):
        scale = real.abs().max() / 64
        assert torch.allclose(rounded / scale, (real / scale).round(), atol=1e-3)


def test_gradients_pass_but_where_inputs_are_clipped():
    made = layer(signed=False)
    x = torch.tensor([0.3, 200.0, -1.0]).reshape(3, 1, 1, 1).expand(3, 3, 4, 4).clone().requires_grad_()
    made(x).sum().backward()
    assert x.grad is not None
    assert (x.grad[0, 0] != 0).all()  # .3 of at most 127.5
    assert (x.grad[1:] == 0).all()  # beyond all that 255 steps reach, and below 0
    assert made.weight.grad is not None
    assert (made.weight.grad != 0).any()


def test_a_layer_is_an_ordinary_convolution_until_it_is_rounded():
    made, x = layer(signed=True), torch.randn(1, 3, 6, 6)
    rounded = made(x)
    made.rounded = False
    assert torch.equal(made(x), torch.nn.functional.conv2d(x, made.weight, made.bias, padding=1))
    assert not torch.equal(made(x), rounded)
    assert set(made.state_dict()) == {"weight", "bias"}


# -- the transforms ----------------------------------------------------------------------------
def test_a_rounded_model_decodes_nearly_as_the_engine_does(tmp_path):
    model, path = tiny_model(8), tmp_path / "tiny.safetensors"
    open_restoration_(model, seed=3, spread=0.2)
    write_tiny(path, model)
    codec = load_codec(path)
    x = picture(96, 80, seed=9)
    segments = codec.encode(x, 150, 0).segments
    where = {"width": 80, "height": 96, "level": 150, "tile": 0}
    decoded = torch.from_numpy(codec.decode(segments, **where)).permute(2, 0, 1) / 255
    y_hat = torch.from_numpy(codec.decoder.latent(segments, **where)).permute(2, 0, 1)[None].float() / 128
    measure_steps(model, some_batches(pictures(), 64))
    errors = []
    for rounded in (False, True):
        model.set_rounded(rounded)
        with torch.no_grad():
            picture_ = model.synthesise(y_hat, torch.tensor([150 / 252]))[0].clamp(0, 1)
        errors.append(float((picture_ - decoded).square().mean()))
    floor = 1 / 255**2 / 12  # pixels in 8 bits
    assert errors[1] - floor < 0.5 * (errors[0] - floor)


def test_every_layer_of_8_bits_rounds():
    model = tiny_model(0)
    names = {name for name, _ in rounded_layers(model)}
    restoration = {f"g_s.restoration.{part}" for part in ("guide", "mix", "draw", "gates")}
    blocks = {
        f"{g}.blocks_{size}.0.conv{n}" for g in ("g_a", "g_s") for size in ("wide", "deep") for n in (1, 2)
    }
    assert names == blocks | restoration | {"g_s.tail", "h_a.mix"}
    measure_steps(model, some_batches(pictures(), 64))
    assert all((step > 0).all() for step in steps_of(model).values())


# -- runs --------------------------------------------------------------------------------------
def test_a_run_rounds_from_the_share_that_was_asked_for_and_goes_on_with_its_steps(
    folder, tmp_path, monkeypatch
):
    config = settings(data=str(folder), out=str(tmp_path), steps=4, crop=32, late_crop=32, rounded_from=0.5)
    trainer = Trainer(config)
    seen, step = [], trainer.train_step

    def watched(x, t, count):
        seen.append({layer.rounded for _, layer in rounded_layers(trainer.model)})
        return step(x, t, count)

    monkeypatch.setattr(trainer, "train_step", watched)
    trainer.run()
    assert seen == [{False}, {False}, {True}, {True}]
    tensors = load_file(tmp_path / FILE)
    kept = {name: tensors[f"step.{name}"] for name in steps_of(trainer.model)}
    assert all((value > 0).all() for value in kept.values())
    again = Trainer(config)
    again.load(tmp_path / FILE)
    monkeypatch.setattr("vqcodec.training.trained_model.measure_steps", None)  # nothing is measured twice
    again.start_rounding(None)  # type: ignore[arg-type]
    assert again.model.rounded
    for name, value in steps_of(again.model).items():
        assert torch.equal(value, kept[name])


def test_a_run_without_rounding_keeps_no_steps(folder, tmp_path):
    trainer = Trainer(settings(data=str(folder), out=str(tmp_path), steps=1, crop=32, late_crop=32))
    trainer.run()
    assert not [name for name in load_file(tmp_path / FILE) if name.startswith("step.")]
