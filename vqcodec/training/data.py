"""Pictures for training: a folder, decoded once and kept in memory, cut into random crops."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vqcodec.errors import UnsupportedImage
from vqcodec.files import files_below, is_file
from vqcodec.model.dial import TUNE_STEP

BATCHES_AHEAD = 4
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")


def find_images(data: str | Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """Picture files of `files_below` a folder, or of a path whose last part may have *, or a file; sorted.

    Raises:
        FileNotFoundError: there are none.
    """
    path = Path(data)
    try:
        one_or_some = [path] if path.is_file() else filter(is_file, path.parent.glob(path.name))
        found = list(files_below(path) if path.is_dir() else one_or_some)
    except ValueError as error:  # Pythons before 3.13 take ** for a folder alone
        raise FileNotFoundError(f"{data}: {error}") from error
    paths = sorted(p for p in found if p.suffix.lower() in suffixes)
    if not paths:
        packed = any(p.name.lower().endswith(_PACKED) for p in found)
        hint = "; a tar shard must not be compressed" if packed else ""
        raise FileNotFoundError(f"{data}: no pictures found{hint}")
    return paths


def load_images(
    data: str | Path, smallest: int, progress: bool = False, most: int | None = None
) -> list[np.ndarray]:
    """RGB pictures (H, W, 3) uint8 with both sides at least `smallest`; unreadable files are skipped.

    Args:
        data: as of `find_images`.
        most: read no more than so many files, evenly spread over all.

    Raises:
        FileNotFoundError: no picture is large enough.
    """
    pictures = []
    paths = find_images(data)
    paths = paths[:: -(-len(paths) // most)] if most else paths
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, picture in enumerate(pool.map(read_picture, paths)):
            if picture is not None and min(picture.shape[:2]) >= smallest:
                pictures.append(picture)
            if progress and (i % 50 == 0 or i + 1 == len(paths)):
                print(f"\rreading pictures {i + 1}/{len(paths)}", end="", file=sys.stderr, flush=True)
    if progress:
        print(file=sys.stderr)
    if not pictures:
        raise FileNotFoundError(f"{data}: no picture has both sides >= {smallest}")
    return pictures


def read_picture(path: str | Path, offset: int = -1, length: int = 0) -> np.ndarray | None:
    """RGB picture (H, W, 3) uint8 in a file, or in `length` bytes of it from `offset` on.

    Returns:
        None, after a line on stderr, if there is no good picture.
    """
    try:
        file: str | Path | io.BytesIO = path
        if offset >= 0:
            with Path(path).open("rb") as shard:
                shard.seek(offset)
                file = io.BytesIO(shard.read(length))
        with Image.open(file) as image:
            return _rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  decoders raise a dozen unrelated types on damage
        where = f", from byte {offset}" if offset >= 0 else ""
        print(f"skipped {Path(path).name}{where}: {error}", file=sys.stderr)
        return None


def _rgb(image: Image.Image) -> np.ndarray:
    """Pixels (H, W, 3) uint8; gray of 16 bits is scaled, where Pillow would cut off all above 255."""
    if image.mode == "F":
        raise UnsupportedImage("floating-point pictures have no known range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).clip(0, 65_535).astype(np.uint32)
        if values.max() > 255:
            gray = ((values * 255 + 32_767) // 65_535).astype(np.uint8)
            return gray[:, :, None].repeat(3, axis=2)
    return np.asarray(image.convert("RGB"))


class Crops:
    """Endless random crops with flips, each with a place on the dial: a quality t in [0, 1], and a tune.

    Training pictures are lossy themselves. For t > 0.5 half of the crops are scaled down by 1.2 to 1.8
    first, which removes most of the source's own coding noise. Every crop has a random generator of its own,
    seeded by (seed, batch, place): threads and resumed runs see the same crops.
    """

    def __init__(
        self, pictures: Sequence[np.ndarray], seed: int, first: int = 0, workers: int = 0, tunes: int = 1
    ) -> None:
        """Nothing is cut yet.

        Args:
            pictures: (H, W, 3) uint8 to cut from; `sizes` of what decodes them on demand tells (H, W) before.
            first: number of the first batch.
            workers: threads that cut batches ahead of use, 0 = none.
            tunes: of the model, 1 or 2.
        """
        self.pictures, self.tunes = pictures, tunes
        self.seed = seed
        self._reach: dict[int, np.ndarray] = {}
        self._number = first
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._ahead: dict[tuple[int, int, int, range], Future[tuple[np.ndarray, list[float]]]] = {}

    def reach(self, side: int) -> np.ndarray:
        """Cumulative probabilities (N,) of the pictures in crops of this side: 0 for smaller ones.

        Raises:
            FileNotFoundError: all are smaller.
        """
        if side not in self._reach:
            sizes = getattr(self.pictures, "sizes", None)
            if sizes is None:
                sizes = [p.shape[:2] for p in self.pictures]
            sizes = np.array(sizes, dtype=np.float64)
            share = np.sqrt(sizes.prod(1)) * (sizes.min(1) >= side)
            if not share.any():
                raise FileNotFoundError(f"no picture has both sides >= {side}")
            self._reach[side] = np.cumsum(share / share.sum())
        return self._reach[side]

    def batch(
        self, count: int, side: int, device: torch.device | str = "cpu", places: range | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next batch: pictures (count, 3, side, side) in [0, 1], channels last, and the dial (count,).

        Args:
            places: those of the batch that are wanted, all by default.
        """
        number, self._number = self._number, self._number + 1
        places = range(count) if places is None else places
        if self._pool is None:
            crops, qualities = self._cut(number, count, side, places)
        else:
            keys = [(later, count, side, places) for later in range(number, number + 1 + BATCHES_AHEAD)]
            ahead, pool = self._ahead, self._pool
            self._ahead = {k: ahead[k] if k in ahead else pool.submit(self._cut, *k) for k in keys}
            crops, qualities = self._ahead[keys[0]].result()
        # Sent as bytes, converted on the device.
        x = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float().div_(255)
        return x, torch.tensor(qualities, dtype=torch.float32).to(device)

    def _cut(self, number: int, count: int, side: int, places: range) -> tuple[np.ndarray, list[float]]:
        """Places of the batch of this number, (n, side, side, 3) uint8, and their places on the dial."""
        crops, qualities = [], []
        for place in places:
            random = np.random.default_rng((self.seed, number, place))
            # Stratified: every batch spans the whole range of qualities.
            qualities.append((place + random.random()) / count)
            crops.append(self._crop(random, side, qualities[-1]))
        # Half of each batch, or of two, is of either tune.
        order = np.random.default_rng((self.seed, number)).permutation(count)
        tunes = (order[places] + number) % self.tunes
        return np.stack(crops), [t + TUNE_STEP * int(tune) for t, tune in zip(qualities, tunes, strict=True)]

    def _crop(self, random: np.random.Generator, side: int, t: float) -> np.ndarray:
        reach = self.reach(side)
        # Rounding may leave the last sum a little below 1.
        picture = self.pictures[int(np.searchsorted(reach, random.random() * reach[-1], side="right"))]
        height, width = picture.shape[:2]
        factor = 1.0
        if t > 0.5 and random.random() < 0.5:
            factor = min(random.uniform(1.2, 1.8), min(height, width) / side)
        cut = min(round(side * factor), height, width)
        top = random.integers(height - cut + 1)
        left = random.integers(width - cut + 1)
        crop = picture[top : top + cut, left : left + cut]
        if cut != side:
            crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS))
        if random.random() < 0.5:
            crop = crop[:, ::-1]
        if random.random() < 0.25:
            crop = crop.transpose(1, 0, 2)
        return crop
