"""Patterns for `benchmarks.class_pictures`: cells, stripes, noise and slopes."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 384


def code() -> Image.Image:
    """Black and white cells with three corners, as phones read them."""
    random = np.random.default_rng(3)
    cells = random.integers(0, 2, (37, 37))
    ring = np.pad(np.pad(np.ones((3, 3), int), 1), 1, constant_values=1)
    for rows, columns in (
        (slice(0, 7), slice(0, 7)),
        (slice(0, 7), slice(-7, None)),
        (slice(-7, None), slice(0, 7)),
    ):
        cells[rows, columns] = ring
    ink = np.pad(cells, 4).repeat(8, 0).repeat(8, 1)
    image = Image.new("RGB", (SIDE, SIDE), "white")
    image.paste(Image.fromarray((255 * (1 - ink)).astype(np.uint8)), (12, 12))
    return image


def pixel_art() -> Image.Image:
    """Sprites of 16 colours in large pixels."""
    random = np.random.default_rng(5)
    colours = random.integers(0, 256, (16, 3))
    cells = np.zeros((64, 64), int)
    for _ in range(40):
        top, left = random.integers(0, 56, 2)
        half = random.integers(0, 16, (8, 4)) * random.integers(0, 2, (8, 4))
        cells[top : top + 8, left : left + 8] = np.hstack([half, half[:, ::-1]])
    art = colours[cells].astype(np.uint8).repeat(6, 0).repeat(6, 1)
    return Image.fromarray(art)


def checkerboard(cell: int) -> Image.Image:
    """Black and white squares of so many pixels."""
    rows, columns = np.indices((SIDE, SIDE)) // cell
    return Image.fromarray((255 * ((rows + columns) % 2)).astype(np.uint8)).convert("RGB")


def stripes() -> Image.Image:
    """Saturated colours side by side, three pixels wide."""
    colours = np.array([[255, 0, 0], [0, 0, 255], [0, 255, 0], [255, 0, 255], [255, 255, 0]], np.uint8)
    row = colours[np.arange(SIDE) // 3 % 5]
    return Image.fromarray(np.broadcast_to(row, (SIDE, SIDE, 3)).copy())


def noise() -> Image.Image:
    """Every sample at random."""
    return Image.fromarray(np.random.default_rng(6).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def grained(image: Image.Image, strength: float, seed: int) -> Image.Image:
    """With grain: noise that is a little smooth, alike in all channels."""
    random = np.random.default_rng(seed)
    grain = random.normal(0, 1, (SIDE + 1, SIDE + 1))
    grain = strength * (grain[1:, 1:] + grain[:-1, 1:] + grain[1:, :-1] + grain[:-1, :-1]) / 2
    return Image.fromarray((np.asarray(image) + grain[:, :, None]).round().clip(0, 255).astype(np.uint8))


def gradient() -> Image.Image:
    """A slope between two colours, across both axes."""
    rows, columns = np.indices((SIDE, SIDE))[:, :, :, None] / (SIDE - 1)
    value = np.array([20, 60, 120]) + rows * [150, 60, 20] + columns * [60, 110, 90]
    return Image.fromarray(value.round().astype(np.uint8))
