"""A weights file in memory, with the coder built from it: what encoder and decoder share."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqcodec.entropy.tile_coder import LatentCoder
from vqcodec.errors import ModelNotFound
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.checkpoint import Weights, load_weights


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product on torch's threads; exact even in bfloat16, which holds every factor."""
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()


@dataclass(frozen=True, kw_only=True)
class LoadedModel(Weights):
    """One set of weights, ready to use; never changed, so threads may share it.

    Attributes:
        coder: tiles of indices <-> segments.
        device: where the transforms run.
        batch: windows of a picture that go through a transform at once.
        bf16: run the transforms in bfloat16, see `vqcodec.model.precision`.
    """

    coder: LatentCoder
    device: str = "cpu"
    batch: int = 1
    bf16: bool = False

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: str = "cpu", batch: int = 1, bf16: bool = False
    ) -> LoadedModel:
        """Load a weights file.

        Raises:
            ModelNotFound: missing, damaged or of another format.
        """
        weights = load_weights(path, device)
        try:
            coder = LatentCoder(weights.coding, _product)
        except (IndexError, KeyError, ValueError) as error:
            raise ModelNotFound(f"{path}: unusable coding arrays: {error}") from error
        return cls(**vars(weights), coder=coder, device=device, batch=batch, bf16=bf16)

    def t(self, level: int) -> Tensor:
        """A level 0..252 as the networks take it: (1,) in [0, 1], on the device."""
        return torch.tensor([level / LEVEL_MAX], device=self.device)
