"""Which engine is chosen, and what is said where it cannot be."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.table_set import TableSet
from vqcodec.errors import VQCodecError
from vqcodec.native import choice


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the C engine."""
    monkeypatch.setitem(sys.modules, "vqcodec.native._entropy", None)


def test_the_engine_in_c_is_taken_where_it_is(monkeypatch):
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.entropy_extension() is choice.built("_entropy")
    monkeypatch.setenv(choice.VARIABLE, "torch")
    assert choice.entropy_extension() is None


def test_without_it_numpy_works(monkeypatch, missing):
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.built("_entropy") is None
    assert choice.entropy_extension() is None
    tables, zeros = TableSet(np.array([[2**23, 2**23]])), np.zeros(5, dtype=np.int64)
    writer = SegmentWriter()
    writer.write(zeros, zeros, tables)
    assert SegmentReader(writer.finish()).read(zeros, tables).tolist() == [0] * 5


def test_asking_for_what_is_not_there_says_so(monkeypatch, missing):
    monkeypatch.setenv(choice.VARIABLE, "native")
    with pytest.raises(VQCodecError, match="installed without it"):
        SegmentWriter()
    monkeypatch.setenv(choice.VARIABLE, "fast")
    with pytest.raises(VQCodecError, match="must be one of native, torch, not 'fast'"):
        choice.entropy_extension()


@pytest.mark.parametrize(("value", "wanted"), [("3", 3), ("1", 1), ("0", None), ("many", None), ("", None)])
def test_threads_are_those_of_the_environment_or_the_processors(monkeypatch, value, wanted):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert choice.threads() == (wanted or choice._processors())
    assert choice.threads() >= 1
