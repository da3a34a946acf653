"""A model's codebooks as a picture: what each codeword adds to the pixels of its block.

patch of a codeword = g_s(latent of zeros with the codeword in the middle) - g_s(latent of zeros)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vqcodec.codec import Codec
from vqcodec.compress.dial import level_from_quality
from vqcodec.entropy.codebooks import CodedBand
from vqcodec.inspect.page import FAINT, RULE, Page
from vqcodec.model.integer_conv import VALUE_STEP
from vqcodec.tiling import BLOCK
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.loaded import LoadedModel

ROWS, COLUMNS = 5, 16
"""Most groups of a band and most codewords of a group that are drawn."""
_FIELD = 5
"""Side of the latent around a codeword, in blocks: wide enough that its borders do not show."""
_CROP = BLOCK + 8
"""Side of a patch in pixels: the codeword's block and four pixels around it."""
_ZOOM = 3
_PATCH = _CROP * _ZOOM


def draw_atlas(codec: Codec, quality: float = 50.0) -> Page:
    """Codewords as pixels, a row per group, the most probable first.

    Raises:
        ValueError: quality outside 0..100.
    """
    level = level_from_quality(quality)
    model = codec.model
    left, head, across, down = 150, 84, _PATCH + 4, _PATCH + 17
    shown = [_evenly(band.groups, ROWS) for band in model.coder.bands]
    columns = max(min(COLUMNS, int(band.codewords.shape[1])) for band in model.coder.bands)
    height = head + sum(len(groups) * down + 34 for groups in shown) + 10
    page = Page(max(left + columns * across + 20, 1140), height)
    page.text(20, 14, f"Codebooks of model {codec.name}, decoded at quality {quality:.0f}", 20)
    what = (
        f"A codeword alone in one {BLOCK}x{BLOCK} block of a latent of zeros, less what zeros decode to; "
        f"{_CROP}x{_CROP} pixels around it, enlarged {_ZOOM} times."
    )
    how = (
        "The most probable codewords first, with their probability (mean over the context classes). "
        f"Contrast: square root of the strength, scaled per row. At most {ROWS} groups of a band, {COLUMNS} "
        "codewords of a group."
    )
    page.text(20, 42, what, 12, FAINT)
    page.text(20, 58, how, 12, FAINT)
    y = head
    for number, (band, groups) in enumerate(zip(model.coder.bands, shown, strict=True)):
        _, count, size = band.codewords.shape
        text = f"band y{number}: {band.groups} groups of {size} channel{'s' * (size > 1)}, {count} codewords"
        page.draw.line((20, y + 4, page.image.width - 20, y + 4), fill=RULE)
        text += f"; {len(groups)} groups shown" if len(groups) < band.groups else ""
        page.text(20, y + 9, text, 14)
        y += 32
        for g in groups:
            chance = _probability(band, g)
            order = np.argsort(-chance, kind="stable")[:COLUMNS]
            page.text(20, y + 8, f"group {g}", 13)
            _channel_lines(page, 20, y + 25, band.channels_of(g))
            patches = _patches(model, band, g, order, level)
            for column, (k, patch) in enumerate(zip(order, patches, strict=True)):
                x = left + column * across
                page.image.paste(Image.fromarray(patch.repeat(_ZOOM, 0).repeat(_ZOOM, 1)), (x, y))
                page.text(x + _PATCH / 2, y + _PATCH + 7, f"{100 * chance[k]:.2g} %", 10, FAINT, "mm")
            y += down
        y += 2
    return page


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of 0..count-1, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _channel_lines(page: Page, x: int, y: int, channels: Sequence[int]) -> None:
    text = ", ".join(map(str, channels))
    # A second line where one would run into the patches.
    page.text(x, y, f"channel{'s' * (len(channels) > 1)} {text if len(text) < 10 else ''}", 11, FAINT)
    if len(text) >= 10:
        page.text(x, y + 13, text if len(text) < 22 else text[:19] + "...", 11, FAINT)


def _probability(band: CodedBand, group: int) -> NDArray[np.float64]:
    """Probability (K,) of a group's codewords, mean over its context classes."""
    counts = band.tables.counts.reshape(band.groups, band.classes, -1)[group].astype(np.float64)
    return counts.mean(axis=0) / counts[0].sum()


@torch.inference_mode()
def _patches(
    model: LoadedModel, band: CodedBand, group: int, order: NDArray[np.int64], level: int
) -> NDArray[np.uint8]:
    """Pixels (N, 24, 24, 3) of the codewords `order` (N,) of a group; grey where one changes nothing."""
    device = model.networks.log_gain.device
    y = torch.zeros(len(order) + 1, model.coder.channels, _FIELD, _FIELD, device=device)
    chosen = torch.from_numpy(band.codewords[group, order] * VALUE_STEP).to(device, torch.float32)
    y[:-1, list(band.channels_of(group)), _FIELD // 2, _FIELD // 2] = chosen
    t = torch.full((len(y),), level / LEVEL_MAX, device=device)
    start = (_FIELD * BLOCK - _CROP) // 2
    pixels = model.networks.synthesise(y, t)[:, :, start : start + _CROP, start : start + _CROP]
    change = pixels[:-1] - pixels[-1]
    # Codewords differ a hundredfold in norm: by the square root, weak ones show and strong ones still differ.
    peak = change.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-9)
    shade = 0.5 + 0.5 * change / (peak * peak.max()).sqrt()
    return (shade * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
