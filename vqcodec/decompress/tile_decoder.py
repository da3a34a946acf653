"""Segments -> pixels: the exact coder (numpy) in front of g_s (torch).

    segments --per tile--> y_hat (integers) --gain, g_s--> pixels

g_s runs over windows of the latent that overlap as far as it sees (`vqcodec.tiling`), so no seam exists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vqcodec.decompress.blending import Blends
from vqcodec.decompress.latent_grid import LatentGrid
from vqcodec.model.decoder import SynthesisTransform
from vqcodec.model.integer_conv import VALUE_STEP
from vqcodec.model.precision import transforms_in
from vqcodec.tiling import BLOCK, TRANSFORM_HALO, TRANSFORM_SIDE, batches, whole, windows, within
from vqcodec.types import Region, TileProgress
from vqcodec.weights.loaded import LoadedModel


class TileDecoder:
    """The decoder's half of a model; safe to call from several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self._blends = Blends(model)

    def latent(
        self, segments: Sequence[Sequence[bytes | None]], *, width: int, height: int, level: int, tile: int
    ) -> np.ndarray:
        """The exact half of decoding: latent (h, w, M) int64 in steps of 1/128.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
        """
        grid = LatentGrid(self.model.coder, segments, _blocks(height, width), level, tile)
        return grid.window(whole(grid.shape))

    @torch.inference_mode()
    def decode(
        self,
        segments: Sequence[Sequence[bytes | None]],
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
        region: Region | None = None,
        progress: TileProgress | None = None,
    ) -> np.ndarray:
        """Pixels (H, W, 3) uint8. None stands for a layer that is missing.

        Args:
            region: a part within the picture; only the tiles that it needs are decoded.
            realism: 0 is the fidelity decoder, 1 the perceptual one; between, their weights are mixed.
            progress: told after every batch of windows.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
        """
        g_s, t = self._blends.at(realism), self.model.t(level)
        grid = LatentGrid(self.model.coder, segments, _blocks(height, width), level, tile)
        x, y, wide, tall = region or (0, 0, width, height)
        asked = slice(y, y + tall), slice(x, x + wide)
        span = slice(y // BLOCK, -(-(y + tall) // BLOCK)), slice(x // BLOCK, -(-(x + wide) // BLOCK))
        result = np.empty((tall, wide, 3), np.uint8)
        pieces = windows(grid.shape, TRANSFORM_SIDE, TRANSFORM_HALO, span=span)
        done = 0
        for batch in batches(pieces, self.model.batch):
            latents = np.stack([grid.window(piece.outer, np.float32) for piece in batch])
            for piece, picture in zip(batch, self._synthesise(g_s, latents, t), strict=True):
                shown = piece.scaled(BLOCK).clipped(asked)
                pixels = shown.crop(picture).clamp(0, 1).mul_(255).round_().to(torch.uint8)
                result[within(shown.inner, asked)] = pixels.permute(1, 2, 0).cpu().numpy()
            done += len(batch)
            if progress is not None:
                progress(done, len(pieces))
        return result

    def _synthesise(self, g_s: SynthesisTransform, latents: np.ndarray, t: Tensor) -> Tensor:
        """Pictures (B, 3, 16h, 16w) of latents (B, h, w, M) in steps of 1/128."""
        model = self.model
        y_hat = torch.from_numpy(np.ascontiguousarray(latents.transpose(0, 3, 1, 2))).to(model.device)
        y_hat = y_hat * VALUE_STEP / model.transforms.gain(t)
        with transforms_in(model.bf16, model.device):
            pictures: Tensor = g_s(y_hat, t.expand(len(latents)))
        return pictures


def _blocks(height: int, width: int) -> tuple[int, int]:
    return -(-height // BLOCK), -(-width // BLOCK)
