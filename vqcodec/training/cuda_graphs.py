"""Forward and backward as a CUDA graph: captured once, then launched as a whole.

A step consists of thousands of small kernels (seven passes of five slices each), and launching them one by
one takes longer than a data-centre GPU needs to run them. A graph reads and writes fixed memory: inputs are
copied there, gradients and outputs are found there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")
WARM_UP = 2
"""Calls before a capture, in which libraries choose their algorithms."""


def without_history(value: T) -> T:
    """Detach all tensors in a tensor, a dataclass or a list of these."""
    return tensorwise(value, Tensor.detach)


def tensorwise(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """Change all tensors in a tensor, a dataclass, or a list or dict of these."""
    if isinstance(value, Tensor):
        return cast("T", change(value))
    if isinstance(value, list):
        return cast("T", [tensorwise(item, change) for item in value])
    if isinstance(value, dict):
        return cast("T", {key: tensorwise(item, change) for key, item in value.items()})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: tensorwise(getattr(value, f.name), change) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value


class Graphs:
    """Calls a function by replaying its graph, which is captured again when shapes change."""

    def __init__(self, call: Callable[..., Any], parameters: Sequence[Tensor]) -> None:
        """Nothing is recorded before the first call.

        Args:
            call: sets the gradients of `parameters`, where there are none, and returns tensors without
                history. It must not copy from the CPU or synchronise.
            parameters: all whose gradients it may set.
        """
        self._call = call
        self._parameters = parameters
        self._key: Hashable = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._gradients: list[Tensor | None] = []
        self._result: Any = None

    def __call__(self, *inputs: Tensor, mode: Hashable = None) -> Any:
        """What the function returns for these inputs; the tensors are overwritten by the next call.

        Args:
            mode: whatever else changes what the function does.
        """
        key = (mode, *((x.shape, x.dtype) for x in inputs))
        if key != self._key or self._graph is None:
            self._record(inputs)
            self._key = key
        assert self._graph is not None
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._result

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        # The memory of the last recording goes first.
        self._graph, self._result, self._gradients = None, None, []
        self._forget_gradients()
        self._inputs = [x.clone() for x in inputs]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self._call(*self._inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self._forget_gradients()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = self._call(*self._inputs)
        self._gradients = [parameter.grad for parameter in self._parameters]
        self._graph = graph

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
