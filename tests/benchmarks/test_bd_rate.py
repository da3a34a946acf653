"""BD-rates by hand, and against reference values of published curves."""

import math

import pytest
from hypothesis import given, strategies

from benchmarks.bd_rate import RatePoint, bd_rate, monotone


def curve(rates: list[float], psnrs: list[float]) -> list[RatePoint]:
    return [RatePoint(*pair) for pair in zip(rates, psnrs, strict=True)]


def log_curve(log_rates: list[float], psnrs: list[float]) -> list[RatePoint]:
    return curve([math.exp(r) for r in log_rates], psnrs)


def test_bd_rate_of_a_scaled_curve_is_the_scale() -> None:
    anchor = curve([0.1, 0.25, 0.5, 1.1, 2.0], [25.0, 28.0, 31.0, 36.0, 40.5])
    test = [RatePoint(0.8 * p.bpp, p.value) for p in anchor]
    result = bd_rate(anchor, test)
    assert result.percent == pytest.approx(-20.0)
    assert (result.low, result.high) == (25.0, 40.5)
    assert bd_rate(anchor, anchor).percent == 0.0


def test_bd_rate_over_the_common_range_only() -> None:
    # ln r = 0.1 (p - 30) against 0.2 (p - 30) - 0.1: PCHIP is exact on lines, and over 30..34 dB the mean
    # difference of 0.1 (p - 30) - 0.1 is 0.1.
    anchor = log_curve([-0.2, 0.0, 0.3, 0.4], [28.0, 30.0, 33.0, 34.0])
    test = log_curve([-0.1, 0.3, 0.7, 1.1], [30.0, 32.0, 34.0, 36.0])
    result = bd_rate(anchor, test)
    assert result.percent == pytest.approx(100 * (math.exp(0.1) - 1))
    assert (result.low, result.high) == (30.0, 34.0)


def test_bd_rate_is_the_exact_integral_of_pchip() -> None:
    # Through (0, 0), (1, 1), (2, 4) the PCHIP slopes are 0, 1.5 (harmonic mean of 1 and 3) and 4 (three-point
    # end rule), so the integral is 1/2 - 1.5/12 + 5/2 - 2.5/12 = 8/3; that of the line 2 p is 4. Over two dB
    # the mean difference is 2/3.
    bent = log_curve([0.0, 1.0, 4.0], [0.0, 1.0, 2.0])
    line = log_curve([0.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    assert bd_rate(bent, line).percent == pytest.approx(100 * (math.exp(2 / 3) - 1))


@given(
    strategies.lists(strategies.floats(0.01, 5.0), min_size=3, max_size=9, unique=True),
    strategies.lists(strategies.floats(0.01, 5.0), min_size=3, max_size=9, unique=True),
)
def test_bd_rate_swaps_to_its_inverse(first: list[float], second: list[float]) -> None:
    a = curve(sorted(first), [30.0 + i for i in range(len(first))])
    b = curve(sorted(second), [30.0 + i for i in range(len(second))])
    forth, back = bd_rate(a, b), bd_rate(b, a)
    assert (1 + forth.percent / 100) * (1 + back.percent / 100) == pytest.approx(1.0)
    assert (forth.low, forth.high) == (back.low, back.high) == (30.0, 29.0 + min(len(a), len(b)))


def test_points_that_gain_nothing_are_dropped() -> None:
    good = curve([0.1, 0.2, 0.4, 0.8], [26.0, 28.0, 31.0, 34.0])
    worse = curve([0.3, 0.5, 0.2], [27.5, 31.0, 27.0])
    assert monotone([*worse, *good]) == good
    assert bd_rate(good, [*worse, *good]).percent == 0.0


def test_curves_that_cannot_be_compared_are_refused() -> None:
    good = curve([0.1, 0.2, 0.4], [26.0, 28.0, 31.0])
    with pytest.raises(ValueError, match="test curve keeps 1 point"):
        bd_rate(good, good[:1])
    with pytest.raises(ValueError, match="anchor curve keeps 1 point"):
        bd_rate(curve([0.1, 0.2], [30.0, 29.0]), good)
    with pytest.raises(ValueError, match="no PSNR range"):
        bd_rate(good, curve([0.1, 0.2], [31.0, 33.0]))
    for bad in (RatePoint(0.0, 30.0), RatePoint(0.5, math.inf), RatePoint(math.nan, 30.0)):
        with pytest.raises(ValueError, match="not a point"):
            bd_rate(good, [*good, bad])


# Kodak curves published with CompressAI (results/image/kodak/{jpeg,webp,jpeg2000}.json), 19 points each.
# fmt: off
JPEG = curve(
    [.221153, .326614, .423126, .508386, .587866, .660127, .728946, .786027, .849719, .906001,
     .96438, 1.037212, 1.127396, 1.239846, 1.368827, 1.571807, 1.858816, 2.350199, 3.40134],
    [23.77989, 26.57723, 28.04225, 29.04181, 29.78473, 30.37831, 30.90316, 31.30783, 31.70485,
     32.05865, 32.3993, 32.78992, 33.23474, 33.79259, 34.3943, 35.239, 36.32886, 37.91212,
     40.55666],
)
WEBP = curve(
    [.234419, .296336, .352865, .407049, .460802, .512705, .567407, .620739, .674676, .721817,
     .770877, .823675, .874027, .934291, .998388, 1.216314, 1.520081, 2.010354, 2.928479],
    [28.32842, 29.1512, 29.82085, 30.40698, 30.93918, 31.44262, 31.93596, 32.42482, 32.88346,
     33.23755, 33.60666, 33.97166, 34.32818, 34.69345, 35.10417, 36.36905, 37.77826, 39.55695,
     41.75925],
)
JPEG2000 = curve(
    [.125799, .132456, .140762, .148884, .159484, .170674, .184436, .199174, .217566, .239409,
     .265727, .298563, .341843, .398625, .47929, .598829, .79828, 1.19824, 2.397323],
    [26.44038, 26.58623, 26.75742, 26.92285, 27.11825, 27.31699, 27.55447, 27.79664, 28.09922,
     28.41659, 28.77423, 29.19174, 29.69612, 30.30077, 31.07458, 32.08974, 33.48996, 35.68072,
     39.792],
)
# fmt: on


@pytest.mark.parametrize(
    ("test", "percent", "low", "high"),
    [(WEBP, -36.18, 28.32842, 40.55666), (JPEG2000, -35.86, 26.44038, 39.792)],
    ids=["webp", "jpeg2000"],
)
def test_bd_rates_of_published_curves(test: list[RatePoint], percent: float, low: float, high: float) -> None:
    # Reference values of the PCHIP method of the bjontegaard package (1.3.0), to two decimals.
    result = bd_rate(JPEG, test)
    assert result.percent == pytest.approx(percent, abs=0.01)
    assert (result.low, result.high) == (low, high)
