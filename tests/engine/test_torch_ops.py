"""The operations in torch against their definition in numpy's integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine import plain_ops
from tests.tiny import DEVICES
from vqcodec.engine.levels import between_knots, exp
from vqcodec.engine.operations import Operations
from vqcodec.engine.torch_elementwise import log2
from vqcodec.engine.torch_ops import TorchOps


class Numpy:
    """An engine whose operations take and give arrays, also those that they change."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def operation(*arguments: Any) -> Any:
            if name.startswith("pack"):
                return getattr(self.ops, name)(*arguments)
            given = [self.ops.enter(a) if isinstance(a, np.ndarray) else a for a in arguments]
            result = getattr(self.ops, name)(*given)
            for before, after in zip(arguments, given, strict=True):
                if isinstance(before, np.ndarray):
                    np.copyto(before, self.ops.leave(after))
            return None if result is None else self.ops.leave(result)

        return operation


OPS = Numpy(TorchOps())


@pytest.fixture(params=DEVICES, autouse=True)
def on_each_device(request, monkeypatch):
    monkeypatch.setitem(globals(), "OPS", Numpy(TorchOps(request.param)))


SHAPES = [(1, 1), (1, 5), (6, 1), (7, 9)]


def sums(x: np.ndarray, weight: np.ndarray, zero: int = 0) -> np.ndarray:
    """Exact sums (h, w, O), position by position."""
    reach = weight.shape[1] // 2
    padded = np.pad(x.astype(np.int64) - zero, ((reach, reach), (reach, reach), (0, 0)))
    result = np.zeros((*x.shape[:2], len(weight)), np.int64)
    for i, j in np.ndindex(x.shape[:2]):
        part = padded[i : i + weight.shape[1], j : j + weight.shape[1]]
        result[i, j] = np.tensordot(weight.astype(np.int64), part, 3)
    return result


def wrapped(x: np.ndarray) -> np.ndarray:
    return x.astype(np.uint64).astype(np.uint32).view(np.int32).astype(np.float32)


