"""The engine on a card, by a stand-in: it stays there, and gives the same numbers as the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.card import CardOps, OnCard
from tests.make_golden import PICTURES, WEIGHTS
from tests.tiny import load_codec, picture
from vqcodec.codec import Codec
from vqcodec.engine import torch_ops

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture
def on_cpu() -> Codec:
    return load_codec(GOLDEN / WEIGHTS)


@pytest.fixture
def on_card(monkeypatch: pytest.MonkeyPatch) -> Codec:
    monkeypatch.setattr(torch_ops, "TorchOps", CardOps)
    monkeypatch.setattr(OnCard, "fetched", 0)
    monkeypatch.setattr(OnCard, "products", set())
    codec = load_codec(GOLDEN / WEIGHTS, "cuda")
    assert isinstance(codec.model.ops, CardOps)
    return codec


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_the_cpus_and_nothing_travels_but_latents_and_pixels(on_card, name):
    data = (GOLDEN / f"{name}.vqc").read_bytes()
    wanted = np.load(GOLDEN / f"{name}.pixels.npy")
    assert np.array_equal(np.asarray(on_card.decompress(data)), wanted)
    # Weights are there now.
    on_card.model.ops.sent = OnCard.fetched = 0
    assert np.array_equal(np.asarray(on_card.decompress(data)), wanted)
    strips = -(-wanted.shape[0] // 128)
    assert (on_card.model.ops.sent, OnCard.fetched) == (2, strips)  # the latent and its steps; pixels


def test_latents_are_the_cpus(on_cpu, on_card):
    pixels = picture(160, 192, seed=9)
    wanted = on_cpu.model.g_a(pixels, 100)
    hyper = on_cpu.model.h_a(wanted)
    for first in (True, False):
        on_card.model.ops.sent = OnCard.fetched = 0
        assert np.array_equal(on_card.model.g_a(pixels, 100), wanted)
        assert np.array_equal(on_card.model.h_a(wanted), hyper)
        if not first:
            assert (on_card.model.ops.sent, OnCard.fetched) == (2, 2)


def test_bytes_are_the_cpus(on_cpu, on_card):
    x = picture(70, 90, seed=9)
    assert on_card.compress(x, quality=20) == on_cpu.compress(x, quality=20)


@contextlib.contextmanager
def older() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def newer(backend: Any) -> Iterator[None]:
    backend.fp32_precision = "tf32"
    try:
        yield
    finally:
        backend.fp32_precision = "none"


@contextlib.contextmanager
def autocast() -> Iterator[None]:
    # torch.autocast leaves it off where no card is.
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)


COARSER: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "the older setting": older,
    "mixed precision": autocast,
}
if hasattr(torch.backends, "fp32_precision"):  # since PyTorch 2.9
    COARSER["the newer setting, of cards"] = lambda: newer(torch.backends.cuda.matmul)
    COARSER["the newer setting, of all"] = lambda: newer(torch.backends)


@pytest.mark.parametrize("setting", COARSER)
def test_coarser_products_of_torch_change_nothing(on_card, setting):
    """Whenever they are asked for: products are of float64 then, which no setting makes coarser."""
    data = (GOLDEN / "whole.vqc").read_bytes()
    on_card.decompress(data)
    assert OnCard.products == {torch.float32, torch.float64}
    OnCard.products.clear()
    with COARSER[setting]():
        assert np.array_equal(np.asarray(on_card.decompress(data)), np.load(GOLDEN / "whole.pixels.npy"))
    assert OnCard.products == {torch.float64}
    on_card.decompress(data)
    assert torch.float32 in OnCard.products


def test_mixed_precision_changes_nothing_on_the_cpu(monkeypatch):
    monkeypatch.setenv("VQCODEC_ENGINE", "torch")
    codec = load_codec(GOLDEN / WEIGHTS)
    assert isinstance(codec.model.ops, torch_ops.TorchOps)
    with torch.autocast("cpu", torch.bfloat16):
        pixels = np.asarray(codec.decompress((GOLDEN / "whole.vqc").read_bytes()))
    assert np.array_equal(pixels, np.load(GOLDEN / "whole.pixels.npy"))


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x.sum().item(),
        lambda x: bool(x[0] > 0),
        lambda x: torch.addcmul(x, x, x),
        lambda x: x.add(x, alpha=3),
        lambda x: x.new_ones(3, device="cpu"),
    ],
)
def test_the_stand_in_refuses_what_must_not_be(use):
    x = CardOps().enter(np.ones(3, np.float32))
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
        use(x)
    assert CardOps().leave(x * 2 + x).tolist() == [3, 3, 3]
