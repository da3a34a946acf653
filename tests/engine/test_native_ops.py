"""The C operations against plain numpy, bit for bit, for every instruction set that this machine has."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engine import plain_ops as plain

kernels = pytest.importorskip("vqcodec.native._kernels", reason="the C part was not built")

from vqcodec.engine.native_ops import NativeOps  # noqa: E402

Array = NDArray[Any]
F = np.float32
ISAS = ["portable", "neon", "avx2", "avxvnni", "avx512vnni", "amx"]
SIDES = [(1, 1), (1, 7), (5, 3), (2, 4), (9, 13), (3, 8), (2, 33), (17, 100)]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = kernels.isa()
    if kernels.choose_isa(request.param) != request.param:
        kernels.choose_isa(before)
        pytest.skip("not on this machine")
    yield request.param
    kernels.choose_isa(before)


@pytest.fixture(params=[1, 2])
def ops(request: pytest.FixtureRequest, isa: str) -> NativeOps:
    return NativeOps(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def same(a: Array, b: Array) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)


def vectors(rng: np.random.Generator, count: int, size: float) -> tuple[Array, Array]:
    scale = rng.uniform(-size, size, count).astype(F)
    return scale, rng.uniform(-50, 300, count).astype(F)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 17), (6, 32), (16, 50), (35, 130), (64, 48)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions_of_bytes(
    ops: NativeOps, rng: np.random.Generator, inputs: int, outputs: int, kernel: int
) -> None:
    weight = rng.integers(-64, 65, (outputs, kernel, kernel, inputs)).astype(np.int8)
    scale, bias = vectors(rng, outputs, 0.03)
    for zero in (0, 128):
        layer = ops.pack8(weight, zero)
        for h, w in SIDES:
            x = rng.integers(0, 256, (h, w, inputs)).astype(np.uint8)
            value = plain.affine(plain.sums(x, weight, zero), scale, bias)
            same(ops.conv8(x, layer, scale, bias), value)
            same(ops.conv8_relu(x, layer, scale, bias), plain.rounded(value, 0, 255, np.uint8))
            stream = rng.normal(0, 100, value.shape).astype(F)
            expected = stream + value
            ops.conv8_add(x, layer, scale, bias, stream)
            same(stream, expected)


@pytest.mark.parametrize(("n", "channels"), [(2, 7), (2, 64), (8, 3), (16, 1)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_outputs_of_several_pixels_go_to_their_places(
    ops: NativeOps, rng: np.random.Generator, n: int, channels: int, kernel: int
) -> None:
    outputs = n * n * channels
    weight = rng.integers(-64, 65, (outputs, kernel, kernel, 6))
    scale, bias = vectors(rng, outputs, 0.03)
    eight, sixteen = ops.pack8(weight.astype(np.int8), 128), ops.pack16(weight.astype(np.int16))
    for h, w in SIDES:
        x = rng.integers(0, 256, (h, w, 6)).astype(np.uint8)
        stream = rng.normal(0, 100, (n * h, n * w, channels)).astype(F)
        expected = stream + ops.shuffle(ops.conv8(x, eight, scale, bias), n)
        ops.conv8_add(x, eight, scale, bias, stream, n)
        same(stream, expected)
        wide = x.astype(np.int16)
        same(
            ops.conv16(wide, sixteen, scale, bias, n), ops.shuffle(ops.conv16(wide, sixteen, scale, bias), n)
        )


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 17), (24, 32), (33, 130)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions_of_words(
    ops: NativeOps, rng: np.random.Generator, inputs: int, outputs: int, kernel: int
) -> None:
    weight = rng.integers(-32767, 32768, (outputs, kernel, kernel, inputs)).astype(np.int16)
    scale, bias = vectors(rng, outputs, 1e-7)
    layer = ops.pack16(weight)
    for h, w in SIDES:
        x = rng.integers(-32767, 32768, (h, w, inputs)).astype(np.int16)
        value = plain.affine(plain.sums(x, weight), scale, bias)
        same(ops.conv16(x, layer, scale, bias), value)
        same(ops.conv16_relu(x, layer, scale, bias), plain.rounded(value, 0, 255, np.uint8))
        add = rng.normal(0, 100, value.shape).astype(F)
        same(ops.conv16_relu(x, layer, scale, bias, add), plain.rounded(value + add, 0, 255, np.uint8))
        expected = add + value
        ops.conv16_add(x, layer, scale, bias, add)
        same(add, expected)


@pytest.mark.parametrize("sign", [-1, 1])
def test_extremes_neither_saturate_nor_go_missing(ops: NativeOps, sign: int) -> None:
    one, none = np.ones(20, F), np.zeros(20, F)
    weight = np.full((20, 3, 3, 100), 64 * sign, np.int8)
    x = np.full((6, 15, 100), 255, np.uint8)
    same(ops.conv8(x, ops.pack8(weight, 0), one, none), plain.sums(x, weight).astype(F))
    same(ops.conv8(x, ops.pack8(weight, 128), one, none), plain.sums(x, weight, 128).astype(F))
    words = np.full((20, 3, 3, 100), 32767 * sign, np.int16)
    wide = np.full((6, 15, 100), 32767, np.int16)
    wrapped = plain.sums(wide, words)
    assert abs(wrapped.astype(np.int64)).max() < 900 * 32767**2
    same(ops.conv16(wide, ops.pack16(words), one, none), wrapped.astype(F))


@pytest.mark.parametrize("channels", [1, 3, 48, 77])
def test_quantisation_rounds_half_to_even_and_clamps(
    ops: NativeOps, rng: np.random.Generator, channels: int
) -> None:
    inverse = (2.0 ** rng.integers(-2, 3, channels)).astype(F)
    for h, w in SIDES:
        x = (rng.integers(-400, 400, (h, w, channels)) / 8).astype(F)
        same(
            ops.quantise8(x, inverse),
            (plain.rounded(x * inverse, -128, 127, np.int16) + 128).astype(np.uint8),
        )
        same(ops.quantise16(x, inverse), plain.rounded(x * inverse, -32767, 32767, np.int16))
    edges = np.array([-1e30, -32767.5, -129, -128.5, -0.5, 0.5, 1.5, 127.5, 128, 32767.5, 1e30], F)
    x = np.repeat(edges[None, :, None], channels, 2)
    one = np.ones(channels, F)
    same(ops.quantise8(x, one), (plain.rounded(x, -128, 127, np.int16) + 128).astype(np.uint8))
    same(ops.quantise16(x, one), plain.rounded(x, -32767, 32767, np.int16))


@pytest.mark.parametrize(("channels", "hidden"), [(8, 16), (5, 7), (48, 32)])
def test_block_is_its_three_parts(
    ops: NativeOps, rng: np.random.Generator, channels: int, hidden: int
) -> None:
    first = rng.integers(-64, 65, (hidden, 3, 3, channels)).astype(np.int8)
    second = rng.integers(-64, 65, (channels, 3, 3, hidden)).astype(np.int8)
    s1, b1 = vectors(rng, hidden, 0.01)
    s2, b2 = vectors(rng, channels, 0.01)
    inverse = rng.uniform(0.5, 2, channels).astype(F)
    layers = ops.pack8(first, 128), ops.pack8(second, 0)
    for h, w in SIDES:
        stream = rng.normal(0, 60, (h, w, channels)).astype(F)
        x = plain.rounded(stream * inverse, -128, 127, np.int16) + 128
        r = plain.rounded(plain.affine(plain.sums(x, first, 128), s1, b1), 0, 255, np.uint8)
        expected = stream + plain.affine(plain.sums(r, second), s2, b2)
        ops.block(stream, inverse, layers[0], s1, b1, layers[1], s2, b2)
        same(stream, expected)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("n", [1, 2, 8])
def test_shuffling_and_back(ops: NativeOps, rng: np.random.Generator, kind: Any, n: int) -> None:
    x = rng.integers(0, 256, (5, 3, n * n * 7)).astype(kind)
    y = ops.shuffle(x, n)
    assert y.shape == (5 * n, 3 * n, 7)
    for i, j in np.ndindex(n, n):
        same(y[i::n, j::n], x[:, :, (i * n + j) * 7 : (i * n + j + 1) * 7])
    same(ops.unshuffle(y, n), x)


@pytest.mark.parametrize(("h", "w", "channels"), [(16, 16, 3), (16, 48, 3), (64, 32, 3), (32, 32, 1)])
def test_lapping(ops: NativeOps, rng: np.random.Generator, h: int, w: int, channels: int) -> None:
    x, matrix = rng.normal(size=(h, w, channels)).astype(F), rng.normal(size=(16, 16)).astype(F)
    expected = plain.lap(x, matrix)
    same(ops.lap(x, matrix), expected)


@pytest.mark.parametrize(("h", "w", "count"), [(2, 2, 1), (2, 10, 6), (8, 2, 4), (34, 26, 5)])
def test_restoration(ops: NativeOps, rng: np.random.Generator, h: int, w: int, count: int) -> None:
    u = rng.normal(0, 0.3, (h, w, 3)).astype(F)
    u[0, 0], u[-1, -1] = 5, -5
    seen = ops.cells(u)
    same(seen, plain.cells(u))
    f = rng.normal(0, 1e-9, (h // 2, w // 2, 12 + 12 * count)).astype(F)
    f[:, :, :12] *= 1e8
    filters = rng.integers(-2600, 2601, (3, count, 5, 5)).astype(np.int16)
    colour = rng.normal(size=(3, 3)).astype(F)
    same(ops.mend(u, seen, f, filters, colour), plain.mend(u, seen, f, filters, colour))


@pytest.mark.parametrize(("h", "w", "count", "features"), [(8, 8, 1, 16), (40, 24, 6, 32), (72, 16, 3, 16)])
def test_restoring_at_once_is_restoring_step_by_step(
    ops: NativeOps, rng: np.random.Generator, h: int, w: int, count: int, features: int
) -> None:
    def layer(outputs: int, kernel: int, inputs: int, zero: int, size: float) -> tuple[Any, Array, Array]:
        weight = rng.integers(-64, 65, (outputs, kernel, kernel, inputs)).astype(np.int8)
        scale = rng.uniform(-size, size, outputs).astype(F)
        return ops.pack8(weight, zero), scale, rng.uniform(0, 9, outputs).astype(F)

    u, guide = (
        rng.normal(0, 0.3, (h, w, 3)).astype(F),
        rng.integers(0, 256, (h // 8, w // 8, 20)).astype(np.uint8),
    )
    words = rng.integers(-900, 901, (features, 3, 3, 24)).astype(np.int16)
    lead, mix = layer(16 * features, 1, 20, 128, 0.01), layer(features, 3, features, 0, 0.01)
    sense = (
        ops.pack16(words),
        rng.uniform(-1e-6, 1e-6, features).astype(F),
        rng.uniform(0, 99, features).astype(F),
    )
    filtering = layer(12 + 12 * count, 1, features, 0, 1e-5)
    for values in filtering[1:]:
        values[:12] *= F(0.05)
        values[12:] *= F(1e-6)
    filters = rng.integers(-2600, 2601, (3, count, 5, 5)).astype(np.int16)
    colour = rng.normal(size=(3, 3)).astype(F)

    cells = ops.cells(u)
    hidden = ops.conv8_relu(ops.conv16_relu(cells, *sense, ops.shuffle(ops.conv8(guide, *lead), 4)), *mix)
    assert 0 < hidden.mean() < 255
    expected = ops.mend(u, cells, ops.conv8(hidden, *filtering), filters, colour)
    assert 0 < expected.mean() < 255
    whole = ops.restore(u, guide, lead, sense, mix, filtering, filters, colour)
    assert whole is not None
    same(whole, expected)


def test_wrong_arguments_are_refused(rng: np.random.Generator) -> None:
    ops = NativeOps()
    weight = rng.integers(-64, 65, (8, 3, 3, 4)).astype(np.int8)
    layer, vector = ops.pack8(weight, 0), np.zeros(8, F)
    x = np.zeros((4, 5, 4), np.uint8)
    ops.conv8(x, layer, vector, vector)
    wrong: list[Any] = [
        lambda: ops.conv8(x.astype(np.int16), layer, vector, vector),
        lambda: ops.conv8(x[:, :, :3], layer, vector, vector),
        lambda: ops.conv8(x[:0], layer, vector, vector),
        lambda: ops.conv8(x[0], layer, vector, vector),
        lambda: ops.conv8(x, layer, vector[:7], vector),
        lambda: ops.conv8(x, layer, vector, vector.astype(np.float64)),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((4, 5, 7), F)),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((4, 10, 8), F)[:, ::2]),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((8, 10, 3), F), 2),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((8, 10, 2), F), 1),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((12, 15, 1), F), 3),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((4, 5, 8), F), 0),
        lambda: ops.conv8_add(x, layer, vector, vector, np.zeros((4, 5, 8), F), -1),
        lambda: ops.block(
            np.zeros((4, 5, 4), F), np.zeros(4, F), layer, vector, vector, layer, vector, vector
        ),
        lambda: ops.quantise8(np.zeros((4, 5, 4), F), vector),
        lambda: ops.lap(np.zeros((24, 16, 3), F), np.zeros((16, 16), F)),
        lambda: ops.cells(np.zeros((3, 4, 3), F)),
        lambda: ops.shuffle(x, 3),
        lambda: ops.pack8(np.full((1, 1, 1, 1), 65, np.int8), 0),
        lambda: ops.pack8(np.full((1, 3, 3, 200), 64, np.int8), 0),
        lambda: ops.pack8(weight, 7),
        lambda: ops.pack8(weight[:, :2], 0),
        lambda: ops.pack16(weight),  # type: ignore[arg-type]
        lambda: NativeOps(0),
        lambda: kernels.convolve(x, layer, vector, vector, None, np.zeros((4, 5, 8), np.int32), 1, 1),
        lambda: kernels.convolve(x, layer, vector, vector, None, np.zeros((4, 5, 8), F), 1, 0),
        lambda: kernels.convolve(x, layer, vector, vector, None, np.zeros((4, 5, 8), F), 1 << 16, 1),
        lambda: kernels.choose_isa("abacus"),
    ]
    for number, call in enumerate(wrong):
        with pytest.raises(ValueError, match=r"\w"):
            pytest.fail(f"call {number} went through: {call()}")
    with pytest.raises(TypeError):
        ops.conv8(x, "layer", vector, vector)


def test_several_callers_share_the_pool(rng: np.random.Generator) -> None:
    ops = NativeOps(3)
    weight = rng.integers(-64, 65, (32, 3, 3, 16)).astype(np.int8)
    layer, scale, bias = ops.pack8(weight, 0), np.ones(32, F), np.zeros(32, F)
    x = rng.integers(0, 256, (40, 40, 16)).astype(np.uint8)
    expected = ops.conv8(x, layer, scale, bias)
    wrong: list[bool] = []

    def call() -> None:
        for _ in range(50):
            wrong.append(not np.array_equal(ops.conv8(x, layer, scale, bias), expected))  # noqa: PERF401

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 200
    assert not any(wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_computes_too_and_the_environment_chooses(tmp_path: Path) -> None:
    program = """if True:
        import os, numpy as np
        from vqcodec.engine.native_ops import NativeOps
        from vqcodec.native import _kernels
        ops, x = NativeOps(4), np.ones((64, 64, 8), np.uint8)
        one = np.ones(16, np.float32)
        layer = ops.pack8(np.ones((16, 3, 3, 8), np.int8), 0)
        first = ops.conv8(x, layer, one, one)
        if os.fork() == 0:
            os._exit(0 if np.array_equal(ops.conv8(x, layer, one, one), first) else 1)
        print(_kernels.isa(), os.waitstatus_to_exitcode(os.wait()[1]))
    """
    environment = {**os.environ, "VQCODEC_ISA": "portable"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,  # in a checkout its package, without the engine, would hide the installed one
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout.split() == ["portable", "0"]
