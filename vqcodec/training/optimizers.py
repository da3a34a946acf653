"""Adam or SOAP, and what a state keeps of either.

SOAP (Vyas et al. 2024, arXiv 2409.11321) runs Adam in the eigenbases of Shampoo's preconditioners: a step is
a third dearer than Adam's here, and worth more (docs/history.md). The package pytorch_optimizer has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

ADAM, SOAP = "adam", "soap"
OPTIMIZERS = (ADAM, SOAP)
BASES_EVERY = 10
"""Steps of SOAP between two corrections of its bases."""
LARGEST_SIDE = 1024
"""A side of a weight that is longer keeps its own base: decompositions take time by the third power."""
STATISTICS = ("GG", "Q")
"""What SOAP keeps of each side of a weight that has a base: second moments and their eigenvectors."""


def make_optimizer(kind: str, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimiser of this kind for groups of `parameter_groups`.

    Parameters above the common rate, as codewords and table logits, get Adam's update from SOAP too.

    Raises:
        ValueError: there is no such kind.
        ImportError: SOAP's package is not installed.
    """
    if kind == ADAM:
        return torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)
    if kind != SOAP:
        raise ValueError(f"{kind}: no optimiser of this name, there are {' and '.join(OPTIMIZERS)}")
    try:
        import pytorch_optimizer  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError("SOAP needs pytorch_optimizer: pip install 'vqcodec[train]'") from error
    for group in groups:
        group["max_precondition_dim"] = LARGEST_SIDE if group["factor"] <= 1 else 0
    made: torch.optim.Optimizer = pytorch_optimizer.SOAP(
        groups, weight_decay=0.0, precondition_frequency=BASES_EVERY
    )
    return made


def optimizer_parts(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, dict[str, Tensor]]:
    """What `restore_optimizer` needs: for each part of the optimiser's state the tensors by parameter's name.

    Parts are called "optim.KEY" of Adam and "soap.KEY" of SOAP, of which sides are counted: "soap.Q.0".
    """
    prefix = "optim" if isinstance(optimizer, torch.optim.Adam) else "soap"
    parts: dict[str, dict[str, Tensor]] = {}
    for name, parameter, group in _grouped(optimizer, parameters):
        for key, tensor in _tensors(optimizer.state.get(parameter, {})):
            parts.setdefault(f"{prefix}.{key}", {})[name] = tensor
        if "step" in group:  # SOAP counts by group
            parts.setdefault(f"{prefix}.step", {})[name] = torch.tensor(float(group["step"]))
    return parts


def _grouped(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> Iterator[tuple[str, nn.Parameter, dict[str, Any]]]:
    """Every parameter with its name and the group it is in."""
    groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    yield from ((name, parameter, groups[parameter]) for name, parameter in parameters.items())


def _tensors(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for key, value in state.items():
        if isinstance(value, Tensor):
            yield key, value
        elif isinstance(value, list):
            yield from ((f"{key}.{i}", part) for i, part in enumerate(value) if isinstance(part, Tensor))


@torch.no_grad()
def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Go on from a state's tensors; the optimiser starts anew where they are of the other kind, or none."""
    restored = _adam_state if isinstance(optimizer, torch.optim.Adam) else _soap_state
    for name, parameter, group in _grouped(optimizer, parameters):
        if state := restored(name, parameter, tensors, group):
            optimizer.state[parameter] = state


def _adam_state(
    name: str, parameter: Tensor, tensors: Mapping[str, Tensor], _: dict[str, Any]
) -> dict[str, Any]:
    if f"optim.step.{name}" not in tensors:
        return {}
    moments = {
        # The fused optimiser walks memory, not indices: the moments need the parameter's layout.
        key: torch.empty_like(parameter).copy_(tensors[f"optim.{key}.{name}"])
        for key in ("exp_avg", "exp_avg_sq")
    }
    return {"step": tensors[f"optim.step.{name}"]} | moments


def _soap_state(
    name: str, parameter: Tensor, tensors: Mapping[str, Tensor], group: dict[str, Any]
) -> dict[str, Any]:
    if f"soap.exp_avg.{name}" not in tensors:
        return {}
    group["step"] = int(tensors[f"soap.step.{name}"])
    state: dict[str, Any] = {key: tensors[f"soap.{key}.{name}"] for key in ("exp_avg", "exp_avg_sq")}
    for key in STATISTICS:
        state[key] = [tensors.get(f"soap.{key}.{side}.{name}", []) for side in range(parameter.dim())]
    state["precondition_frequency"] = group["precondition_frequency"]
    state["shampoo_beta"] = group["betas"][1] if group["shampoo_beta"] is None else group["shampoo_beta"]
    return state
