"""Integer tables: sums, bounds, order and closeness to the probabilities they came from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.entropy.plain_tables import combine_rows, nats_from_counts
from vqcodec.entropy.tables import (
    CERTAIN_BITS,
    CODE_NATS,
    TOTAL,
    certain_words,
    counts_from_codes,
    encode_logits,
    encode_probabilities,
    make_powers,
    perplexity,
)

CODES = st.integers(1, 300).flatmap(lambda n: st.lists(st.integers(0, 255), min_size=n, max_size=n))


def reference(codes: list[int], powers: list[int]) -> list[int]:
    """The rule of the format in plain Python integers."""
    weights = [powers[v] for v in codes]
    counts = [1 + w * (TOTAL - len(codes)) // sum(weights) for w in weights]
    counts[counts.index(max(counts))] += TOTAL - sum(counts)
    return counts


def test_powers_are_a_falling_exponential():
    powers = make_powers()
    assert powers.shape == (256,)
    assert powers.dtype == np.uint32
    assert powers[0] == 2**31
    assert (np.diff(powers.astype(np.int64)) < 0).all()
    expected = 2.0**31 * np.exp(-17.0 * np.arange(256) / 255)
    assert np.abs(powers - expected).max() <= 0.5


@given(codes=CODES)
def test_counts_follow_the_rule_in_plain_integers(codes):
    counts = counts_from_codes(np.array(codes, dtype=np.uint8), make_powers())
    assert counts.tolist() == reference(codes, make_powers().tolist())
    assert counts.dtype == np.int64
    assert counts.sum() == TOTAL
    assert counts.min() >= 1


@given(codes=CODES)
def test_a_smaller_code_never_has_a_smaller_count(codes):
    counts = counts_from_codes(np.array(codes, dtype=np.uint8), make_powers())
    order = np.argsort(codes, kind="stable")
    assert (np.diff(counts[order]) <= 0).all()


def test_rows_do_not_touch_each_other():
    random = np.random.default_rng(0)
    codes = random.integers(0, 256, (3, 4, 19)).astype(np.uint8)
    counts = counts_from_codes(codes, make_powers())
    for index in np.ndindex(3, 4):
        assert counts[index].tolist() == reference(codes[index].tolist(), make_powers().tolist())


def test_the_rest_goes_to_the_first_of_equals():
    counts = counts_from_codes(np.array([9, 3, 3, 3], dtype=np.uint8), make_powers())
    assert counts[1] > counts[2] == counts[3]


@given(seed=st.integers(0, 2**32 - 1), words=st.integers(2, 256), sharpness=st.floats(0.1, 12))
def test_probabilities_survive_the_byte(seed, words, sharpness):
    logits = np.random.default_rng(seed).normal(0, sharpness, words)
    p = np.exp(logits - logits.max())
    p /= p.sum()
    counts = counts_from_codes(encode_probabilities(p), make_powers())
    cost = float((p * nats_from_counts(counts)).sum())
    entropy = float(-(p * np.log(np.maximum(p, 1e-300))).sum())
    # Half a code step each way in every word, and the smallest count, cost little.
    assert cost - entropy < (CODE_NATS / 2) ** 2 + 1e-4


def test_codes_are_bytes_at_both_ends():
    codes = encode_probabilities(np.array([1.0, 0.0, 1e-300, np.exp(-17.0)]))
    assert codes.dtype == np.uint8
    assert codes.tolist() == [0, 255, 255, 255]


def test_every_row_of_logits_has_a_zero_of_its_own():
    codes = encode_logits(np.array([[0.0, -CODE_NATS, -30.0], [7.0, 5.0, 7.0 - 2.4 * CODE_NATS]]))
    assert codes.tolist() == [[0, 1, 255], [0, 30, 2]]


def test_perplexity():
    counts = np.array([[5, 5, 5, 5], [9, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [3, 1, 0, 0]])
    assert perplexity(counts) == pytest.approx([4, 1, 2, 1, 4 / 3**0.75])
    both = np.stack([counts[:2], counts[2:4]])
    assert perplexity(both) == pytest.approx(np.array([[4, 1], [2, 1]]))


def test_a_word_is_certain_up_to_the_bound():
    """Weights that only this table has: what the others may weigh is a share of the largest power."""
    powers = np.zeros(256, np.uint32)
    powers[[0, 1, 254, 255]] = 3 << CERTAIN_BITS, 5, 3, 4
    words = certain_words(np.array([[9, 0, 254], [255, 9, 0], [0, 0, 9]], np.uint8), powers)
    assert words.tolist() == [1, -1, -1]
    assert words.dtype == np.int32


def test_nats_are_the_cost_of_a_count():
    nats = nats_from_counts(np.array([TOTAL, TOTAL // 2, 1]))
    assert nats.dtype == np.float32
    assert np.allclose(nats, [0, np.log(2), 24 * np.log(2)], atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), levels=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_rows_of_the_context_numbers_add_up(seed, levels):
    """Every class by the rule of the format, in plain integers; the last context number counts first."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (2, sum(levels), 7)).astype(np.uint8)
    codes = combine_rows(rows, tuple(levels))
    classes = list(itertools.product(*(range(n) for n in levels)))
    assert codes.shape == (2, len(classes), 7)
    starts = np.cumsum([0, *levels[:-1]])
    for g in range(2):
        for number, values in enumerate(classes):
            sums = [
                sum(int(rows[g, start + u, k]) for start, u in zip(starts, values, strict=True))
                for k in range(7)
            ]
            assert codes[g, number].tolist() == [min(s - min(sums), 255) for s in sums]
