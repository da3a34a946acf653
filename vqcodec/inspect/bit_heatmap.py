"""A `BitReport` as a picture: heat map of bits per block, beside bars by layer, pass and band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.inspect.bit_report import PART_NAMES, BitReport
from vqcodec.inspect.page import FAINT, STRONG, TRACK, Page, heat
from vqcodec.tiling import BLOCK

_SMALL, _LARGE = 640, 1200
"""Bounds on the longer side of the map, in pixels: smaller pictures are enlarged, larger ones reduced."""
_NUMBERED = 34
"""Blocks drawn at least this wide carry their number of bits."""
_MARGIN, _HEAD, _SIDE = 20, 74, 400


def draw_bits(report: BitReport, picture: Image.Image) -> Page:
    """The page of a report and its decoded picture."""
    header = report.header
    zoom = _zoom(max(header.width, header.height))
    size = (max(1, round(header.width * zoom)), max(1, round(header.height * zoom)))
    left = _MARGIN + max(size[0], 280)
    tall = max(size[1], 480 + 33 * len(report.bands))
    page = Page(left + 110 + _SIDE + _MARGIN, _HEAD + tall + _MARGIN)
    rate = 8 * report.file_bytes / (header.width * header.height)
    page.text(_MARGIN, 14, f"Bits per {BLOCK}x{BLOCK} block", 20)
    blocks = report.blocks
    text = (
        f"{header.width}x{header.height} at quality {header.quality:.0f}: {report.file_bytes} bytes, "
        f"{rate:.3f} bpp; blocks take {blocks.min():.0f} to {blocks.max():.0f} bits, "
        f"{blocks.mean():.0f} on average"
    )
    page.text(_MARGIN, 42, text, 13, FAINT)
    # Not the maximum: a single expensive block would turn all others black.
    top = max(float(np.quantile(blocks, 0.99)), 1.0)
    page.image.paste(_overlay(blocks / top, picture, size, zoom), (_MARGIN, _HEAD))
    if zoom * BLOCK >= _NUMBERED:
        _number(page, blocks, size, zoom, top)
    page.scale_bar(left + 16, _HEAD + 20, min(max(size[1], 220), 420) - 20, top, "bits")
    _tables(page, left + 110, report)
    return page


def _zoom(side: int) -> float:
    if side > _LARGE:
        return _LARGE / side
    return float(min(math.ceil(_SMALL / side), 16)) if side < _SMALL else 1.0


def _overlay(
    values: NDArray[np.float64], picture: Image.Image, size: tuple[int, int], zoom: float
) -> Image.Image:
    """Heat colours, shaded by the lightness of the picture."""
    rows = np.minimum((np.arange(size[1]) / zoom).astype(int) // BLOCK, values.shape[0] - 1)
    columns = np.minimum((np.arange(size[0]) / zoom).astype(int) // BLOCK, values.shape[1] - 1)
    colours = heat(values)[rows[:, None], columns].astype(np.float64)
    grey = picture.convert("L").resize(size, Image.Resampling.BICUBIC)
    light = np.asarray(grey, dtype=np.float64)[..., None]
    mixed = colours * (0.55 + 0.3 * light / 255) + 0.22 * light
    return Image.fromarray(mixed.clip(0, 255).round().astype(np.uint8))


def _number(page: Page, blocks: NDArray[np.float64], size: tuple[int, int], zoom: float, top: float) -> None:
    step = zoom * BLOCK
    for (row, column), bits in np.ndenumerate(blocks):
        # In the middle of what is seen of the block: the last ones may reach beyond the picture.
        x = (column * step + min((column + 1) * step, size[0])) / 2
        y = (row * step + min((row + 1) * step, size[1])) / 2
        ink = (20, 20, 20) if bits > 0.75 * top else (240, 240, 240)
        page.text(_MARGIN + x, _HEAD + y, f"{bits:.0f}", 12, ink, "mm")


def _tables(page: Page, x: int, report: BitReport) -> None:
    layers = {f"drawn: {report.drawn_bytes} bytes": 8.0 * report.drawn_bytes} if report.drawn_bytes else {}
    layers |= {f"{n}: {size} bytes": bits for n, (bits, size) in enumerate(report.layers)}
    y = _bars(page, x, _HEAD, "By layer", layers, report.bits)
    parts = {name.replace("_", " "): bits for name, bits in zip(PART_NAMES, report.parts, strict=True)}
    y = _bars(page, x, y, "By phase", parts, report.bits)
    bands = {f"{b.name}: {b.groups} groups of {b.size}": b.bits for b in report.bands}
    notes = [f"perplexity {b.perplexity:.1f} of {b.codewords}" if b.symbols else "" for b in report.bands]
    y = _bars(page, x, y, "By band", bands, report.bits, notes)
    groups = {f"{g.band} group {g.group}": g.bits for g in report.groups[:10]}
    y = _bars(page, x, y, "Most expensive groups", groups, report.bits)
    excess = 8 * report.segment_bytes - report.bits
    text = f"Container: {report.overhead_bytes} bytes; range coder: {excess:.0f} bits of padding"
    page.text(x, y, text, 12, FAINT)


def _bars(
    page: Page, x: int, y: int, title: str, rows: dict[str, float], total: float, notes: Sequence[str] = ()
) -> int:
    """A titled list with a bar per row; returns where the next one may start."""
    page.text(x, y, title, 14)
    y += 22
    longest = max(rows.values())
    for (name, bits), note in zip_longest(rows.items(), notes):
        page.text(x, y + 7, name, 12, FAINT, "lm")
        page.box(x + 140, y + 1, x + 250, y + 13, TRACK)
        page.box(x + 140, y + 1, x + 140 + 110 * bits / max(longest, 1e-9), y + 13, STRONG)
        page.text(x + 258, y + 7, f"{100 * bits / total:.1f} %", 12, anchor="lm")
        page.text(x + 308, y + 7, f"{bits:.0f} bits", 12, FAINT, "lm")
        y += 18
        if note:
            page.text(x + 140, y + 5, note, 11, FAINT, "lm")
            y += 15
    return y + 14
