"""A second synthesis, slow and small, written from FORMAT.md alone; it shares no code with the package.

Maps are (channels, rows, columns) here. numpy rounds every operation of float32 by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.entropy.reference_decoder import Integers, Model, window

Floats = NDArray[np.float32]
f32 = np.float32


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    ln2 = 0.6931471805599453
    n = np.rint(x * (1 / ln2))
    p = np.ones_like(x)
    for j in range(16, 0, -1):
        p = p * (x - n * ln2) / j + 1
    return p * 2.0**n


def log2(e: Floats) -> Floats:
    mantissa, n = np.frexp(e)
    t = (mantissa * f32(2)) - f32(1)
    found: Floats = ((t * f32(0.15922014) + f32(-0.58208549)) * t + f32(1.4228654)) * t + (n - 1).astype(f32)
    return found


def shuffle(x: NDArray[Any], n: int) -> NDArray[Any]:
    channels, h, w = x.shape
    parts = x.reshape(n, n, channels // (n * n), h, w).transpose(2, 3, 0, 4, 1)
    return parts.reshape(-1, n * h, n * w)


def byte(h: Floats, step: Floats, top: int = 127) -> Integers:
    scaled = h * (f32(1) / step)[:, None, None]
    return np.rint(scaled).clip(-128 if top == 127 else -top, top).astype(np.int64)


def relu(x: Floats) -> Integers:
    return np.rint(x).clip(0, 255).astype(np.int64)


class Synthesis:
    """*Synthesis* at one level."""

    def __init__(self, model: Model, level: int) -> None:
        self.get = lambda name: model.tensors[f"g_s.{name}"]
        self.names = set(model.tensors)
        self.knot, self.rest = divmod(8 * level, 252)
        self.gain = exp(self.lerp(model.tensors["log_gain"]))

    def lerp(self, table: NDArray[Any]) -> NDArray[np.float64]:
        rows, r = table.astype(np.float64), self.rest / 252
        return rows[self.knot] * (1 - r) + rows[min(self.knot + 1, 8)] * r

    def layer(
        self, name: str, x: Integers, z: Any = 1.0, g: Any = 1.0, modulation: NDArray[Any] | None = None
    ) -> Floats:
        weight, scale = self.get(f"{name}.weight"), self.get(f"{name}.scale").astype(np.float64)
        biased = f"g_s.{name}.bias" in self.names
        bias = self.get(f"{name}.bias").astype(np.float64) if biased else np.zeros(len(scale))
        if f"g_s.{name}.modulation" in self.names:
            modulation = self.get(f"{name}.modulation")
        if modulation is not None:
            f, m = np.split(self.lerp(modulation), 2)
            scale, bias = scale * (1 + f), bias * (1 + f) + m
        near = window(x, weight.shape[1])
        acc = np.tensordot(weight.astype(np.int64).transpose(0, 3, 1, 2), near, 3)
        if name.rpartition(".")[2] in ("conv1", "conv2", "last", "guide", "mix", "filter"):
            size = np.abs(weight.astype(int))
            assert weight.dtype == np.int8
            assert size.max() <= 64
            assert size.sum((1, 2, 3)).max() < 65793
        else:
            acc = (acc + 2**31) % 2**32 - 2**31
        s, b = ((part * g / z).astype(f32)[:, None, None] for part in (scale, bias))
        return acc.astype(f32) * s + b

    def blocks(self, name: str, h: Floats) -> Floats:
        i = 0
        while f"g_s.{name}.{i}.conv1.weight" in self.names:
            one, two = f"{name}.{i}.conv1", f"{name}.{i}.conv2"
            x = byte(h, self.get(f"{one}.step"))
            inner = relu(self.layer(one, x, self.get(f"{two}.step").astype(np.float64)))
            h = h + self.layer(two, inner)
            i += 1
        return h

    def lap(self, x: Floats) -> Floats:
        lapping = self.get("lapping")
        for axis in (1, 2):
            x = np.moveaxis(x, axis, -1).copy()
            for start in range(8, x.shape[-1] - 8, 16):
                old = x[..., start : start + 16].copy()
                for a in range(16):
                    total = lapping[a, 0] * old[..., 0]
                    for b in range(1, 16):
                        total = total + lapping[a, b] * old[..., b]
                    x[..., start + a] = total
            x = np.moveaxis(x, -1, axis)
        return x

    def picture(self, latent: Integers) -> NDArray[np.uint8]:
        """Pixels (16h, 16w, 3) of a latent (M, h, w)."""
        step = (1 / (128 * self.gain * self.get("latent.step").astype(np.float64))).astype(f32)
        q = np.rint(latent.astype(f32) * step[:, None, None]).clip(-32767, 32767).astype(np.int64)
        h = self.blocks("coarse", self.layer("first", q))
        h = shuffle(self.layer("expand", byte(h, self.get("expand.step"), 32767)), 2)
        h = self.blocks("fine", h)
        u = self.lap(shuffle(self.layer("linear", q), 16))
        last = byte(h, self.get("last.step"))
        u = u + shuffle(self.layer("last", last), 8)
        return self.restored(u, last)

    def restored(self, u: Floats, guide: Integers) -> NDArray[np.uint8]:
        name, rows, columns = "restoration", u.shape[1] // 2, u.shape[2] // 2
        across, down = (abs(np.diff(u, axis=a, append=u.take([-1], a))) for a in (2, 1))
        d = np.concatenate([across, down, abs(across - down)])
        e = (d[:, ::2, ::2] + d[:, ::2, 1::2]) + (d[:, 1::2, ::2] + d[:, 1::2, 1::2])
        logs = np.rint(log2(e * f32(0.25) + f32(1 / 512)) * f32(256)) + 1293
        samples = np.rint(u * f32(8192)).clip(-32767, 32767).astype(np.int64)
        cells = samples.reshape(3, rows, 2, columns, 2).transpose(0, 2, 4, 1, 3).reshape(12, rows, columns)
        seen = np.concatenate([logs.clip(-32767, 32767).astype(np.int64), cells, np.zeros_like(cells[:3])])
        first, second = (self.get(f"{name}.{part}.step").astype(np.float64) for part in ("mix", "filter"))
        f = self.get(f"{name}.sense.modulation")[:, : len(first)]
        guided = np.concatenate([np.tile(f, 16), np.zeros((9, 16 * len(first)))], 1)
        g = shuffle(self.layer(f"{name}.guide", guide, np.tile(first, 16), 1.0, guided), 4)
        inner = relu(self.layer(f"{name}.sense", seen, first) + g)
        m = relu(self.layer(f"{name}.mix", inner, second))
        kernels, scale = self.get(f"{name}.kernels").astype(np.int64), self.get(f"{name}.kernels.scale")
        gain = np.concatenate([np.ones(12), *(np.repeat(s / f32(8192), 4) for s in scale.T)])
        parts = self.layer(f"{name}.filter", m, 1.0, gain.astype(np.float64)).reshape(
            -1, 3, 2, 2, rows, columns
        )
        parts = parts.transpose(0, 1, 4, 2, 5, 3).reshape(-1, 3, 2 * rows, 2 * columns)
        around = np.lib.stride_tricks.sliding_window_view(
            np.pad(samples, ((0, 0), (2, 2), (2, 2)), mode="edge"), (5, 5), (1, 2)
        )
        change = parts[0]
        for k in range(kernels.shape[1]):
            answer = np.einsum("cab,cijab->cij", kernels[:, k], around)
            change = change + parts[k + 1] * answer.astype(f32)
        v = u + change
        c = (np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])).astype(f32)
        rgb = np.stack([(v[0] * c[0, n] + v[1] * c[1, n]) + v[2] * c[2, n] for n in range(3)], 2)
        return np.rint((rgb + f32(0.5)) * f32(255)).clip(0, 255).astype(np.uint8)


def synthesise(model: Model, latent: Integers, width: int, height: int, level: int) -> NDArray[np.uint8]:
    """Pixels (height, width, 3)."""
    return Synthesis(model, level).picture(latent)[:height, :width]
