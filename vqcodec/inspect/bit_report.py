"""Where a file's bits went: decode it, and add up what the tables charge for every index.

    bytes --parse--> segments --decode--> -log2(count / 2**24) of each index
          --> by layer, pass, band, group, and by 16x16 block of the picture

The sums are the ideal code length; a segment is longer by what the range coder rounds away and pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.entropy.tables import perplexity
from vqcodec.entropy.tile_coder import LAYERS, LatentCoder, hyper_classes
from vqcodec.files import Source, read_source
from vqcodec.tiling import BLOCK, tiles
from vqcodec.types import DEFAULT_LIMITS, Header, Limits

PASS_NAMES = ("z", "shifts", "pass 0", "pass 1", "pass 2", "pass 3")
_Z, _OFFSETS, _FIRST = range(3)
_Z_SIDE = 4
"""Blocks along one side of what one position of the hyper-latent covers."""


@dataclass(frozen=True)
class BandBits:
    """One band's share; `perplexity` is that of the indices in the file, mean over the groups."""

    name: str
    size: int
    groups: int
    codewords: int
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
        passes: bits of the hyper-latent, of class offsets and of the four phases, see PASS_NAMES. Class
            offsets count to their bands, and evenly to the blocks of their tile.
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
                    "words": band.codewords,
                    "symbols": band.symbols,
                    **share(band.bits),
                    "bits_per_symbol": round(band.bits / band.symbols, 4),
                    "perplexity": round(band.perplexity, 3),
                }
                for band in self.bands
            ],
            "most_expensive_groups": [
                {"band": g.band, "group": g.group, "channels": list(g.channels), **share(g.bits)}
                for g in self.groups[:10]
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
    for place, segments in zip(places, container.segments, strict=True):
        tally.add(segments, place, header.level)
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
        self._coder = coder
        # The hyper-latent's bands come first, as in the file.
        self._bands = [*coder.hyper_bands, *coder.bands]
        self._names = [f"z{n}" for n in range(len(coder.hyper_bands))]
        self._names += [f"y{n}" for n in range(len(coder.bands))]
        self._bits = [np.zeros(band.groups) for band in self._bands]
        self._used = [np.zeros(band.codewords.shape[:2], dtype=np.int64) for band in self._bands]
        self.blocks = np.zeros(shape)
        self.passes = np.zeros(len(PASS_NAMES))

    def add(self, segments: Sequence[bytes | None], place: tuple[slice, slice], level: int) -> None:
        """Decode a tile at these rows and columns of the latent, and count its bits.

        Raises:
            CorruptData: its segments do not decode.
        """
        coder, blocks, hyper = self._coder, self.blocks[place], len(self._coder.hyper_bands)
        shape = blocks.shape[0], blocks.shape[1]
        readers = [SegmentReader(segment or b"") for segment in segments]
        z_index, offsets = coder.read_side(readers[0], shape, level)
        for number, (band, index) in enumerate(zip(coder.hyper_bands, z_index, strict=True)):
            bits = self._count(_Z, number, index, hyper_classes(band, index.shape[:2], level))
            blocks += _spread(bits, blocks.shape)
        for number, own in enumerate(offsets, hyper):
            shares = coder.offsets.bits(own)
            self.passes[_OFFSETS] += shares.sum()
            self._bits[number] += shares
            blocks += shares.sum() / blocks.size
        for part, _ in coder.walk(z_index, shape, level):
            part.index = []
            for number, (band, classes) in enumerate(coder.bands_of(part, offsets), part.piece.bands.start):
                index = band.read(readers[part.place.layer], classes)
                part.index.append(index)
                bits = self._count(_FIRST + part.place.phase, hyper + number, index, classes)
                blocks[part.place.places] += bits

    def _count(
        self, phase: int, number: int, index: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Count indices (h, w, G) of a band; returns their bits (h, w) at every position."""
        band = self._bands[number]
        bits = band.bits(index, classes)
        self.passes[phase] += bits.sum()
        self._bits[number] += bits.sum(axis=(0, 1))
        np.add.at(self._used[number], (np.arange(band.groups), index), 1)
        return bits.sum(axis=2)

    def band_bits(self) -> list[BandBits]:
        """Each band's share."""
        found = []
        for name, band, bits, used in zip(self._names, self._bands, self._bits, self._used, strict=True):
            groups, codewords, size = band.codewords.shape
            totals = int(used.sum()), float(bits.sum()), float(perplexity(used).mean())
            found.append(BandBits(name, size, groups, codewords, *totals))
        return found

    def group_bits(self) -> list[GroupBits]:
        """Each group's share."""
        return [
            GroupBits(name, g, band.channels_of(g), float(bits[g]))
            for name, band, bits in zip(self._names, self._bands, self._bits, strict=True)
            for g in range(band.groups)
        ]


def _spread(bits: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Bits per position of the hyper-latent -> per block, shared evenly by the blocks that exist."""
    rows, columns = (np.arange(side) // _Z_SIDE for side in shape)
    share = bits / (np.bincount(rows)[:, None] * np.bincount(columns))
    return share[rows[:, None], columns]
