"""Symbols and classes to coder words and back, in C or, where that was not built, by constriction.

Symbols are coded group by group, in a group by ascending classes, and in a class in the order given. That
order is part of the format, and it is fast: what a table costs to find is paid once for all its symbols.
What is certain is not coded at all: most symbols of most pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vqcodec.entropy.table_set import TableSet
from vqcodec.errors import CorruptData
from vqcodec.native.choice import entropy_extension


def _coder() -> tuple[Any, bool]:
    """The module with Encoder and Decoder, and whether it is the one in C."""
    native = entropy_extension()
    if native is not None:
        return native, True
    from vqcodec.entropy import constriction_coder  # noqa: PLC0415  only here is constriction needed

    return constriction_coder, False


def _flat(x: np.ndarray) -> np.ndarray:
    """(..., G) as contiguous int32 (n, G); (n,) as one group.

    Raises:
        IndexError: a number does not fit.
    """
    flat = x.reshape(-1, x.shape[-1] if x.ndim > 1 else 1)
    if flat.dtype != np.int32 and flat.size and (flat.min() < 0 or flat.max() > 2**31 - 1):
        raise IndexError("a class or symbol is out of range")
    return np.ascontiguousarray(flat, dtype=np.int32)


class SegmentWriter:
    """Collects the symbols of one segment in one range coder."""

    def __init__(self) -> None:
        coder, self._native = _coder()
        self._encoder = coder.Encoder()

    def write(
        self, symbols: np.ndarray, classes: np.ndarray, models: TableSet, moves: np.ndarray | None = None
    ) -> None:
        """Append symbols (..., G) coded with the tables of their classes (..., G); (n,) are of one group.

        Args:
            moves: (G, classes) int32, what each class becomes by class offsets. If it is given, symbols of
                classes that are certain, before that, are not coded.

        Raises:
            IndexError: a symbol or class is none of the tables', or a symbol is not the certain one.
        """
        tables = models.native if self._native else models
        self._encoder.encode(_flat(symbols), _flat(classes), tables, moves)

    def finish(self) -> bytes:
        """The segment: its coder words, 32 bits each, little-endian."""
        return np.frombuffer(self._encoder.finish(), dtype=np.uint32).astype("<u4").tobytes()


class SegmentReader:
    """Reads back what `SegmentWriter` wrote, given the same classes in the same order.

    A range decoder accepts nearly any coder words: it does not notice a missing or an added zero at the
    end. So the symbols are encoded again as they are read, and must give the same coder words.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise CorruptData("segment is not a whole number of 32-bit words")
        coder, self._native = _coder()
        self._decoder = coder.Decoder(np.frombuffer(data, dtype="<u4").astype(np.uint32))

    def read(self, classes: np.ndarray, models: TableSet, moves: np.ndarray | None = None) -> np.ndarray:
        """Decode one symbol for each of `classes` (..., G), or (n,) of one group, as int32.

        With `moves`, see `SegmentWriter.write`, those that are certain are filled in.

        Raises:
            CorruptData: the coder words do not decode.
            IndexError: a class is none of the tables'.
        """
        tables, flat = models.native if self._native else models, _flat(classes)
        symbols = np.empty_like(flat)
        if not self._decoder.decode(symbols, flat, tables, moves):
            raise CorruptData("segment does not decode")
        return symbols.reshape(classes.shape)

    def finish(self) -> None:
        """Check that the coder words are exactly those of the symbols read.

        Raises:
            CorruptData: coder words are missing, left over or changed.
        """
        if not self._decoder.finish():
            raise CorruptData("segment is not what its symbols encode to")
