"""Pixels <-> segments: transforms and the encoder's search (torch) around the exact coder (numpy).

    encode:  pixels --g_a, gain--> y --per tile--> z, then pass by pass: argmin w|r-c|^2 - ln p --> segments
    decode:  segments --per tile--> y_hat (integers) --g_s--> pixels

Tiles cut the latent and the coding contexts; the transforms run over the whole picture, so no seam exists.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vqcodec.checkpoint import Weights, load_weights
from vqcodec.entropy.latent_coder import LAYERS, LEVELS_PER_CLASS, PHASES, LatentCoder
from vqcodec.entropy.tables import nats_from_counts
from vqcodec.errors import CorruptData, ModelNotFound
from vqcodec.model.blocks import BLOCK
from vqcodec.model.quantized_conv import HYPER_STEP, VALUE_STEP
from vqcodec.model.quantizer import SLOPE
from vqcodec.model.transforms import SynthesisTransform
from vqcodec.refine import Refiner
from vqcodec.types import LEVEL_MAX

if TYPE_CHECKING:
    from vqcodec.codec import Codec

SCALE = round(1 / VALUE_STEP)
OVERLOAD = 600.0
"""Mean quantisation error of a picture, in nats per position, beyond which its codewords do not reach.

At the top of the dial photographs have 30 to 460; stripes, checks and text thousands."""


@dataclass(frozen=True)
class Analysis:
    """One picture, padded and on its device, ready to be encoded at any level.

    Attributes:
        errors: by level, what `SegmentCodec.encode` found: w |y - y_hat|^2 in nats per latent position.
    """

    x: Tensor
    width: int
    height: int
    errors: dict[int, float] = field(default_factory=dict)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product on torch's threads; exact even in bfloat16, which holds every factor."""
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()


class _Search:
    """argmin of w |r - c|^2 - ln p over one band's words, for all groups and positions at once."""

    def __init__(self, words: np.ndarray, counts: np.ndarray, step: float, device: str) -> None:
        groups, count, _ = words.shape
        real = torch.from_numpy(words).to(device, torch.float32) * step
        self.words = (-2 * SLOPE * real).transpose(1, 2).contiguous()
        nats = torch.from_numpy(nats_from_counts(counts)).to(device).reshape(groups, -1, count)
        self.cost = (nats + SLOPE * real.square().sum(-1)[:, None]).flatten(0, 1)
        self.first = torch.arange(groups, device=device)[:, None] * nats.shape[1]

    def __call__(self, residual: Tensor, classes: Tensor) -> np.ndarray:
        """residual (h, w, d*G) and classes (h, w, G) -> indices (h, w, G) int64; ties to the lowest."""
        h, w, _ = residual.shape
        groups = self.words.shape[0]
        r = residual.reshape(h * w, -1, groups).permute(2, 0, 1)
        table = (self.first + classes.reshape(h * w, groups).T).reshape(-1)
        cost = torch.bmm(r, self.words)
        cost.add_(self.cost.index_select(0, table).view_as(cost))
        # numpy's argmin is several times faster than torch's on a CPU; both give the first minimum.
        index = cost.numpy().argmin(-1) if cost.device.type == "cpu" else cost.argmin(-1).cpu().numpy()
        return index.T.reshape(h, w, groups)


