"""A second decoder of segments, slow and small, written from FORMAT.md alone; it shares no code with the
package.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[Any]

WORD = 2**32
STATE = 2**64
PASSES = (
    (0, 0, 4, 0, 0),
    (2, 2, 4, 0, 1),
    (0, 2, 4, 0, 1),
    (2, 0, 4, 0, 1),
    (1, 1, 2, 1, 1),
    (0, 1, 2, 2, 2),
    (1, 0, 2, 3, 3),
)
"""*Latent*: first row and column of a pass, its stride, its phase, and the maps that it sees."""


class Refused(Exception):
    """The segment breaks a rule of the format."""


class RangeEncoder:
    """*Entropy coder*: the steps of a writer."""

    def __init__(self) -> None:
        self.low, self.range, self.held, self.first = 0, STATE - 1, 0, 0
        self.words: list[int] = []

    def symbol(self, left: int, count: int) -> None:
        scale = self.range >> 24
        self.range = scale * count
        following = (self.low + scale * left) % STATE
        if self.held and (following + self.range) % STATE > following:
            self.release(following)
        self.low = following
        if self.range < WORD:
            word, self.low, self.range = self.low >> 32, (self.low << 32) % STATE, self.range << 32
            if self.held:
                self.held += 1
            elif (self.low + self.range) % STATE > self.low:
                self.words.append(word)
            else:
                self.held, self.first = 1, word

    def release(self, x: int) -> None:
        carry = x < self.low
        self.words += [self.first + carry] + [0 if carry else WORD - 1] * (self.held - 1)
        self.held = 0

    def end(self) -> bytes:
        if self.range != STATE - 1:
            point = (self.low + WORD - 1) % STATE
            if self.held:
                self.release(point)
            self.words.append(point >> 32)
            if (self.low + self.range) % STATE >> 32 == point >> 32:
                self.words.append(0)
        return struct.pack(f"<{len(self.words)}I", *self.words)


class RangeDecoder:
    """*Entropy coder*: the steps of a reader, and the check at the end."""

    def __init__(self, segment: bytes) -> None:
        if len(segment) % 4:
            raise Refused("not whole words")
        self.segment = segment
        self.rest = list(struct.unpack(f"<{len(segment) // 4}I", segment))[::-1]
        self.low, self.range = 0, STATE - 1
        self.point = self.word() << 32 | self.word()
        self.again = RangeEncoder()

    def word(self) -> int:
        return self.rest.pop() if self.rest else 0

    def symbol(self, counts: Sequence[int]) -> int:
        scale = self.range >> 24
        quantile = (self.point - self.low) % STATE // scale
        if quantile >= 2**24:
            raise Refused("no such quantile")
        k = left = 0
        while quantile >= left + counts[k]:
            left += counts[k]
            k += 1
        self.low, self.range = (self.low + scale * left) % STATE, scale * counts[k]
        if self.range < WORD:
            self.low, self.range = (self.low << 32) % STATE, self.range << 32
            self.point = (self.point << 32) % STATE + self.word()
        self.again.symbol(left, counts[k])
        return k

    def end(self) -> None:
        if self.again.end() != self.segment:
            raise Refused("not what its symbols encode to")


class Model:
    """*Model data*: a weights file, read without the safetensors library."""

    def __init__(self, path: Path, tune: int = 0) -> None:
        data = path.read_bytes()
        (size,) = struct.unpack_from("<Q", data)
        entries = json.loads(data[8 : 8 + size])
        self.notes = entries.pop("__metadata__")
        kinds = {"I": "<i", "U": "<u", "F": "<f"}
        self.tensors = {}
        for name, entry in entries.items():
            kind = f"{kinds[entry['dtype'][0]]}{int(entry['dtype'][1:]) // 8}"
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            array = np.frombuffer(data[start:end], kind).reshape(entry["shape"])
            by_tune = array.ndim == 3 and name.endswith((".bias", ".modulation", "log_gain"))
            self.tensors[name] = array[tune] if by_tune else array
        self.levels = [int(n) for n in self.tensors["coding.context_levels"]]
        self.bands = self.count("y")
        self.channels = sum(b.shape[0] * b.shape[2] for b in self.bands)
        self.groups = sum(b.shape[0] for b in self.bands)
        starts = [int(n) for n in self.tensors["coding.slices"]]
        ends = [0, *starts, len(self.bands)]
        self.slices = [list(range(a, b)) for a, b in itertools.pairwise(ends)]
        self.tables: dict[tuple[str, int, int, int], list[int]] = {}
        self.only: dict[tuple[int, int, int], int | None] = {}

    def __getitem__(self, name: str) -> Integers:
        return self.tensors[f"coding.{name}"].astype(np.int64)

    @functools.cached_property
    def compand(self) -> Integers:
        """*Integer prior*: what magnitudes up to 131071 become."""
        return (np.arange(131072)[:, None] >= self["prior.compand"]).sum(1)

    def channel(self, band: int) -> int:
        """The first channel of a band of y."""
        return sum(b.shape[0] * b.shape[2] for b in self.bands[:band])

    def count(self, kind: str) -> list[Integers]:
        """Codewords of all bands of "y" or "z"."""
        total = sum(name.startswith(f"coding.{kind}.words.") for name in self.tensors)
        return [self[f"{kind}.words.{b}"] for b in range(total)]

    def fingerprint(self, *starts: str) -> str:
        digest = hashlib.sha256()
        for name in sorted(n for n in self.tensors if n.startswith(starts)):
            tensor = self.tensors[name]
            digest.update(f"{name}:{tensor.dtype.name}:{','.join(map(str, tensor.shape))}\n".encode())
            digest.update(tensor.tobytes())
        return digest.hexdigest()[:16]

    def classes(self, kind: str) -> int:
        return math.prod(self.levels) if kind == "y" else 16

    def sums(self, kind: str, band: int, group: int, context: int) -> list[int]:
        """*Tables*: the sums s_k of a class, counted in the order of *Integer prior*."""
        rows = self[f"{kind}.tables.{band}"][group]
        if kind == "z":
            return rows[context].tolist()
        total, end = np.zeros(rows.shape[1], np.int64), len(rows)
        for count in reversed(self.levels):
            context, u = divmod(context, count)
            end -= count
            total += rows[end + u]
        return total.tolist()

    def certain(self, band: int, group: int, context: int) -> int | None:
        """*Certain symbols*: the only index of a class of y, if it has just one."""
        key = (band, group, context)
        if key not in self.only:
            sums = self.sums("y", band, group, context)
            powers = self.tensors["coding.powers"].tolist()
            others = sum(powers[min(s - min(sums), 255)] for s in sums) - powers[0]
            self.only[key] = sums.index(min(sums)) if 8192 * others <= powers[0] else None
        return self.only[key]

    def counts(self, kind: str, band: int, group: int, context: int) -> list[int]:
        """*Tables*, in Python integers."""
        key = (kind, band, group, context)
        if key not in self.tables:
            sums = self.sums(kind, band, group, context)
            codes = [min(s - min(sums), 255) for s in sums]
            powers = self.tensors["coding.powers"].tolist()
            total = sum(powers[v] for v in codes)
            counts = [1 + powers[v] * (2**24 - len(codes)) // total for v in codes]
            counts[counts.index(max(counts))] += 2**24 - sum(counts)
            self.tables[key] = counts
        return self.tables[key]


def window(x: NDArray[Any], kernel: int) -> NDArray[Any]:
    """(c, h, w) -> (c, u, v, h, w): x at (i + u - kernel / 2, j + v - kernel / 2), 0 outside."""
    _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (kernel // 2, kernel // 2), (kernel // 2, kernel // 2)))
    return np.stack(
        [np.stack([padded[:, u : u + h, v : v + w] for v in range(kernel)], 1) for u in range(kernel)], 1
    )


def layer(model: Model, name: str, x: Integers, q: int) -> Integers:
    """*Integer prior*: one layer, before its clamp."""
    weight, bias = model[f"prior.{name}.weight"], model[f"prior.{name}.bias"]
    a, r = divmod(q, 8)
    b = bias[0] if len(bias) == 1 else (bias[a] * (8 - r) + bias[min(a + 1, 8)] * r + 4) >> 3
    acc = b[:, None, None] + np.einsum("ocuv,cuvij->oij", weight, window(x, weight.shape[2]))
    shift = model[f"prior.{name}.shift"][:, None, None]
    return (acc * model[f"prior.{name}.multiplier"][:, None, None] + 2 ** (shift - 1)) >> shift


def shuffle(x: NDArray[Any], n: int) -> NDArray[Any]:
    """Channel n n c + n u + v at (i, j) becomes channel c at (n i + u, n j + v)."""
    out = np.zeros((len(x) // n**2, n * x.shape[1], n * x.shape[2]), x.dtype)
    for u in range(n):
        for v in range(n):
            out[:, u::n, v::n] = x[n * u + v :: n * n]
    return out


class Tile:
    """One tile: *Latent*, *Symbol order* and *Integer prior*."""

    def __init__(self, model: Model, h: int, w: int, level: int) -> None:
        self.model, self.h, self.w, self.level = model, h, w, level
        self.q = (64 * level + 126) // 252

    def decode(self, segments: Sequence[bytes | None]) -> Integers:
        """Latent (M, h, w)."""
        model = self.model
        latent = np.zeros((model.channels, self.h, self.w), np.int64)
        if segments[0] is None:
            return latent
        coders = [None if s is None else RangeDecoder(s) for s in segments]
        rows, columns = math.ceil(self.h / 4), math.ceil(self.w / 4)
        groups = sum(len(words) for words in model.count("z"))
        classes = np.full((groups, rows, columns), self.level // 16)
        z = [self.symbols(coders[0], "z", classes, n) for n in range(len(model.count("z")))]
        features = self.features(np.concatenate(z))
        offsets = self.offsets(coders[0])
        size = [math.ceil(n / 4) * 4 for n in (self.h, self.w)]
        whole = np.zeros((model.channels, *size), np.int64)
        features = features[:, : size[0] // 2, : size[1] // 2]
        phases = [whole[:, i::2, j::2] for i, j in ((0, 0), (1, 1), (0, 1), (1, 0))]
        for p, place in enumerate(PASSES):
            row, column, stride, phase, maps = place
            rows, columns = latent[0, row::stride, column::stride].shape
            hidden, linear = self.hidden(p, place, features, phases[:maps])
            hidden, linear = hidden[:, :rows, :columns], linear[:, :rows, :columns]
            residual = np.zeros((model.channels, rows, columns), np.int64)
            coder = coders[min(phase, 1)]
            for n, bands in enumerate(model.slices):
                if n:
                    hidden = self.update(n, phase, residual[: model.channel(bands[0])], hidden)
                means, classes = self.predict(phase, hidden, linear)
                if coder is not None:
                    moved = self.moved(classes, offsets)
                    for band in bands:
                        channel = model.channel(band)
                        found = self.symbols(coder, "y", moved, band, classes)
                        residual[channel : channel + len(found)] = found
                own = slice(model.channel(bands[0]), model.channel(bands[-1] + 1))
                value = means[own] + residual[own]
                latent[own, row::stride, column::stride] = value.clip(-131071, 131071)
            whole[:, : self.h, : self.w] = latent
        for coder in coders:
            if coder is not None:
                coder.end()
        if None in segments and len(model.slices) > 2:  # *Missing segments*
            guessed = model.channel(model.slices[2][0])
            known = latent[guessed:, 0::2, 0::2].copy()
            latent[guessed:] = 0
            latent[guessed:, 0::2, 0::2] = known
        return latent

    def symbols(
        self,
        coder: RangeDecoder | None,
        kind: str,
        classes: Integers,
        band: int,
        unmoved: Integers | None = None,
    ) -> Integers:
        """Codewords (channels, rows, columns) of a band for classes (groups of all bands, rows, columns).

        Some may be certain, by their classes before class offsets.
        """
        assert coder is not None
        codebooks = self.model.count(kind)
        first = sum(len(words) for words in codebooks[:band])
        words = codebooks[band]
        groups, _, size = words.shape
        value = np.zeros((size, groups, *classes.shape[1:]), np.int64)
        for group in range(groups):
            here = classes[first + group].copy()
            if unmoved is not None:
                for (i, j), context in np.ndenumerate(unmoved[first + group]):
                    k = self.model.certain(band, group, context)
                    if k is not None:
                        value[:, group, i, j] = words[group, k]
                        here[i, j] = -1
            for context in range(self.model.classes(kind)):
                for i, j in np.argwhere(here == context):
                    k = coder.symbol(self.model.counts(kind, band, group, context))
                    value[:, group, i, j] = words[group, k]
        return value.reshape(size * groups, *classes.shape[1:])

    def offsets(self, coder: RangeDecoder | None) -> list[tuple[int, ...]]:
        """*Class offsets*: the steps of each group's context numbers."""
        table = self.model.tensors["coding.y.shifts"]
        steps: list[tuple[int, ...]] = []
        assert coder is not None
        for words in self.model.count("y"):
            moves = coder.symbol([2**23, 2**23]) == 1
            for _ in range(len(words)):
                if moves:
                    place = np.unravel_index(coder.symbol(table.flatten().tolist()), table.shape)
                    pairs = zip(place, table.shape, strict=True)
                    steps.append(tuple(int(a) - (count - 1) // 2 for a, count in pairs))
                else:
                    steps.append((0,) * len(self.model.levels))
        return steps

    def moved(self, classes: Integers, offsets: list[tuple[int, ...]]) -> Integers:
        """Classes (G, rows, columns) after the class offsets of their groups."""
        result = np.zeros_like(classes)
        for group, steps in enumerate(offsets):
            rest, numbers = classes[group], []
            for count in reversed(self.model.levels):
                numbers.append(rest % count)
                rest = rest // count
            for u, count, step in zip(reversed(numbers), self.model.levels, steps, strict=True):
                result[group] = result[group] * count + (u + step).clip(0, count - 1)
        return result

    def features(self, z: Integers) -> Integers:
        x = layer(self.model, "hyper1", z, self.q).clip(0, 255)
        x = layer(self.model, "hyper2", x, self.q).clip(0, 255)
        return layer(self.model, "hyper3", shuffle(x, 2), self.q).clip(0, 255)

    def hidden(
        self, p: int, place: tuple[int, ...], features: Integers, maps: list[Integers]
    ) -> tuple[Integers, Integers]:
        """Hidden units (W, rows, columns) of a pass before its first slice, and its linear means."""
        model, (row, column, stride, _, _) = self.model, place
        kept = (slice(None), slice(row // 2, None, 2), slice(column // 2, None, 2))
        kept = kept if stride == 4 else (slice(None),) * 3
        seen = (model[f"prior.enter.{p}.weight"].shape[1] - len(features)) // max(len(maps), 1)
        companded = [self.companded(y[:seen]) for y in maps]
        x = layer(model, f"enter.{p}", np.concatenate([*companded, features]), self.q).clip(0, 255)[kept]
        x = layer(model, f"middle.{p}", x, self.q).clip(0, 255)
        linear = np.zeros((model.channels, *x.shape[1:]), np.int64)
        if maps:
            weight = model[f"prior.linear.{p - 1}"]
            n = len(weight)
            near = np.stack([window(y[:n], 3) for y in maps])
            linear[:n] = ((64 + np.einsum("csuv,scuvij->cij", weight, near)) >> 7)[kept]
        return x, linear

    def companded(self, y: Integers) -> Integers:
        compand = self.model.compand
        return np.where(y < 0, -compand[abs(y)], compand[abs(y)])

    def update(self, n: int, phase: int, residual: Integers, hidden: Integers) -> Integers:
        """*Slices*: hidden units before slice n, which know the residuals of all slices before it."""
        number = 4 * (n - 1) + phase
        x = np.concatenate([self.companded(residual), hidden])
        x = layer(self.model, f"look.{number}", x, self.q).clip(0, 255)
        return (layer(self.model, f"tell.{number}", x, self.q) + hidden).clip(0, 255)

    def predict(self, phase: int, hidden: Integers, linear: Integers) -> tuple[Integers, Integers]:
        """Mean (M, rows, columns) and classes (G, rows, columns), those of later slices not yet right."""
        model = self.model
        out = layer(model, f"leave.{phase}", hidden, self.q)
        mean, numbers = out[: model.channels] + linear, out[model.channels :]
        classes = np.zeros((model.groups, *mean.shape[1:]), np.int64)
        for t, count in enumerate(model.levels):
            u = numbers[t * model.groups : (t + 1) * model.groups]
            classes = classes * count + u.clip(0, count - 1)
        return mean, classes


def decode_latent(
    model: Model, segments: Sequence[Sequence[bytes | None]], width: int, height: int, level: int, tile: int
) -> Integers:
    """Latent (M, h, w) of a picture; `segments` [tile][layer], `tile` in pixels."""
    h, w = math.ceil(height / 16), math.ceil(width / 16)
    latent = np.zeros((model.channels, h, w), np.int64)
    step = tile // 16 if tile else max(h, w)
    corners = [(top, left) for top in range(0, h, step) for left in range(0, w, step)]
    for (top, left), layers in zip(corners, segments, strict=True):
        place = latent[:, top : top + step, left : left + step]
        place[:] = Tile(model, place.shape[1], place.shape[2], level).decode(layers)
    return latent
