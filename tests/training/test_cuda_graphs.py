"""Steps as CUDA graphs: what a graph needs of them, and what is done with a recording.

There is no card where the tests run: a stand-in replays by calling the function again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.tiny import TINY
from vqcodec.metrics.perceptual import DISTS, LPIPS
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.cuda_graphs import WARM_UP, Graphs, without_history
from vqcodec.training.perceptual.config import PerceptualConfig
from vqcodec.training.perceptual.players import Players


class FromTheProcessor(TorchDispatchMode):
    """Keeps the names of operators that bring a tensor from the processor to the card."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        made = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        if any(t.is_meta for t in (*made, *given)) and any(not t.is_meta for t in given):
            self.found.append(str(func))
        return result


@pytest.fixture
def full_precision(monkeypatch):
    """Tensors without data stand for a card's; there is no lower precision for them."""
    monkeypatch.setattr(torch, "autocast", lambda *_a, **_k: contextlib.nullcontext())


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.usefixtures("full_precision")
def test_a_training_step_copies_nothing_to_the_device(exact):
    """A copy from there waits for all that was begun, and cannot be recorded."""
    model = VQVAE(TINY).to("meta")
    model.set_exact(exact)
    x, level = torch.empty(2, 3, 64, 64, device="meta"), torch.empty(2, device="meta")
    with FromTheProcessor() as watch:
        output = model(x, level)
        (output.mse + output.energy).mean().backward()
    assert watch.found == []
    with FromTheProcessor() as watch:
        x + torch.ones(2, 3, 64, 64).to("meta")
    assert watch.found


@pytest.mark.slow
@pytest.mark.usefixtures("full_precision")
def test_a_perceptual_step_copies_nothing_to_the_device(perceptual_weights):
    config = PerceptualConfig(device="meta", bf16=False, patches=1.0)
    distances = LPIPS("alexnet", perceptual_weights), DISTS(perceptual_weights)
    players = Players(config, VQVAE(TINY), distances)
    x, level = torch.empty(2, 3, 64, 64, device="meta"), torch.empty(2, device="meta")
    players.adversarial = True
    with FromTheProcessor() as watch:
        log = players._gradients(x, level)
    assert watch.found == []
    assert {"psnr_loss", "dists", "patches", "generator", "real"} <= set(log)


class Recording:
    """Stands for a CUDA graph: its replay computes again, and writes where the first results lie."""

    made: ClassVar[list[Recording]] = []

    def __init__(self) -> None:
        self.replays = 0
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        Recording.made.append(self)

    def replay(self) -> None:
        self.replays += 1
        for mine, new in zip(self.outputs, loss_and_gradient(*self.inputs), strict=True):
            mine.copy_(new)


WEIGHT = nn.Parameter(torch.tensor([2.0, 3.0]))


def loss_and_gradient(x: Tensor) -> tuple[Tensor, Tensor]:
    loss = (WEIGHT * x).square().sum() / 2
    return loss.detach(), torch.autograd.grad(loss, WEIGHT)[0]


@pytest.fixture
def graphs_and_calls(monkeypatch):
    """Graphs of a step, the list of what it was called with, and a card to record it on."""
    calls: list[Tensor] = []
    last: list[Tensor] = []

    def call(x: Tensor) -> Tensor:
        calls.append(x)
        last[:] = loss_and_gradient(x)
        WEIGHT.grad = last[1]
        return last[0]

    @contextlib.contextmanager
    def record(recording):
        assert WEIGHT.grad is None
        yield
        recording.inputs, recording.outputs = [calls[-1]], list(last)

    class Stream:
        def wait_stream(self, _other: object) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recording)
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _s: contextlib.nullcontext())
    Recording.made = []
    yield Graphs(call, [WEIGHT]), calls
    WEIGHT.grad = None


def test_a_recording_is_replayed_on_new_inputs(graphs_and_calls):
    step, calls = graphs_and_calls
    for value in (1.0, 2.0, 5.0):
        x = torch.full((2,), value)
        loss = step(x)
        assert float(loss) == pytest.approx((4 + 9) * value**2 / 2)
        assert WEIGHT.grad is not None
        assert WEIGHT.grad.tolist() == pytest.approx([2 * value**2, 3 * value**2])
        assert x.tolist() == [value] * 2
        # The next replay brings the gradient back.
        WEIGHT.grad = None
    (recording,) = Recording.made
    assert recording.replays == 3
    assert len(calls) == WARM_UP + 1


def test_other_shapes_and_modes_are_recorded_anew(graphs_and_calls):
    step, _ = graphs_and_calls
    changes = [(2, False), (2, True), (2, False), (1, False)]
    for count, (size, mode) in enumerate(changes, start=1):
        for _ in range(2):
            step(torch.ones(size), mode=mode)
        assert len(Recording.made) == count
        assert Recording.made[-1].replays == 2


@dataclass
class Pair:
    left: Tensor
    right: list[Tensor]
    name: str


def test_history_is_left_behind():
    leaf = torch.ones(2, requires_grad=True)
    given = Pair(2 * leaf, [3 * leaf, leaf.detach()], "pair")
    plain = without_history(given)
    assert plain.name == "pair"
    for before, after in zip((given.left, *given.right), (plain.left, *plain.right), strict=True):
        assert torch.equal(before, after)
        assert not after.requires_grad
    assert given.left.requires_grad
