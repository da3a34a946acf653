"""Where a file's bits went: decode it with an eye on every index, and add up what its table charged for it.

    bytes --parse--> segments --decode, observed--> -log2(count / 2**24) of each index
          --> by layer, pass, band, group, and by 16x16 block of the picture

The sums are the ideal code length; a segment is longer by what the range coder rounds away and pads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.entropy.tables import TOTAL_BITS, perplexity
from vqcodec.entropy.tile_coder import LAYERS, SHIFTS, LatentCoder, Observe
from vqcodec.files import Source, read_source
from vqcodec.tiling import BLOCK, tiles
from vqcodec.types import DEFAULT_LIMITS, Header, Limits

PASS_NAMES = ("z", "shifts", "pass 0", "pass 1", "pass 2", "pass 3")
_Z, _SHIFTS, _FIRST = range(3)
_Z_SIDE = 4
"""Blocks along one side of what one position of the hyper-latent covers."""


@dataclass(frozen=True)
class BandBits:
    """One band's share; `perplexity` is that of the indices in the file, mean over the groups."""

    name: str
    size: int
    groups: int
    words: int
    symbols: int
    bits: float
    perplexity: float


@dataclass(frozen=True)
class GroupBits:
    """One group's share; `channels` are those of the latent, or of the hyper-latent for band z."""

    band: str
    group: int
    channels: tuple[int, ...]
    bits: float


