"""Pictures of one size through g_s at once, on a device where their pixels stay.

    segments of each --in threads--> latents (h, w, B, M) --g_s--> pixels --what files say--> (B, 3, H, W)

The integers are those of `TileDecoder`: pixels are the same as one by one on a CPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream.container import Container
from vqcodec.decompress.drawn_grid import DrawnGrid
from vqcodec.decompress.latent_grid import LatentGrid
from vqcodec.engine.synthesis import Synthesis
from vqcodec.entropy.tile_coder import LatentCoder
from vqcodec.tiling import BLOCK, TRANSFORM_HALO, TRANSFORM_SIDE, scaled, size, whole, windows, within
from vqcodec.types import BLACK, NEAR, WHITE

POSITIONS = 1 << 15
"""Most positions of latents that go through g_s at once: some gigabytes of a card's memory."""


def decode_together(coder: LatentCoder, g_s: Synthesis, containers: Sequence[Container]) -> Tensor:
    """Pixels (B, 3, H, W) uint8 of files of one size and tune.

    Args:
        g_s: on `TorchOps` whose results stay on their device.

    Raises:
        CorruptData: a segment does not decode.
    """
    first = containers[0].header
    width, height = first.width, first.height
    shape = -(-height // BLOCK), -(-width // BLOCK)
    grids = [_grid(coder, container, shape) for container in containers]
    levels = [container.header.level for container in containers]
    asked = whole((height, width))
    parts: list[Tensor] = []
    result: Tensor | None = None
    with ThreadPoolExecutor(min(len(grids), os.cpu_count() or 1)) as pool:
        for piece in windows(shape, TRANSFORM_SIDE, TRANSFORM_HALO):
            latents = list(pool.map(lambda grid, p=piece: grid.window(p.outer, np.float32), grids))
            shown = piece.scaled(BLOCK).clipped(asked)
            inside = within(shown.inner, scaled(piece.inner, BLOCK))
            rows, columns = size(piece.outer)
            step = max(1, POSITIONS // (rows * columns))
            parts.clear()
            for start in range(0, len(latents), step):
                together = np.stack(latents[start : start + step], 2)
                pixels: Tensor = g_s(together, tuple(levels[start : start + step]), piece)  # type: ignore[assignment]
                parts.append(pixels[inside].permute(2, 3, 0, 1))
            if result is None:
                result = parts[0].new_empty(len(containers), 3, height, width)
            result[:, :, shown.inner[0], shown.inner[1]] = torch.cat(parts)
    assert result is not None  # no picture is without a window
    for pixels, container in zip(result, containers, strict=True):
        _finish(pixels, container)
    return result


def _grid(coder: LatentCoder, container: Container, shape: tuple[int, int]) -> LatentGrid:
    alone = zip(container.drawn_whole, container.segments, strict=True)
    segments = [None if drawn else layers for drawn, layers in alone]
    return LatentGrid(coder, segments, shape, container.header.level, container.header.tile)


def _finish(pixels: Tensor, container: Container) -> None:
    """What a file says of its pixels (3, H, W): pure extremes, what is drawn, gray."""
    header = container.header
    if header.ignorable & WHITE:
        pixels[:, pixels.amin(0) >= 255 - NEAR] = 255
    if header.ignorable & BLACK:
        pixels[:, pixels.amax(0) <= NEAR] = 0
    if header.drawn:
        geometry = {"width": header.width, "height": header.height, "tile": header.tile}
        drawn = DrawnGrid(container.drawn, container.drawn_whole, **geometry)
        found = drawn.paste(whole((header.height, header.width)), pixels.permute(1, 2, 0).cpu().numpy())
        pixels.copy_(torch.from_numpy(np.ascontiguousarray(found)).permute(2, 0, 1))
    if header.gray:
        mean = (pixels.sum(0, dtype=torch.int32) + 1).div(3, rounding_mode="floor")
        pixels.copy_(mean.to(torch.uint8).expand_as(pixels))
