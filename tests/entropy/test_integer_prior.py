"""The integer prior against plain 64-bit integers: float32 products must not lose a single unit."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.entropy.engines import ISAS, NATIVE, engine, isa
from vqcodec.entropy.coding_order import PASSES, PHASES, cut_slices
from vqcodec.entropy.integer_prior import INPUT_MAX, LATENT_MAX, SUM_LIMIT, IntegerConv, IntegerPrior
from vqcodec.entropy.native_prior import NativePrior
from vqcodec.errors import ModelNotFound

SEEDS = st.integers(0, 2**32 - 1)
KNOTS = 9


def conv_reference(arrays, name, x, level):
    """Convolution, bias and requantisation pixel by pixel in int64: x (h, w, I) -> (h, w, O)."""
    weight = arrays[f"{name}.weight"].astype(np.int64)
    bias = arrays[f"{name}.bias"].astype(np.int64)
    multiplier = arrays[f"{name}.multiplier"].astype(np.int64)
    shift = arrays[f"{name}.shift"].astype(np.int64)
    if len(bias) > 1:
        low, part = divmod(level, 8)
        high = min(low + 1, KNOTS - 1)
        offset = (bias[low] * (8 - part) + bias[high] * part + 4) // 8
    else:
        offset = bias[0]
    reach = weight.shape[2] // 2
    height, width, _ = x.shape
    out = np.zeros((height, width, weight.shape[0]), dtype=np.int64)
    for row, column in np.ndindex(height, width):
        total = offset.copy()
        for i, j in np.ndindex(weight.shape[2:]):
            y, z = row + i - reach, column + j - reach
            if 0 <= y < height and 0 <= z < width:
                total += weight[:, :, i, j] @ x[y, z].astype(np.int64)
        out[row, column] = (total * multiplier + 2 ** (shift - 1)) // 2**shift
    return out


def extreme_layer(random, outputs, inputs, kernel, levels):
    """Weights of the largest magnitude that the bound on sums allows, and biases that fill it up exactly."""
    taps = inputs * kernel * kernel
    weight = np.zeros((outputs, taps), dtype=np.int64)
    for row in weight:
        used = random.permutation(taps)[: (SUM_LIMIT - 1) // (INPUT_MAX * 127)]
        row[used] = random.choice([-127, 127, random.integers(1, 128)], size=len(used))
        row[used] *= random.choice([-1, 1], size=len(used)) if random.random() < 0.5 else 1
    room = SUM_LIMIT - 1 - np.abs(weight).sum(1) * INPUT_MAX
    bias = np.stack(
        [np.where(random.random(outputs) < 0.5, room, -room) for _ in range(KNOTS if levels else 1)]
    )
    return {
        "weight": weight.reshape(outputs, inputs, kernel, kernel).astype(np.int8),
        "bias": bias.astype(np.int32),
        "multiplier": np.full(outputs, 2, dtype=np.int32),
        "shift": np.ones(outputs, dtype=np.uint8),
    }


def named(name, layer):
    return {f"{name}.{key}": array for key, array in layer.items()}


def extreme_input(random, shape, low=0):
    """Mostly the largest magnitudes, some anything."""
    x = random.integers(low, INPUT_MAX + 1, shape)
    return np.where(random.random(shape) < 0.7, np.where(x < 0, -INPUT_MAX, INPUT_MAX), x)


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    inputs=st.integers(1, 600),
    kernel=st.sampled_from([1, 3]),
    level=st.integers(0, 64),
    levels=st.booleans(),
    signed=st.booleans(),
)
def test_sums_at_the_bound_are_exact(seed, inputs, kernel, level, levels, signed):
    random = np.random.default_rng(seed)
    arrays = named("layer", extreme_layer(random, 5, inputs, kernel, levels))
    x = extreme_input(random, (2, 3, inputs), -INPUT_MAX if signed else 0)
    layer = IntegerConv.from_arrays(arrays, "layer")
    # multiplier 2 and shift 1 hand the sum through: (2 * sum + 1) >> 1.
    out = layer(x.astype(np.float32), level)
    assert out.dtype == np.int64
    assert np.array_equal(out, conv_reference(arrays, "layer", x, level))


def test_the_bound_is_reached():
    """518 weights of 127, inputs of 255 and the bias give 2**24 - 1, and floats still hold it."""
    arrays = named(
        "layer",
        {
            "weight": np.full((1, 518, 1, 1), 127, dtype=np.int8),
            "bias": np.array([[SUM_LIMIT - 1 - 518 * 127 * 255]], dtype=np.int32),
            "multiplier": np.array([2], dtype=np.int32),
            "shift": np.array([1], dtype=np.uint8),
        },
    )
    x = np.full((1, 1, 518), 255, dtype=np.float32)
    assert IntegerConv.from_arrays(arrays, "layer")(x, 0).item() == SUM_LIMIT - 1
    arrays["layer.bias"] = arrays["layer.bias"] + 1
    with pytest.raises(ModelNotFound, match="layer breaks the bounds"):
        IntegerConv.from_arrays(arrays, "layer")


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_requantisation_rounds_half_up(seed):
    random = np.random.default_rng(seed)
    layer = extreme_layer(random, 6, 40, 1, levels=False)
    layer["multiplier"] = random.integers(-(2**15), 2**15 + 1, 6).astype(np.int32)
    layer["shift"] = random.integers(1, 63, 6).astype(np.uint8)
    arrays = named("layer", layer)
    x = extreme_input(random, (3, 2, 40))
    out = IntegerConv.from_arrays(arrays, "layer")(x.astype(np.float32), 0)
    assert np.array_equal(out, conv_reference(arrays, "layer", x, 0))


def test_some_outputs_are_computed_as_all_are():
    """The product that a caller brought included."""
    random = np.random.default_rng(8)
    arrays = named("layer", extreme_layer(random, 5, 3, 3, True))
    called = []

    def product(a, b):
        called.append(b.shape)
        return np.matmul(a, b)

    layer = IntegerConv.from_arrays(arrays, "layer", product)
    x, rows = extreme_input(random, (4, 3, 3)).astype(np.float32), np.array([3, 0])
    whole, some = layer(x, 13), layer.only(rows)(x, 13)
    assert np.array_equal(some, whole[..., rows])
    assert called == [(27, 5), (27, 2)]


def test_the_bias_is_linear_between_its_knots_and_rounds_half_up():
    layer = extreme_layer(np.random.default_rng(0), 2, 3, 1, levels=True)
    layer["bias"] = np.arange(KNOTS, dtype=np.int32)[:, None] * np.array([4, -4], np.int32)
    conv = IntegerConv.from_arrays(named("layer", layer), "layer")
    found = [conv.level_bias(level).tolist() for level in range(65)]
    assert found == [[(level + 1) // 2, -(level // 2)] for level in range(65)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weight", np.full((2, 519, 1, 1), 127, dtype=np.int8)),
        ("weight", np.full((2, 519, 1, 1), -128, dtype=np.int8)),
        ("bias", np.array([[0, 2**24]], dtype=np.int32)),
        ("bias", np.array([[0, -(2**24)]], dtype=np.int32)),
        ("shift", np.array([1, 0], dtype=np.uint8)),
        ("shift", np.array([63, 1], dtype=np.uint8)),
    ],
)
def test_layers_beyond_the_bounds_are_refused(key, value):
    layer = extreme_layer(np.random.default_rng(0), 2, 519, 1, levels=False)
    IntegerConv.from_arrays(named("prior.x", layer), "prior.x")
    layer[key] = value
    with pytest.raises(ModelNotFound, match=r"prior\.x breaks the bounds"):
        IntegerConv.from_arrays(named("prior.x", layer), "prior.x")


# -- the whole prior ---------------------------------------------------------------------------
Z, FEATURES, WIDTH, CHANNELS, SEEN, FIRST_SEEN, GROUPS, LEVELS = 3, 4, 6, 5, 3, 2, 3, (4, 3)
LINEAR = 4
SLICES = cut_slices([(2, 1), (1, 1), (2, 1)], (1, 2))
LOOK = 8
COMPANDED = np.round(16 * np.arcsinh(np.arange(LATENT_MAX + 1) / 128)).astype(np.int64)
COMPAND = np.searchsorted(COMPANDED, np.arange(1, 123)).astype(np.int32)


def random_prior(random):
    """Arrays of a small prior whose outputs spread over their ranges; layers with and without knots."""

    def layer(outputs, inputs, kernel, levels, target):
        taps = inputs * kernel * kernel
        ratio = target / (64 * 60 * taps**0.5)
        shift = 14 - np.floor(np.log2(ratio)).astype(np.int64)
        return {
            "weight": random.integers(-127, 128, (outputs, inputs, kernel, kernel)).astype(np.int8),
            "bias": random.integers(-20_000, 20_000, (KNOTS if levels else 1, outputs)).astype(np.int32),
            "multiplier": np.full(outputs, round(ratio * 2.0**shift), dtype=np.int32),
            "shift": np.full(outputs, shift, dtype=np.uint8),
        }

    outputs = CHANNELS + GROUPS * len(LEVELS)
    arrays = named("prior.hyper1", layer(2 * FEATURES, Z, 3, True, 120))
    arrays |= named("prior.hyper2", layer(4 * FEATURES, 2 * FEATURES, 1, True, 120))
    arrays |= named("prior.hyper3", layer(FEATURES, FEATURES, 3, True, 120))
    for p, place in enumerate(PASSES):
        seen = SEEN if place.layer else FIRST_SEEN
        arrays |= named(f"prior.enter.{p}", layer(WIDTH, place.maps * seen + FEATURES, 3, True, 120))
        arrays |= named(f"prior.middle.{p}", layer(WIDTH, WIDTH, 1, bool(p % 2), 120))
        if place.maps:
            weight = random.integers(-60, 60, (LINEAR, place.maps, 3, 3))
            arrays[f"prior.linear.{p - 1}"] = weight.astype(np.int16)
    for phase in range(4):
        last = layer(outputs, WIDTH, 1, True, 400)
        last["multiplier"][CHANNELS:] //= 100
        arrays |= named(f"prior.leave.{phase}", last)
    for number in range(4 * (len(SLICES) - 1)):
        known = SLICES[1 + number // 4].channels.start
        arrays |= named(f"prior.look.{number}", layer(LOOK, known + WIDTH, 1, True, 120))
        arrays |= named(f"prior.tell.{number}", layer(WIDTH, LOOK, 1, bool(number % 2), 60))
    return arrays | {"prior.compand": COMPAND}


def relu(x):
    return np.minimum(np.maximum(x, 0), 255)


def hyper_reference(arrays, z, level):
    h = relu(conv_reference(arrays, "prior.hyper1", z, level))
    h = relu(conv_reference(arrays, "prior.hyper2", h, level))
    rows, columns, channels = h.shape
    wide = np.zeros((2 * rows, 2 * columns, channels // 4), dtype=np.int64)
    for row, column, c in np.ndindex(2 * rows, 2 * columns, channels // 4):
        wide[row, column, c] = h[row // 2, column // 2, 4 * c + 2 * (row % 2) + column % 2]
    return relu(conv_reference(arrays, "prior.hyper3", wide, level))


def compand_reference(y):
    compand = np.minimum(COMPANDED[abs(y)], 127)
    return np.where(y < 0, -compand, compand)


def predict_reference(arrays, p, place, features, maps, residual, level):
    """Mean and classes of every slice, one by one, where the pass decodes residuals (h, w, M)."""
    channels = SEEN if place.layer else FIRST_SEEN
    seen = [compand_reference(y)[:, :, :channels] for y in maps]
    h = relu(conv_reference(arrays, f"prior.enter.{p}", np.concatenate([*seen, features], 2), level))
    h = relu(conv_reference(arrays, f"prior.middle.{p}", h, level))
    rows, columns, _ = h.shape
    linear = np.zeros((rows, columns, CHANNELS), dtype=np.int64)
    for row, column, c in np.ndindex(rows, columns, LINEAR if maps else 0):
        total = 64
        for q, i, j in np.ndindex(len(maps), 3, 3):
            y, x = row + i - 1, column + j - 1
            if 0 <= y < rows and 0 <= x < columns:
                total += int(maps[q][y, x, c]) * int(arrays[f"prior.linear.{p - 1}"][c, q, i, j])
        linear[row, column, c] = total // 128
    if place.stride == 4:
        h, linear = (x[place.row // 2 :: 2, place.column // 2 :: 2] for x in (h, linear))
    for n, piece in enumerate(SLICES):
        if n:
            number = 4 * (n - 1) + place.phase
            known = compand_reference(residual[:, :, : piece.channels.start])
            told = conv_reference(arrays, f"prior.look.{number}", np.concatenate([known, h], 2), level)
            h = relu(conv_reference(arrays, f"prior.tell.{number}", relu(told), level) + h)
        out = conv_reference(arrays, f"prior.leave.{place.phase}", h, level)
        mean = (out[:, :, :CHANNELS] + linear)[:, :, piece.channels]
        first = np.clip(out[:, :, CHANNELS : CHANNELS + GROUPS], 0, LEVELS[0] - 1)
        second = np.clip(out[:, :, CHANNELS + GROUPS :], 0, LEVELS[1] - 1)
        yield mean, (first * LEVELS[1] + second)[:, :, piece.groups]


PRIORS = ["numpy", *ISAS]


@contextmanager
def prior_of(kind, arrays, slices=SLICES):
    """The prior in numpy, or in C with some instructions."""
    if kind == "numpy":
        yield IntegerPrior(arrays, slices, LEVELS)
    else:
        with isa(kind):
            yield NativePrior(NATIVE, arrays, slices, LEVELS)


@pytest.mark.parametrize("kind", PRIORS)
@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    rows=st.integers(1, 2),
    columns=st.integers(1, 2),
    level=st.integers(0, 64),
    large=st.booleans(),
)
def test_the_whole_prior_is_plain_integer_arithmetic(kind, seed, rows, columns, level, large):
    with prior_of(kind, random_prior(np.random.default_rng(seed))) as prior:
        hold_against_plain_integers(prior, seed, rows, columns, level, large)


def hold_against_plain_integers(prior, seed, rows, columns, level, large):
    random = np.random.default_rng(seed)
    arrays = random_prior(random)
    z = random.integers(-127, 128, (rows, columns, Z))
    features = prior.hyper(z, level)
    assert np.array_equal(features, hyper_reference(arrays, z, level))
    reach = LATENT_MAX if large else 400
    latent = np.zeros((4 * rows, 4 * columns, CHANNELS), dtype=np.int64)
    phases = [latent[i::2, j::2] for i, j in PHASES]
    for p, place in enumerate(PASSES):
        maps = phases[: place.maps]
        residual = random.integers(-reach, reach + 1, latent[place.places].shape)
        wanted = predict_reference(arrays, p, place, features.astype(np.int64), maps, residual, level)
        state = prior.open(p, features, maps, level)
        for n, (mean_wanted, classes_wanted) in enumerate(wanted):
            mean, classes = prior.predict(n, state, level)
            assert np.array_equal(mean, mean_wanted)
            assert np.array_equal(classes, classes_wanted)
            assert classes.min() >= 0
            assert classes.max() < LEVELS[0] * LEVELS[1]
            prior.learn(state, residual[:, :, SLICES[n].channels])
        latent[place.places] = random.integers(-reach, reach + 1, residual.shape)


def test_the_random_prior_is_worth_testing():
    """Its features and classes are neither all clamped nor all alike."""
    random = np.random.default_rng(0)
    prior = IntegerPrior(random_prior(random), SLICES, LEVELS)
    features = prior.hyper(random.integers(-127, 128, (8, 8, Z)), 20)
    assert ((features > 0) & (features < 255)).mean() > 0.2
    state = prior.open(0, features, [], 20)
    # Doubles would be as exact, and twice the memory.
    assert features.dtype == state.hidden.dtype == np.float32
    used = set()
    for n, piece in enumerate(SLICES):
        mean, classes = prior.predict(n, state, 20)
        assert len(np.unique(mean)) > 50
        used |= set(classes.ravel().tolist())
        assert ((state.hidden > 0) & (state.hidden < 255)).mean() > 0.2
        count = piece.channels.stop - piece.channels.start
        prior.learn(state, random.integers(-400, 401, (*mean.shape[:2], count)))
    assert len(used) >= 4


def wide_prior(random, width, features, slices):
    """A prior with weights of the largest size and any number of channels, so that vectors end within."""
    channels, groups = slices[-1].channels.stop, slices[-1].groups.stop

    def layer(outputs, inputs, kernel, levels):
        whole = extreme_layer(random, outputs, inputs, kernel, levels)
        whole["multiplier"] = random.integers(-(2**31), 2**31, outputs).astype(np.int32)
        whole["shift"] = random.integers(25, 63, outputs).astype(np.uint8)
        return whole

    arrays = named("prior.hyper1", layer(width + 1, Z, 3, True))
    arrays |= named("prior.hyper2", layer(4 * features, width + 1, 1, False))
    arrays |= named("prior.hyper3", layer(features, features, 3, True))
    for p, place in enumerate(PASSES):
        arrays |= named(f"prior.enter.{p}", layer(width, place.maps * 3 + features, 3, True))
        arrays |= named(f"prior.middle.{p}", layer(width, width, 1, False))
        if place.maps:
            extremes = random.choice([-(2**15), 2**15 - 1, 1], (4, place.maps, 3, 3))
            arrays[f"prior.linear.{p - 1}"] = extremes.astype(np.int16)
    for phase in range(len(PHASES)):
        arrays |= named(f"prior.leave.{phase}", layer(channels + 2 * groups, width, 1, True))
    for n in range(len(PHASES) * (len(slices) - 1)):
        known = slices[1 + n // len(PHASES)].channels.start
        arrays |= named(f"prior.look.{n}", layer(width - 1, known + width, 1, True))
        arrays |= named(f"prior.tell.{n}", layer(width, width - 1, 1, False))
    return arrays | {"prior.compand": 1 + np.arange(127, dtype=np.int32) * 50}


@pytest.mark.parametrize("kind", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@settings(max_examples=8, deadline=None)
@given(
    seed=SEEDS,
    width=st.integers(2, 90),
    features=st.integers(1, 70),
    rows=st.integers(1, 4),
    columns=st.integers(1, 30),
    level=st.integers(0, 64),
)
def test_engines_agree_on_extremes_of_any_size(kind, threads, seed, width, features, rows, columns, level):
    random = np.random.default_rng(seed)
    slices = cut_slices([(4, 2), (17, 17), (60, 30)], (1, 2))
    arrays = wide_prior(random, width, features, slices)
    z = random.choice([-128, 127, 0, 5], (rows, columns, Z))
    shape = (4 * rows, 4 * columns, slices[-1].channels.stop)
    latent = random.choice([-LATENT_MAX, LATENT_MAX, 0, 300, -7], shape)
    known = random.choice([-LATENT_MAX, LATENT_MAX, 0, 300, -7], shape)
    found = []
    for prior_kind in ("numpy", kind):
        with engine("torch", threads), prior_of(prior_kind, arrays, slices) as prior:
            features_found = prior.hyper(z, level)
            results = [features_found]
            for p, place in enumerate(PASSES):
                phases = [latent.astype(np.int32)[i::2, j::2] for i, j in PHASES]
                state = prior.open(p, features_found, phases[: place.maps], level)
                for n, piece in enumerate(slices):
                    results += [*prior.predict(n, state, level), state.hidden.copy()]
                    prior.learn(state, known[place.places][:, :, piece.channels])
            found.append(results)
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, rows=st.integers(1, 9), columns=st.integers(1, 30), known=st.booleans())
def test_a_slice_is_settled_when_the_next_is_predicted(kind, threads, seed, rows, columns, known):
    """Latents, and what later slices make of them, are those of `learn` and of a plain sum."""
    random = np.random.default_rng(seed)
    reach = [-(2**31), 2**31 - 1, -LATENT_MAX, LATENT_MAX, 300, -7, 0]
    words = []
    for piece in SLICES:
        groups = piece.groups.stop - piece.groups.start
        words.append(random.choice(reach[2:], (groups, 5, piece.width // groups)).astype(np.int32))
    features = random.integers(0, 256, (rows, columns, FEATURES)).astype(np.uint8)
    with engine("torch", threads), prior_of(kind, random_prior(random)) as prior:
        learnt, settled = (prior.open(0, features, [], 9) for _ in range(2))
        whole = np.zeros((2 * rows, 2 * columns, CHANNELS), np.int32)
        for n, (piece, own) in enumerate(zip(SLICES, words, strict=True)):
            for a, b in zip(prior.predict(n, learnt, 9), prior.predict(n, settled, 9), strict=True):
                assert np.array_equal(a, b)
            shape = learnt.hidden.shape[:2]
            mean = random.choice(reach, (*shape, piece.width)).astype(np.int32)
            index = random.integers(0, 5, (*shape, len(own))).astype(np.int32)
            found = own[np.arange(len(own)), index].transpose(0, 1, 3, 2).reshape(mean.shape)
            found = found if known else np.zeros_like(found)
            prior.learn(learnt, found)
            latent = whole[: 2 * shape[0] : 2, : 2 * shape[1] : 2, piece.channels]
            prior.settle(settled, (own,) * known, (index,) * known, mean, latent)
            if n == len(SLICES) - 1:
                assert np.array_equal(latent, np.clip(mean.astype(np.int64) + found, -LATENT_MAX, LATENT_MAX))
            elif n == 0:
                first = latent, np.clip(mean.astype(np.int64) + found, -LATENT_MAX, LATENT_MAX)
            else:
                assert np.array_equal(*first)
        bad = (words[0],), (np.full((*shape, len(words[0])), 5, np.int32),)
        state = prior.open(0, features, [], 9)
        mean, _ = prior.predict(0, state, 9)
        prior.settle(state, *bad, mean, np.zeros_like(mean))
        with pytest.raises(IndexError):
            prior.predict(1, state, 9)


@pytest.mark.parametrize("kind", PRIORS)
def test_no_prior_takes_layers_beyond_the_bounds(kind):
    arrays = random_prior(np.random.default_rng(0))
    arrays["prior.middle.2.bias"] = np.full((1, WIDTH), 2**24, dtype=np.int32)
    with pytest.raises(ModelNotFound, match=r"prior\.middle\.2"), prior_of(kind, arrays):
        pass
    arrays = random_prior(np.random.default_rng(0))
    arrays["prior.look.5.weight"] = arrays["prior.look.5.weight"][:, 1:]
    with (
        pytest.raises(ValueError, match=r"^the slices do not fit the layers that look at them$"),
        prior_of(kind, arrays),
    ):
        pass
    arrays = random_prior(np.random.default_rng(0))
    arrays["prior.compand"] = np.arange(128, dtype=np.int32)
    with pytest.raises(ValueError, match=r"^companded latents are too large$"), prior_of(kind, arrays):
        pass