@dataclass(frozen=True)
class BitReport:
    """What `count_bits` found.

    Attributes:
        blocks: (h, w) bits of each 16x16 block; hyper-latent bits are spread over the blocks they cover.
        passes: bits of the hyper-latent, of shifts and of the four phases, see PASS_NAMES; a first phase
            that is coded in four passes of its own counts as one. What shifts take counts to their bands,
            and evenly to the blocks of their tile.
        layers: (bits, segment bytes) of each layer.
        groups: most expensive first.
        chunks: payload bytes of each chunk.
    """

    header: Header
    file_bytes: int
    segments: int
    blocks: NDArray[np.float64]
    passes: tuple[float, ...]
    layers: tuple[tuple[float, int], ...]
    bands: tuple[BandBits, ...]
    groups: tuple[GroupBits, ...]
    chunks: dict[str, int]

    @property
    def bits(self) -> float:
        """Ideal code length of all indices."""
        return sum(self.passes)

    @property
    def segment_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(size for _, size in self.layers)

    @property
    def overhead_bytes(self) -> int:
        """Bytes of the container: all that is not a segment."""
        return self.file_bytes - self.segment_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; shares are of the bits of all indices."""

        def share(bits: float) -> dict[str, float]:
            return {"bits": round(bits, 1), "share": round(bits / self.bits, 5)}

        return {
            "width": self.header.width,
            "height": self.header.height,
            "quality": round(self.header.quality, 2),
            "level": self.header.level,
            "bitstream_id": self.header.bitstream_id.hex(),
            "file_bytes": self.file_bytes,
            "segment_bytes": self.segment_bytes,
            "segments": self.segments,
            "bits": round(self.bits, 1),
            "coder_overhead_bits": round(8 * self.segment_bytes - self.bits, 1),
            "container": {"bytes": self.overhead_bytes, "chunks": self.chunks},
            "layers": [
                {"layer": layer, "bytes": size, **share(bits)}
                for layer, (bits, size) in enumerate(self.layers)
            ],
            "passes": [
                {"pass": name, **share(bits)} for name, bits in zip(PASS_NAMES, self.passes, strict=True)
            ],
            "bands": [
                {
                    "band": band.name,
                    "size": band.size,
                    "groups": band.groups,
                    "words": band.words,
                    "symbols": band.symbols,
                    **share(band.bits),
                    "bits_per_symbol": round(band.bits / band.symbols, 4),
                    "perplexity": round(band.perplexity, 3),
                }
                for band in self.bands
            ],
            "most_expensive_groups": [
                {
                    "band": group.band,
                    "group": group.group,
                    "channels": list(group.channels),
                    **share(group.bits),
                }
                for group in self.groups[:10]
            ],
            "blocks": {
                "size": BLOCK,
                "mean": round(float(self.blocks.mean()), 2),
                "largest": round(float(self.blocks.max()), 2),
                "smallest": round(float(self.blocks.min()), 2),
            },
        }


def count_bits(
    codec: Codec, source: Source, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[BitReport, Image.Image]:
    """Take a .vqc file apart.

    Returns:
        The report and the decoded picture.

    Raises:
        OSError: the file cannot be read.
        FormatError: not a .vqc file, damaged, cut short, over the limits, or too new.
        ModelMismatch: the file was written with another model.
    """
    coder = codec.model.coder
    data = read_source(source)
    picture = codec.decompress(data, limits=limits)
    container = parse(data, limits)
    header = container.header
    tally = _Tally(coder, (-(-header.height // BLOCK), -(-header.width // BLOCK)))
    places = tiles(*tally.blocks.shape, header.tile)
    for (rows, columns), segments in zip(places, container.segments, strict=True):
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        coder.decode(segments, shape, header.level, tally.observer(rows, columns))
    sizes = [sum(len(layers[n] or b"") for layers in container.segments) for n in range(LAYERS)]
    bits = [float(part.sum()) for part in (tally.passes[: _FIRST + 1], tally.passes[_FIRST + 1 :])]
    report = BitReport(
        header=header,
        file_bytes=container.file_bytes,
        segments=LAYERS * len(container.segments),
        blocks=tally.blocks,
        passes=tuple(tally.passes.tolist()),
        layers=tuple(zip(bits, sizes, strict=True)),
        bands=tuple(tally.band_bits()),
        groups=tuple(sorted(tally.group_bits(), key=lambda group: -group.bits)),
        chunks={chunk.type: len(chunk.data) for chunk in container.chunks},
    )
    return report, picture


class _Tally:
    """Sums over all tiles of a picture."""

    def __init__(self, coder: LatentCoder, shape: tuple[int, int]) -> None:
        # The hyper-latent's bands come first, as in the file.
        self._bands = [*coder.hyper_bands, *coder.bands]
        self._hyper = len(coder.hyper_bands)
        self._shifts = coder.shifts
        self._order = coder.prior.passes
        self._bits = [np.zeros(band.groups) for band in self._bands]
        self._used = [np.zeros(band.words.shape[:2], dtype=np.int64) for band in self._bands]
        self.blocks = np.zeros(shape)
        self.passes = np.zeros(len(PASS_NAMES))

    def observer(self, rows: slice, columns: slice) -> Observe:
        """For one tile of the latent."""
        part = self.blocks[rows, columns]

        def observe(p: int | None, number: int, index: NDArray[Any], tables: NDArray[Any]) -> None:
            number += 0 if p is None else self._hyper
            if p == SHIFTS and self._shifts is not None:
                bits = self._shifts.bits(index[:, 0, 0])
                self.passes[_SHIFTS] += bits.sum()
                self._bits[number] += bits
                part[:] += bits.sum() / part.size
                return
            band = self._bands[number]
            bits = TOTAL_BITS - np.log2(band.tables.counts[tables, index])
            place = None if p is None else self._order[p]
            self.passes[_Z if place is None else _FIRST + place.phase] += bits.sum()
            self._bits[number] += bits.sum(axis=(1, 2))
            np.add.at(self._used[number], (np.arange(band.groups)[:, None, None], index), 1)
            here = bits.sum(axis=0)
            if place is None:
                part[:] += _spread(here, part.shape)
            else:
                part[place.places] += here

        return observe

    def band_bits(self) -> list[BandBits]:
        """Each band's share."""
        found = []
        for number, (band, bits, used) in enumerate(zip(self._bands, self._bits, self._used, strict=True)):
            groups, words, size = band.words.shape
            known = (size, groups, words, int(used.sum()), float(bits.sum()), float(perplexity(used).mean()))
            found.append(BandBits(self._name(number), *known))
        return found

    def group_bits(self) -> list[GroupBits]:
        """Each group's share."""
        return [
            GroupBits(self._name(number), g, band.channels_of(g), b)
            for number, (band, bits) in enumerate(zip(self._bands, self._bits, strict=True))
            for g, b in enumerate(bits.tolist())
        ]

    def _name(self, number: int) -> str:
        return f"z{number}" if number < self._hyper else f"y{number - self._hyper}"


def _spread(bits: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Bits per position of the hyper-latent -> per block, shared evenly by the blocks that exist."""
    rows, columns = (np.arange(side) // _Z_SIDE for side in shape)
    share = bits / (np.bincount(rows)[:, None] * np.bincount(columns))
    return share[rows[:, None], columns]
