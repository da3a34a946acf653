"""Range coder, tables, integer prior and codeword search in C; `vqcodec.entropy` has the same in numpy.

Arrays are C-contiguous unless said otherwise, outputs come last and are filled in; `threads` is at least 1.
ValueError for arrays of another type or shape, MemoryError where none is left.
"""

from typing import TypeAlias

from numpy import float32, int8, int16, int32, int64, uint8, uint32
from numpy.typing import NDArray

def isa() -> str:
    """The instruction set in use: "portable", "neon", "avx2", "avxvnni", "avx512vnni" or "amx"."""

def choose_isa(name: str) -> str:
    """Use `name`, or the best below it that this CPU has, which is returned; ValueError for other names."""

class Tables:
    """Tables of counts, each made when first used; from any thread."""

    def __new__(cls, rows: NDArray[uint8], bins: tuple[int, ...], powers: NDArray[uint32]) -> Tables:
        """Of rows (G, sum of bins, K) of codes; the array is kept."""

    @classmethod
    def from_counts(cls, counts: NDArray[int32]) -> Tables:
        """Of counts (tables, K)."""

    def fill_counts(self, first: int, counts: NDArray[int32]) -> None:
        """Counts (n, K) of the tables from number `first` on."""

class Encoder:
    """Collects the words of a segment; one thread at a time, RuntimeError otherwise and after its end."""

    def encode(self, symbols: NDArray[int32], classes: NDArray[int32], tables: Tables) -> None:
        """Append symbols (n, G) of these classes; IndexError for one that is none."""

    def finish(self) -> bytes:
        """All words, in this machine's order of bytes."""

class Decoder:
    """Reads a segment (n,), and checks that its symbols encode to just these words."""

    def __new__(cls, words: NDArray[uint32]) -> Decoder: ...
    def decode(self, symbols: NDArray[int32], classes: NDArray[int32], tables: Tables) -> bool:
        """Fill in symbols (n, G) of these classes; False if the words cannot be those of symbols."""

    def finish(self) -> bool:
        """Whether nothing is missing or left over."""

class Layer:
    """A layer of the integer prior."""

    def __new__(
        cls,
        weight: NDArray[int8],
        bias: NDArray[int32],
        multiplier: NDArray[int32],
        shift: NDArray[uint8],
        signed_inputs: int,
    ) -> Layer:
        """Arrays as in a weights file; the first inputs are int8, the others uint8. ArithmeticError if sums
        could reach 2**24.
        """

def hyper(
    layer1: Layer,
    layer2: Layer,
    layer3: Layer,
    z: NDArray[int8],
    level: int,
    threads: int,
    features: NDArray[uint8],
) -> None:
    """`IntegerPrior.hyper`."""

def open_pass(
    enter: Layer,
    middle: Layer,
    maps: tuple[NDArray[int32], ...],
    features: NDArray[uint8],
    linear: NDArray[int16],
    compand: NDArray[uint8],
    grid: tuple[int, int, int],
    level: int,
    threads: int,
    hidden: NDArray[uint8],
    local: NDArray[int32],
) -> None:
    """`IntegerPrior.open`; of maps the last axis alone is contiguous; grid: first row, column and step."""

Settled: TypeAlias = tuple[
    tuple[NDArray[int32], ...],
    tuple[NDArray[int32], ...],
    NDArray[int32],
    NDArray[int32],
    NDArray[uint8],
    NDArray[int8],
]
"""A slice to be settled: words and indices of its bands, mean, latent, compand, and what will be seen."""

def predict(
    look: Layer | None,
    tell: Layer | None,
    leave: Layer,
    settled: Settled | None,
    seen: tuple[NDArray[int8], ...],
    hidden: NDArray[uint8],
    local: NDArray[int32] | None,
    first: int,
    bins: tuple[int, ...],
    level: int,
    threads: int,
    mean: NDArray[int32],
    classes: NDArray[int32],
) -> None:
    """`IntegerPrior.predict`; `first` is the slice's first channel, the hidden units are updated.

    Before that, the slice before is settled; what is seen of it is the last of `seen`, too.
    """

def settle(settled: Settled, threads: int) -> None:
    """Set the latent of a slice, and what is seen of it; IndexError for an index that is none."""

def nearest(
    tables: Tables,
    factors: NDArray[float32],
    norms: NDArray[float32],
    residual: NDArray[float32],
    classes: NDArray[int32],
    threads: int,
    index: NDArray[int32],
) -> None:
    """`BandSearch`; of residual and classes the last axis alone is contiguous."""

def offsets(
    tables: Tables,
    index: NDArray[int32],
    classes: NDArray[int32],
    moved: NDArray[int32],
    own: NDArray[int64],
    shape: tuple[int, ...],
    zero: int,
    threads: int,
    chosen: NDArray[int32],
) -> None:
    """`OffsetSearch`."""
