"""Which engine runs the transforms on which device."""

from __future__ import annotations

import pytest
import torch

from tests.engine.card import CardOps
from tests.make_golden import WEIGHTS
from tests.test_exactness import GOLDEN
from vqcodec import loading
from vqcodec.engine import choice, torch_ops
from vqcodec.engine.torch_ops import TorchOps
from vqcodec.inspect.codebook_atlas import draw_atlas

NATIVE = object()


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize(
    ("device", "where"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("mps", "cpu")]
)
def test_cards_take_torch_and_all_else_the_engine_of_the_cpu(monkeypatch, built, device, where):
    """mps too: it has no float64."""
    monkeypatch.setattr(choice, "kernels", lambda: NATIVE if built else None)
    monkeypatch.setattr("vqcodec.engine.native_ops.NativeOps", lambda _threads: NATIVE)
    ops = choice.make_operations(device)
    if built and where == "cpu":
        assert ops is NATIVE
    else:
        assert isinstance(ops, TorchOps)
        assert ops.device == torch.device(where)


@pytest.mark.parametrize("found", ["cuda", "cpu"])
def test_auto_is_a_card_only_without_the_engine_in_c(monkeypatch, found):
    """Whose start takes no seconds."""
    monkeypatch.setattr(torch_ops, "TorchOps", CardOps)
    monkeypatch.setattr(choice, "resolve_device", lambda _device: (found, None))
    monkeypatch.setattr(choice, "kernels", lambda: None)
    model = loading.load(GOLDEN / WEIGHTS).model
    assert isinstance(model.ops, CardOps)
    assert model.ops.device.type == found
    monkeypatch.setattr(choice, "kernels", lambda: NATIVE)
    monkeypatch.setattr("vqcodec.engine.native_ops.NativeOps", lambda _threads: NATIVE)
    assert choice.make_operations("auto") is NATIVE


def test_what_is_drawn_by_a_model_is_drawn_where_it_was_loaded():
    assert draw_atlas(loading.load(GOLDEN / WEIGHTS), quality=50).image.size[0] > 0
