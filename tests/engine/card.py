"""A stand-in for a graphics card: tensors that say they are on one, and meet only their like.

Their numbers are the CPU's; what a card adds is that nothing else may touch them.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import return_and_correct_aliasing

from vqcodec.engine.torch_ops import TorchOps

NAME = "meta"
"""A device whose tensors torch's Python lets pass without its driver; no tensor is truly there."""
TO = torch.ops.aten._to_copy.default
FUSED = ("addcmul", "addcdiv", "lerp")
"""Of torch's functions those that some devices round once, and others twice."""
PRODUCTS = ("mm", "addmm", "bmm")


class OnCard(Tensor):
    """A tensor of the CPU that says it is on a card. It cannot become an array, or a number of Python's."""

    numbers: Tensor
    fetched = 0
    """How many tensors came back from the card."""
    products: set[torch.dtype] = set()  # noqa: RUF012  of the class
    """Types that were multiplied as matrices."""

    @staticmethod
    def __new__(cls, numbers: Tensor) -> OnCard:
        made: OnCard = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=torch.device(NAME),
        )
        made.numbers = numbers
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name, leaves = function.overloadpacket.__name__, pytree.tree_leaves((args, kwargs))
        strangers = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, OnCard)]
        assert not strangers, f"{function} of tensors that are not on the card"
        assert function is not torch.ops.aten._local_scalar_dense.default, "waits for a number"
        assert name.rstrip("_") not in FUSED, f"{function} may be rounded once"
        assert (kwargs or {}).get("alpha", 1) == 1, f"{function} may be rounded once"
        inner, options = pytree.tree_map(
            lambda leaf: leaf.numbers if isinstance(leaf, OnCard) else leaf, (args, kwargs or {})
        )
        to = options.pop("device", None)
        found = function(*inner, **options)
        if name.rstrip("_") in PRODUCTS:
            cls.products.add(found.dtype)
        if to is not None and torch.device(to).type == "cpu":
            assert function is TO, f"{function} makes a tensor of the CPU"
            cls.fetched += 1
            return found
        wrapped = pytree.tree_map(lambda leaf: OnCard(leaf) if isinstance(leaf, Tensor) else leaf, found)
        return return_and_correct_aliasing(function, args, kwargs or {}, wrapped)


class CardOps(TorchOps):
    """The engine on the stand-in.

    Attributes:
        sent: how many arrays went there.
    """

    def __init__(self, device: str = "cuda") -> None:
        super().__init__(device)
        self.sent = 0

    def enter(self, x: NDArray[Any]) -> Tensor:
        """As the engine's, but onto the stand-in; a copy, as a card's memory is its own."""
        self.sent += 1
        return OnCard(TorchOps("cpu").enter(x.copy()))
