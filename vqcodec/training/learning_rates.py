"""Which parameters a run trains, and the learning rate of each."""

from __future__ import annotations

from typing import Any

from torch import nn

from vqcodec.model.vqvae import VQVAE
from vqcodec.training.config import TrainConfig

FAST = ("quantizer.",)
PRIOR = ("prior.", "h_a.", "hyper_quantizer.", "quantizer.table.", "quantizer.bias.")
"""Parameters that change the bits of a latent and not what it decodes to."""
TABLES = ("log_gain", "modulation.table", "level_bias")
"""Parameters with a row for each knot of the dial, and of each tune."""
MEDIUM, MEDIUM_FACTOR = ("level_bias", "modulation", "prior.linear"), 4.0
RESTORATION, RESTORATION_FACTOR = "g_s.restoration.", 10.0
GUIDES = (RESTORATION + "guide.", RESTORATION + "see.")
"""Layers of the restoration at the common rate: they have as many inputs as layers of the networks."""
LINEAR = ("shortcut", "lapping")
DRAW = RESTORATION + "draw."
SLOW = (*LINEAR, "g_a.tail.weight", "g_s.tail.weight", DRAW)
"""Layers that add directly to latent or picture: at the common rate their steps would be noise of about a
quantiser step at high quality."""


def trains(name: str, config: TrainConfig) -> bool:
    """Whether the run changes the parameter of this name."""
    if config.decoder_only:
        return name.startswith("g_s.") and not any(part in name for part in LINEAR)
    if config.tables_only:
        return name.endswith(TABLES)
    return not config.prior_only or name.startswith(PRIOR)


def rate_factor(name: str, config: TrainConfig) -> float:
    """Learning rate of the parameter of this name as a multiple of the run's."""
    if name.startswith(RESTORATION) and not name.startswith((*GUIDES, DRAW)):
        return RESTORATION_FACTOR
    if any(part in name for part in FAST):
        return config.fast
    if any(part in name for part in MEDIUM):
        return MEDIUM_FACTOR
    return config.slow if any(part in name for part in SLOW) else 1.0


def parameter_groups(model: VQVAE, config: TrainConfig) -> list[dict[str, Any]]:
    """All parameters for the optimiser, in groups of one rate: "factor" times the run's."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault(rate_factor(name, config), []).append(parameter)
    return [{"params": p, "factor": f, "lr": 0.0} for f, p in groups.items()]
