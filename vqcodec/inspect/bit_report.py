"""Where a file's bits went: decode it, and add up -log2(count / 2**24) of every index, by layer, phase, band,
group, and 16x16 block of the picture.

The sums are the ideal code length; a segment is longer by what the range coder rounds away and pads. Of the
drawn layer, by WebP, all bits count; a tile's are shared out by the changes of colour in its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream import parse
from vqcodec.bitstream.partial import read_file
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.entropy.tile_coder import LAYERS, LatentCoder, hyper_classes
from vqcodec.files import Source
from vqcodec.image.webp import read_webp
from vqcodec.inspect.shares import BandBits, GroupBits, shares_of
from vqcodec.probing import share_of
from vqcodec.tiling import BLOCK, tiles
from vqcodec.types import DEFAULT_LIMITS, Header, Limits

PART_NAMES = ("z", "class_offsets", "phase 0", "phase 1", "phase 2", "phase 3")
_Z, _OFFSETS, _FIRST = range(3)
_Z_SIDE = 4
"""Blocks along one side of what one position of the hyper-latent covers."""


@dataclass(frozen=True)
class BitReport:
    """What `count_bits` found.

    Attributes:
        blocks: (h, w) bits of each 16x16 block; hyper-latent bits are spread over the blocks they cover,
            those of the drawn layer over the blocks that are drawn.
        parts: bits of the hyper-latent, of class offsets and of the four phases, see PART_NAMES. Class
            offsets count to their bands, and evenly to the blocks of their tile.
        layer_bytes: segment bytes of each layer.
        bands: of the hyper-latent, then of the latent, as in the file.
        chunks: payload bytes of each chunk.
        drawn_bytes: segment bytes of the drawn layer, and the share of the pixels that it covers.
    """

    header: Header
    file_bytes: int
    segments: int
    blocks: NDArray[np.float64]
    parts: NDArray[np.float64]
    layer_bytes: tuple[int, ...]
    bands: tuple[BandBits, ...]
    chunks: dict[str, int]
    drawn_bytes: int = 0
    drawn_share: float = 0.0

    @property
    def bits(self) -> float:
        """Ideal code length of all indices, and the drawn layer."""
        return float(self.parts.sum()) + 8 * self.drawn_bytes

    @property
    def layers(self) -> list[tuple[float, int]]:
        """(bits, segment bytes) of each layer."""
        bits = self.parts[: _FIRST + 1].sum(), self.parts[_FIRST + 1 :].sum()
        return list(zip(map(float, bits), self.layer_bytes, strict=True))

    @property
    def groups(self) -> list[GroupBits]:
        """Each group's share, most expensive first."""
        shares = [
            GroupBits(band.name, g, band.coded.channels_of(g), float(bits))
            for band in self.bands
            for g, bits in enumerate(band.group_bits)
        ]
        return sorted(shares, key=lambda group: -group.bits)

    @property
    def segment_bytes(self) -> int:
        """Bytes of all segments."""
        return self.drawn_bytes + sum(self.layer_bytes)

    @property
    def overhead_bytes(self) -> int:
        """Bytes of the container: all that is not a segment."""
        return self.file_bytes - self.segment_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; shares are of the bits of all indices."""

        def share(bits: float) -> dict[str, float]:
            return {"bits": round(bits, 1), "share": round(bits / max(self.bits, 1), 5)}

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
            "drawn": {
                "bytes": self.drawn_bytes,
                "pixels": round(self.drawn_share, 5),
                **share(8 * self.drawn_bytes),
            },
            "layers": [
                {"layer": n, "bytes": size, **share(bits)} for n, (bits, size) in enumerate(self.layers)
            ],
            "parts": [{"part": n, **share(bits)} for n, bits in zip(PART_NAMES, self.parts, strict=True)],
            "bands": [
                {
                    "band": band.name,
                    "size": band.size,
                    "groups": band.groups,
                    "codewords": band.codewords,
                    "symbols": band.symbols,
                    "certain": band.certain,
                    **share(band.bits),
                    "bits_per_symbol": round(band.bits / max(band.symbols, 1), 4),
                    "perplexity": round(band.perplexity, 3) if band.symbols else None,
                }
                for band in self.bands
            ],
            "most_expensive_groups": [asdict(group) | share(group.bits) for group in self.groups[:10]],
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
    data = read_file(source, limits)
    picture = codec.decompress(data, limits=limits)
    container = parse(data, limits)
    header = container.header
    coder = codec.tuned(header.tune).model.coder
    bands = {"z": coder.hyper_bands, "y": coder.bands}
    shape = -(-header.height // BLOCK), -(-header.width // BLOCK)
    report = BitReport(
        header=header,
        file_bytes=container.file_bytes,
        segments=LAYERS * len(container.segments) + len(container.drawn),
        blocks=np.zeros(shape),
        parts=np.zeros(len(PART_NAMES)),
        layer_bytes=tuple(sum(len(tile[n] or b"") for tile in container.segments) for n in range(LAYERS)),
        bands=tuple(BandBits(f"{kind}{n}", band) for kind in bands for n, band in enumerate(bands[kind])),
        chunks={chunk.type: len(chunk.data) for chunk in container.chunks},
        drawn_bytes=sum(len(segment or b"") for segment in container.drawn),
        drawn_share=share_of(container, container.drawn),
    )
    for place, segments, alone in zip(
        tiles(*shape, header.tile), container.segments, container.drawn_whole, strict=True
    ):
        if not alone:
            _add_tile(report, coder, segments, report.blocks[place])
    for place, segment in zip(tiles(*shape, header.tile), container.drawn, strict=False):
        if segment:
            report.blocks[place] += 8 * len(segment) * shares_of(*read_webp(segment))
    return report, picture


def _add_tile(
    report: BitReport, coder: LatentCoder, segments: Sequence[bytes | None], blocks: NDArray[np.float64]
) -> None:
    """Decode a tile of these blocks (h, w), which its bits are added to."""
    shape, level, hyper = (blocks.shape[0], blocks.shape[1]), report.header.level, len(coder.hyper_bands)
    readers = [SegmentReader(segment or b"") for segment in segments]
    z_index, offsets = coder.read_side(readers[0], shape, level)
    for band, index in zip(report.bands[:hyper], z_index, strict=True):
        bits = band.add(index, hyper_classes(band.coded, index.shape[:2], level))
        report.parts[_Z] += bits.sum()
        blocks += _spread(bits, shape)
    for band, own in zip(report.bands[hyper:], offsets, strict=True):
        shares = coder.offsets.bits(own)
        report.parts[_OFFSETS] += shares.sum()
        band.group_bits += shares
        blocks += shares.sum() / blocks.size
    for part, _ in coder.walk(z_index, shape, level):
        part.index = []
        bands = report.bands[hyper:][part.piece.bands]
        for band, (coded, classes, moves) in zip(bands, coder.bands_of(part, offsets), strict=True):
            index = coded.read(readers[part.place.layer], classes, moves)
            part.index.append(index)
            bits = band.add(index, classes, moves)
            report.parts[_FIRST + part.place.phase] += bits.sum()
            blocks[part.place.places] += bits


def _spread(bits: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Bits per position of the hyper-latent -> per block, shared evenly by the blocks that exist."""
    rows, columns = (np.arange(side) // _Z_SIDE for side in shape)
    share = bits / (np.bincount(rows)[:, None] * np.bincount(columns))
    return share[rows[:, None], columns]
