"""A picture on its way into the transforms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vqcodec.model.blocks import BLOCK


@dataclass(frozen=True)
class Analysis:
    """One picture, padded to whole blocks, ready to be encoded at any level.

    Attributes:
        pixels: uint8 (16h, 16w, 3).
        device: where the transforms run.
        errors: by level, what `SegmentCodec.encode` found: w |y - y_hat|^2 in nats per latent position.
    """

    pixels: np.ndarray
    width: int
    height: int
    device: str = "cpu"
    errors: dict[int, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the latent."""
        return self.pixels.shape[0] // BLOCK, self.pixels.shape[1] // BLOCK

    @property
    def x(self) -> Tensor:
        """All of it as (1, 3, 16h, 16w) in [0, 1]."""
        return self.window(slice(0, self.shape[0]), slice(0, self.shape[1]))

    def window(self, rows: slice, columns: slice) -> Tensor:
        """The blocks of some rows and columns as (1, 3, ., .) in [0, 1] on the device."""
        top, bottom, left, right = (BLOCK * n for n in (rows.start, rows.stop, columns.start, columns.stop))
        part = np.ascontiguousarray(self.pixels[top:bottom, left:right].transpose(2, 0, 1))
        return torch.from_numpy(part)[None].to(self.device).float().div_(255)