class SegmentCodec:
    """One set of weights, ready to encode and decode; safe to call from several threads."""

    layers = LAYERS

    def __init__(self, weights: Weights, device: str = "cpu") -> None:
        self.name = weights.name
        self.bitstream_id, self.decoder_id = weights.bitstream_id, weights.decoder_id
        self.device = device
        self.transforms = weights.transforms
        self.coder = LatentCoder(weights.coding, _product)
        self._weights = weights
        self._blended: tuple[float, SynthesisTransform] | None = None
        self._searches: tuple[list[_Search], list[_Search]] | None = None
        self._refiner: Refiner | None = None
        self._lock = threading.Lock()
        self.timings: dict[str, float] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> SegmentCodec:
        """Load a weights file.

        Raises:
            ModelNotFound: missing, damaged or of another format.
        """
        weights = load_weights(path, device)
        try:
            return cls(weights, device)
        except (IndexError, KeyError, ValueError) as error:
            raise ModelNotFound(f"{path}: unusable coding arrays: {error}") from error

    # -- encoding ------------------------------------------------------------------------------
    def analyse(self, pixels: np.ndarray) -> Analysis:
        """Pad pixels (H, W, 3) uint8 to whole blocks: mirrored, or repeated where too small for that."""
        height, width = pixels.shape[:2]
        padded = pixels
        for axis, side in enumerate((height, width)):
            missing = -side % BLOCK
            pads = [(0, missing) if a == axis else (0, 0) for a in range(3)]
            padded = np.pad(padded, pads, mode="reflect" if side > missing else "edge")
        x = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None]
        return Analysis(x.to(self.device).float().div_(255), width, height)

    @torch.inference_mode()
    def encode(self, analysis: Analysis, level: int, tile: int, effort: int = 1) -> list[list[bytes]]:
        """Segments [tile][layer] at `level` 0..252; `tile` is 0 (whole) or a multiple of 64.

        Args:
            effort: 1 (greedy) to 9, see `vqcodec.refine`.
        """
        begun = time.perf_counter()
        t = torch.tensor([level / LEVEL_MAX], device=self.device)
        y = self.transforms.analyse(analysis.x, t)
        timings = {"analysis": time.perf_counter() - begun}
        target = y
        if effort > 1:
            begun = time.perf_counter()
            target = self._refine().refine(analysis.x, y, t, effort)
            timings["search"] = time.perf_counter() - begun
        begun = time.perf_counter()
        result, error = [], 0.0
        for rows, columns in tiles(y.shape[2], y.shape[3], tile):
            place = (slice(None), slice(None), rows, columns)
            segments, latent = self._encode_tile(target[place], y[place], level)
            result.append(segments)
            error += float(np.square(y[place][0].permute(1, 2, 0).cpu().numpy() - latent / SCALE).sum())
        analysis.errors[level] = SLOPE * error / (y.shape[2] * y.shape[3])
        self.timings = timings | {"coding": time.perf_counter() - begun}
        return result

    def overloaded(self, analysis: Analysis, level: int) -> bool:
        """Did codewords not reach where the picture's latent lies, when it was encoded at `level`?"""
        return analysis.errors.get(level, 0.0) > OVERLOAD

    def _encode_tile(self, target: Tensor, y: Tensor, level: int) -> tuple[list[bytes], np.ndarray]:
        """Segments and latent (h, w, M) in integers of one tile.

        Args:
            target: what the words shall come near.
            y: what the hyper-latent is made from.
        """
        searches, hyper_searches = self._search()
        z = self.transforms.hyper_latent(y)[0].permute(1, 2, 0)
        z_index, start = [], 0
        for band, search in zip(self.coder.hyper_bands, hyper_searches, strict=True):
            classes = torch.full((*z.shape[:2], band.groups), level // LEVELS_PER_CLASS, device=z.device)
            z_index.append(search(z[:, :, start : start + band.channels], classes))
            start += band.channels
        grid = target[0].permute(1, 2, 0)

        def choose(p: int, mean: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
            i, j = PHASES[p]
            mu = torch.from_numpy(mean.astype(np.float32)).to(self.device) / SCALE
            residual = grid[i::2, j::2] - mu
            kinds = torch.from_numpy(classes).to(self.device)
            return [
                search(
                    residual[:, :, band.channel : band.channel + band.channels],
                    kinds[:, :, band.group : band.group + band.groups],
                )
                for band, search in zip(self.coder.bands, searches, strict=True)
            ]

        return self.coder.encode(z_index, (y.shape[2], y.shape[3]), level, choose)

    def _refine(self) -> Refiner:
        # Built on first use: most encodes do without.
        with self._lock:
            if self._refiner is None:
                self._refiner = Refiner(self._weights, self.device)
            return self._refiner

    def _search(self) -> tuple[list[_Search], list[_Search]]:
        # Built on first use: decoding needs none of it.
        with self._lock:
            if self._searches is None:
                kinds = ((self.coder.bands, VALUE_STEP), (self.coder.hyper_bands, HYPER_STEP))
                built = [
                    [_Search(b.words, b.tables.counts, step, self.device) for b in bands]
                    for bands, step in kinds
                ]
                self._searches = (built[0], built[1])
            return self._searches

    @property
    def has_realism(self) -> bool:
        """Is there a perceptual decoder beside the fidelity decoder?"""
        return bool(self._weights.realism)

    def _decoder(self, realism: float) -> SynthesisTransform:
        g_s = self.transforms.g_s
        if realism == 0:
            return g_s
        if not self.has_realism:
            raise ModelNotFound(f"model {self.name!r} has no perceptual decoder, which realism needs")
        # The last mixture is kept: all files of a batch are decoded alike.
        with self._lock:
            if self._blended is None or self._blended[0] != realism:
                self._blended = realism, _mixed(g_s, self._weights.realism, realism)
            return self._blended[1]

    # -- decoding ------------------------------------------------------------------------------
    def decode_latent(
        self, segments: Sequence[Sequence[bytes | None]], *, width: int, height: int, level: int, tile: int
    ) -> np.ndarray:
        """The exact half of decoding: latent (h, w, M) int64 in steps of 1/128.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
        """
        shape = (-(-height // BLOCK), -(-width // BLOCK))
        places = list(tiles(*shape, tile))
        if len(places) != len(segments):
            raise CorruptData(f"{len(segments)} tiles where the picture has {len(places)}")
        if any(len(layers) != LAYERS for layers in segments):
            raise CorruptData(f"every tile must have {LAYERS} layers")
        latent = np.zeros((*shape, self.coder.channels), dtype=np.int64)
        for (rows, columns), layers in zip(places, segments, strict=True):
            size = (rows.stop - rows.start, columns.stop - columns.start)
            latent[rows, columns] = self.coder.decode(layers, size, level)
        return latent

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
    ) -> np.ndarray:
        """Pixels (H, W, 3) uint8. None stands for a layer that is missing.

        Args:
            realism: 0 is the fidelity decoder, 1 the perceptual one; between, their weights are mixed.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
        """
        g_s = self._decoder(realism)
        begun = time.perf_counter()
        latent = self.decode_latent(segments, width=width, height=height, level=level, tile=tile)
        decoded = time.perf_counter()
        y = torch.from_numpy(latent.transpose(2, 0, 1)[None].astype(np.float32)).to(self.device) / SCALE
        t = torch.tensor([level / LEVEL_MAX], device=self.device)
        picture = g_s(y / self.transforms.gain(t), t)[0, :, :height, :width]
        pixels = picture.clamp_(0, 1).mul_(255).round_().to(torch.uint8).permute(1, 2, 0)
        result = np.ascontiguousarray(pixels.cpu().numpy())
        self.timings = {"coding": decoded - begun, "synthesis": time.perf_counter() - decoded}
        return result


def _mixed(g_s: SynthesisTransform, tuned: dict[str, Tensor], share: float) -> SynthesisTransform:
    """A copy of g_s with `share` of the tuned parameters in its own."""
    result = copy.deepcopy(g_s)
    for name, parameter in result.named_parameters():
        if name in tuned:
            parameter.data.lerp_(tuned[name], share)
    return result


def tiles(rows: int, columns: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Latent tiles, row by row; `tile` in pixels, 0 = whole."""
    step = tile // BLOCK or max(rows, columns)
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            yield slice(top, min(top + step, rows)), slice(left, min(left + step, columns))


def inside(codec: Codec) -> SegmentCodec:
    """What a codec that was loaded from weights is made of, for what looks into it.

    Raises:
        TypeError: it is made of something else.
    """
    if not isinstance(codec.segments, SegmentCodec):
        raise TypeError("only a codec of a weights file can be looked into")
    return codec.segments
