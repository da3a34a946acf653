"""Processes that train together, started by torchrun: each takes its places of every batch.

All hold the same weights. A step's gradients are summed in one flat buffer after the backward pass, by a
plain all-reduce: torch's DistributedDataParallel hooks into `forward` of a wrapped module, but here the model
is called in parts (latents, quantiser, g_s), a step may be replayed as a CUDA graph, and a rank may have
fewer places than the others, so that its share of the mean is its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from vqcodec.devices import resolve_device

PATIENCE = timedelta(minutes=60)
"""How long ranks wait for one another: one may read pictures from a slower disk than the others."""

T = TypeVar("T", int, float)


class RanksError(ValueError):
    """The run cannot be shared as was asked; the message is for users."""


@dataclass(frozen=True)
class Ranks:
    """This process and those it trains with; the default is a process alone, for which nothing is sent.

    Attributes:
        number, count: of this process, and how many there are.
        local, local_count: the same among those on this machine.
    """

    number: int = 0
    count: int = 1
    local: int = 0
    local_count: int = 1

    @property
    def main(self) -> bool:
        """Whether this one writes logs and states."""
        return self.number == 0

    def device(self, name: str) -> str:
        """The device of this rank for a setting as "auto" or "cuda": of several ranks each has a card.

        Raises:
            RanksError: there are not as many cards, or one was named.
        """
        chosen = resolve_device("auto")[0] if name == "auto" else name
        if self.count == 1 or not chosen.startswith("cuda"):
            return chosen
        if chosen != "cuda":
            raise RanksError(f"--device {name}: every rank takes a card of its own, say cuda")
        if self.local_count > (cards := torch.cuda.device_count()):
            raise RanksError(f"{self.local_count} ranks on a machine with {cards} cards")
        return f"cuda:{self.local}"

    def places(self, count: int) -> range:
        """This rank's places of a batch of `count`: all ranks together see what one alone would."""
        return range(self.number, count, self.count)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one kind and device by their sums over all ranks."""
        self._together_(tensors, dist.all_reduce)

    def follow_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one kind and device by those of the first rank."""
        self._together_(tensors, lambda flat: dist.broadcast(flat, 0))

    def total(self, number: T) -> T:
        """Sum of a number over all ranks, exact for whole ones below 2^53."""
        if self.count == 1:
            return number
        total = torch.tensor([number], dtype=torch.float64)
        dist.all_reduce(total)
        return type(number)(total.item())

    def follow(self, numbers: Sequence[float]) -> list[float]:
        """The first rank's numbers."""
        values = torch.tensor(numbers, dtype=torch.float64)
        self.follow_([values])
        return [float(value) for value in values]

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The first rank's clock, and whether any rank was told to stop: so all end after the same step."""
        if self.count == 1:
            return seconds, stop
        state = torch.tensor([seconds if self.main else -1.0, float(stop)], dtype=torch.float64)
        dist.all_reduce(state, dist.ReduceOp.MAX)
        return float(state[0]), bool(state[1])

    def gather(self, rows: Tensor) -> Tensor:
        """Rows (n, ...) of all ranks, one rank's after the other's; n may differ."""
        if self.count == 1:
            return rows
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(self.count)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
        most = max(int(count) for count in counts)
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])

    def _together_(self, tensors: Sequence[Tensor], send: object) -> None:
        if self.count == 1 or not tensors:
            return
        assert callable(send)
        with torch.no_grad():
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            send(flat)
            parts = flat.split([tensor.numel() for tensor in tensors])
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))


@contextlib.contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The ranks that torchrun started, connected within the block; a process alone without torchrun.

    Args:
        device: the run's setting; gradients go by NCCL between cards, by gloo between processors.

    Raises:
        RanksError: see `Ranks.device`.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    local, local_count = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    ranks = Ranks(int(os.environ["RANK"]), count, local, local_count)
    backend = "gloo"
    if (name := ranks.device(device)).startswith("cuda"):
        torch.cuda.set_device(torch.device(name))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


class GradientSum:
    """Mean gradients of a batch that is gone through in parts, on one rank or several.

    For every part: compute gradients of the mean loss over the part, then `add`. After the last: `finish`.
    """

    def __init__(self, parameters: Sequence[Tensor], ranks: Ranks) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._ranks = ranks
        self._flat = torch.zeros(0)
        self._views: list[Tensor] = []
        self._has: list[bool] = []

    def add(self, share: float) -> None:
        """Add the parameters' gradients, times the part's share of the batch."""
        if not self._has:
            self._begin()
        gradients = [parameter.grad for parameter in self._parameters]
        self._has = [had or g is not None for had, g in zip(self._has, gradients, strict=True)]
        pairs = [(v, g) for v, g in zip(self._views, gradients, strict=True) if g is not None]
        if pairs:
            torch._foreach_add_([v for v, _ in pairs], [g for _, g in pairs], alpha=share)

    def finish(self) -> None:
        """Set the gradients to their sums over parts and ranks; what had none has none."""
        self._ranks.sum_([self._flat])
        for parameter, view, has in zip(self._parameters, self._views, self._has, strict=True):
            parameter.grad = view if has else None
        self._has = []

    def _begin(self) -> None:
        self._has = [False] * len(self._parameters)
        if self._views:
            self._flat.zero_()
            return
        sizes = [parameter.numel() for parameter in self._parameters]
        self._flat = self._parameters[0].detach().new_zeros(sum(sizes))
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        # Each with its parameter's layout: the fused optimiser walks memory, not indices.
        self._views = [
            self._flat.as_strided(p.shape, p.stride(), start)
            for p, start in zip(self._parameters, starts, strict=True)
        ]
