"""Pictures for training: a folder, decoded once and kept in memory, cut into random crops."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}


def find_images(folder: str | Path) -> list[Path]:
    """Picture files below `folder`, sorted.

    Raises:
        FileNotFoundError: the folder does not exist or holds no pictures.
    """
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{folder}: no pictures found")
    return paths


def load_images(folder: str | Path, smallest: int, progress: bool = False) -> list[np.ndarray]:
    """RGB pictures (H, W, 3) uint8 with both sides at least `smallest`; unreadable files are skipped."""
    pictures = []
    paths = find_images(folder)
    for i, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                picture = np.asarray(image.convert("RGB"))
        except (OSError, ValueError) as error:
            print(f"skipped {path.name}: {error}", file=sys.stderr)
            continue
        if min(picture.shape[:2]) >= smallest:
            pictures.append(picture)
        if progress and (i % 50 == 0 or i + 1 == len(paths)):
            print(f"\rreading pictures {i + 1}/{len(paths)}", end="", file=sys.stderr, flush=True)
    if progress:
        print(file=sys.stderr)
    if not pictures:
        raise FileNotFoundError(f"{folder}: no picture has both sides >= {smallest}")
    return pictures


class Crops:
    """Endless random crops with flips; the level of a crop decides how clean its source must be.

    Training pictures are lossy themselves. For the upper levels half of the crops are scaled down by
    1.2 to 1.8 first, which removes most of the source's own coding noise.
    """

    def __init__(self, pictures: list[np.ndarray], seed: int, level: float | None = None) -> None:
        self.pictures = pictures
        self.fixed_level = level
        self.random = np.random.default_rng(seed)
        area = np.array([p.shape[0] * p.shape[1] for p in pictures], dtype=np.float64)
        self.weight = np.sqrt(area) / np.sqrt(area).sum()

    def batch(self, count: int, side: int) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, side, side) in [0, 1] and their levels (count,)."""
        # Stratified levels: every batch spans the dial.
        levels = (np.arange(count) + self.random.random(count)) / count
        if self.fixed_level is not None:
            levels[:] = self.fixed_level
        crops = np.stack([self._crop(side, t) for t in levels])
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).float().div_(255)
        return x, torch.from_numpy(levels).float()

    def _crop(self, side: int, level: float) -> np.ndarray:
        picture = self.pictures[self.random.choice(len(self.pictures), p=self.weight)]
        height, width = picture.shape[:2]
        factor = 1.0
        if level > 0.5 and self.random.random() < 0.5:
            factor = min(self.random.uniform(1.2, 1.8), min(height, width) / side)
        reach = min(round(side * factor), height, width)
        top = self.random.integers(height - reach + 1)
        left = self.random.integers(width - reach + 1)
        crop = picture[top : top + reach, left : left + reach]
        if reach != side:
            crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS))
        if self.random.random() < 0.5:
            crop = crop[:, ::-1]
        if self.random.random() < 0.25:
            crop = crop.transpose(1, 0, 2)
        return crop