def vectors(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return (random.normal(0, 0.01, count).astype(np.float32), random.normal(0, 3, count).astype(np.float32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("zero", [0, 128])
def test_convolutions_of_bytes(shape, kernel, zero):
    random = np.random.default_rng(kernel + zero)
    x = random.integers(0, 256, (*shape, 20), dtype=np.uint8)
    weight = random.integers(-64, 65, (6, kernel, kernel, 20), dtype=np.int8)
    layer, (scale, bias) = OPS.pack8(weight, zero), vectors(random, 6)
    real = sums(x, weight, zero).astype(np.float32) * scale + bias
    assert np.array_equal(OPS.conv8(x, layer, scale, bias), real)
    assert np.array_equal(OPS.conv8_relu(x, layer, scale, bias), np.clip(np.rint(real), 0, 255))
    h = random.normal(0, 1, (*shape, 6)).astype(np.float32)
    wanted = h + real
    OPS.conv8_add(x, layer, scale, bias, h)
    assert np.array_equal(h, wanted)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions_of_words_wrap(shape, kernel):
    random = np.random.default_rng(kernel)
    x = random.integers(-32767, 32768, (*shape, 20), dtype=np.int16)
    weight = random.integers(-32767, 32768, (6, kernel, kernel, 20), dtype=np.int16)
    layer, (scale, bias) = OPS.pack16(weight), vectors(random, 6)
    scale = (scale * 1e-7).astype(np.float32)
    exact = sums(x, weight)
    if shape == (7, 9):
        assert np.abs(exact).max() > 2**31
    real = wrapped(exact) * scale + bias
    assert np.array_equal(OPS.conv16(x, layer, scale, bias), real)
    assert np.array_equal(OPS.conv16_relu(x, layer, scale, bias), np.clip(np.rint(real), 0, 255))
    add = random.normal(0, 9, real.shape).astype(np.float32)
    both = OPS.conv16_relu(x, layer, scale, bias, add.copy())
    assert np.array_equal(both, np.clip(np.rint(real + add), 0, 255))
    wanted = add + real
    OPS.conv16_add(x, layer, scale, bias, add)
    assert np.array_equal(add, wanted)


def test_weights_out_of_bounds_are_refused():
    for weight in (np.full((1, 1, 1, 4), 65), np.full((1, 3, 3, 192), 64)):
        with pytest.raises(ValueError, match="exact arithmetic"):
            OPS.pack8(weight.astype(np.int8), 0)


def test_quantising_rounds_half_to_even_and_clips():
    h = np.array([[[0.5, 1.5, -2.5, 1e6, -1e6]]], np.float32)
    one = np.ones(5, np.float32)
    assert OPS.quantise8(h, one).tolist() == [[[128, 130, 126, 255, 0]]]
    assert OPS.quantise16(h, one).tolist() == [[[0, 2, -2, 32767, -32767]]]


def test_a_block_is_its_parts():
    random = np.random.default_rng(6)
    h = random.normal(0, 1, (5, 7, 8)).astype(np.float32)
    weights = [random.integers(-64, 65, (8, 3, 3, 8), dtype=np.int8) for _ in range(2)]
    one, two = OPS.pack8(weights[0], 128), OPS.pack8(weights[1], 0)
    inverse, (s1, b1), (s2, b2) = np.full(8, 40, np.float32), vectors(random, 8), vectors(random, 8)
    x = np.clip(np.rint(h * inverse), -128, 127).astype(np.int64) + 128
    r = np.clip(np.rint(sums(x, weights[0], 128).astype(np.float32) * s1 + b1), 0, 255)
    wanted = h + (sums(r, weights[1]).astype(np.float32) * s2 + b2)
    OPS.block(h, inverse, one, s1, b1, two, s2, b2)
    assert np.array_equal(h, wanted)


def test_shuffles():
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 20)
    large = OPS.shuffle(x, 2)
    assert large.shape == (4, 6, 5)
    for y, i, j in np.ndindex(2, 2, 2):
        assert np.array_equal(large[2 * y + i, j::2], x[y, :, (2 * i + j) * 5 : (2 * i + j) * 5 + 5])
    assert np.array_equal(OPS.unshuffle(large, 2), x)


def test_outputs_of_several_pixels_go_to_their_places():
    random = np.random.default_rng(8)
    x = random.integers(0, 256, (5, 7, 20), dtype=np.uint8)
    weight = random.integers(-64, 65, (12, 3, 3, 20), dtype=np.int8)
    scale, bias = vectors(random, 12)
    shuffled = OPS.shuffle(OPS.conv8(x, OPS.pack8(weight, 128), scale, bias), 2)
    u = random.normal(0, 1, (10, 14, 3)).astype(np.float32)
    wanted = u + shuffled
    OPS.conv8_add(x, OPS.pack8(weight, 128), scale, bias, u, 2)
    assert np.array_equal(u, wanted)
    words, layer = x.astype(np.int16), OPS.pack16(weight.astype(np.int16))
    wanted = OPS.shuffle(OPS.conv16(words, layer, scale, bias), 2)
    assert np.array_equal(OPS.conv16(words, layer, scale, bias, 2), wanted)


def test_lapping_is_the_float_models():
    from vqcodec.model.shortcut import lap, pre_filter  # noqa: PLC0415

    x = np.random.default_rng(7).normal(0, 1, (48, 32, 3)).astype(np.float32)
    matrix = pre_filter().float()
    wanted = lap(torch.from_numpy(x).permute(2, 0, 1)[None], matrix)[0].permute(1, 2, 0).numpy()
    found = OPS.lap(x, matrix.numpy())
    assert np.allclose(found, wanted, atol=1e-5)
    assert np.array_equal(found[:8, :8], x[:8, :8])
    assert not np.array_equal(found, x)


def test_logarithms_and_exponentials():
    v = np.geomspace(1e-3, 3, 1000).astype(np.float32)
    assert np.abs(log2(torch.from_numpy(v)).numpy() - np.log2(v)).max() < 1e-3
    x = np.linspace(-9, 9, 1001)
    assert np.abs(exp(x) / np.exp(x) - 1).max() < 1e-14
    assert exp(np.zeros(1)) == 1


def test_levels_lie_between_knots():
    table = np.arange(9.0)[:, None] ** 2
    assert [between_knots(table, level)[0] for level in (0, 252, 126, 63)] == [0, 64, 16, 4]
    assert between_knots(table, 100)[0] == pytest.approx(9 + (100 / 252 * 8 - 3) * 7)


def test_cells_and_mending():
    random = np.random.default_rng(8)
    u = random.normal(0, 0.3, (6, 8, 3)).astype(np.float32)
    cells = OPS.cells(u)
    pixels = np.clip(np.rint(u * np.float32(8192)), -32767, 32767)
    for c, i, j in np.ndindex(3, 2, 2):
        assert np.array_equal(cells[:, :, 9 + 4 * c + 2 * i + j], pixels[i::2, j::2, c])
    across, down = np.abs(u[1, 3] - u[1, 2]), np.abs(u[2, 2] - u[1, 2])
    assert cells.shape == (3, 4, 24)
    assert not cells[:, :, 21:].any()
    four = [[np.abs(u[y, x + 1] - u[y, x]) if x < 7 else 0 * u[0, 0] for x in (6, 7)] for y in (2, 3)]
    mean = np.mean(four, (0, 1)) + 1 / 512
    assert np.abs(cells[1, 3, :3] - 256 * np.log2(mean) - 1293).max() < 1
    assert (across + down > 0).all()
    # One kernel that takes a sample's right neighbour for itself, with gates wide open.
    kernels = np.zeros((3, 1, 5, 5), np.int16)
    kernels[:, 0, 2, 2], kernels[:, 0, 2, 3] = -1, 1
    f = np.concatenate([np.zeros((3, 4, 12)), np.full((3, 4, 12), 1 / 8192)], 2).astype(np.float32)
    mended = OPS.mend(u, cells, f, kernels, np.eye(3, dtype=np.float32))
    right = np.concatenate([u[:, 1:], u[:, -1:]], 1)
    assert np.abs(mended - np.clip(np.rint((right + 0.5) * 255), 0, 255)).max() <= 1
    f[:, :, 12:], f[:, :, 5] = 0, 0.25  # the second pixel of the second colour of each cell
    plain = OPS.mend(u, cells, f, kernels, np.eye(3, dtype=np.float32)).astype(int)
    moved = u.copy()
    moved[0::2, 1::2, 1] += 0.25
    assert np.array_equal(plain, np.clip(np.rint((moved + np.float32(0.5)) * 255), 0, 255))


@pytest.mark.parametrize("spread", [300, 32767])
def test_sums_of_kernels(spread):
    random = np.random.default_rng(9)
    pixels = random.integers(-spread, spread + 1, (3, 6, 10), dtype=np.int16)
    kernels = random.integers(-2600, 2601, (3, 4, 5, 5), dtype=np.int16)
    padded = np.pad(pixels.astype(np.int64), ((0, 0), (2, 2), (2, 2)), mode="edge")
    wanted = np.zeros((4, 3, 6, 10), np.int64)
    for k, c, i, j in np.ndindex(4, 3, 5, 5):
        wanted[k, c] += padded[c, i : i + 6, j : j + 10] * int(kernels[c, k, i, j])
    assert (np.abs(wanted).max() > 2**24) == (spread == 32767)  # more than float32 adds up exactly
    assert np.array_equal(OPS.filtered(pixels, kernels), wanted.astype(np.float32))


def test_lapping_and_restoration_are_those_written_plainly():
    random = np.random.default_rng(10)
    u, f = (random.normal(0, 0.3, shape).astype(np.float32) for shape in ((32, 48, 3), (16, 24, 12 + 12 * 4)))
    matrix, colour = (random.normal(0, 1, (side, side)).astype(np.float32) for side in (16, 3))
    kernels = random.integers(-2600, 2601, (3, 4, 5, 5), dtype=np.int16)
    f[:, :, 12:] /= 2**26
    lapped = plain_ops.lap(u, matrix)
    assert np.array_equal(OPS.lap(u.copy(), matrix), lapped)
    cells = plain_ops.cells(u).copy()  # the plain result is kept, and this one handed back
    assert np.array_equal(OPS.cells(u), cells)
    pixels = OPS.mend(u, cells, f, kernels, colour)
    assert np.array_equal(pixels, plain_ops.mend(u, cells, f, kernels, colour))
    assert ((pixels > 0) & (pixels < 255)).mean() > 0.2
