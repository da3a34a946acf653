"""LPIPS and DISTS of pictures as they come, for `benchmarks.measures`."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.anchors import Pixels
from vqcodec.metrics.perceptual import DISTS, LPIPS, Distance


class Deep:
    """A distance in a network's features; those of the last original are kept for its next file."""

    def __init__(self, distance: Distance) -> None:
        self.distance = distance
        self.last: tuple[Pixels, list[Tensor]] | None = None

    @torch.inference_mode()
    def __call__(self, original: Pixels, decoded: Pixels) -> float:
        """The distance of two uint8 RGB pictures (H, W, 3), 0 where they are equal."""
        if self.last is None or self.last[0] is not original:
            self.last = original, self._features(original)
        return float(self.distance.compare(self.last[1], self._features(decoded)))

    def _features(self, pixels: Pixels) -> list[Tensor]:
        return self.distance.features(to_tensor(pixels))


def to_tensor(pixels: Pixels) -> Tensor:
    """What networks take: (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def lpips() -> Deep:
    """LPIPS on AlexNet, as papers report it.

    Raises:
        ModelNotFound: the weights are not there; the message says how to fetch them.
    """
    return Deep(LPIPS("alexnet"))


def dists() -> Deep:
    """DISTS; errors as for `lpips`."""
    return Deep(DISTS())
