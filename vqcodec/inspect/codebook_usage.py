"""Expected use of each codebook by its probability tables, and lengths of its codewords: numbers and a chart.

Perplexity is exp(entropy) of a table: the number of equally likely codewords with the same entropy.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vqcodec.codec import Codec
from vqcodec.entropy.tables import perplexity
from vqcodec.inspect.page import FAINT, INK, RULE, SOFT, STRONG, TRACK, Page
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP

_MIDDLE_MARK = (214, 96, 34)


@dataclass(frozen=True)
class CodebookUsage:
    """Codewords and tables of one codebook.

    Attributes:
        band: "y0", "y1", ... of the latent, "z0" of the hyper-latent.
        channels: those that the codebook quantises.
        codewords: their number.
        perplexity: mean over the tables of all context classes.
        perplexity_middle: of the table of the middle context class.
        norms: smallest, median and largest norm of a codeword, in quantiser steps.
    """

    band: str
    group: int
    channels: tuple[int, ...]
    codewords: int
    perplexity: float
    perplexity_middle: float
    norms: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        norms = dict(zip(("smallest", "median", "largest"), (round(n, 4) for n in self.norms), strict=True))
        rounded = {key: round(getattr(self, key), 3) for key in ("perplexity", "perplexity_middle")}
        return asdict(self) | rounded | {"channels": list(self.channels), "norms": norms}


def codebook_use(codec: Codec) -> list[CodebookUsage]:
    """Usage of every codebook: bands of the latent first, then those of the hyper-latent."""
    coder = codec.model.coder
    bins = coder.prior.context_levels
    middle = np.ravel_multi_index([count // 2 for count in bins], bins)
    found = []
    for kind, bands, step in (("y", coder.bands, VALUE_STEP), ("z", coder.hyper_bands, HYPER_STEP)):
        for number, band in enumerate(bands):
            by_class = perplexity(band.tables.counts.reshape(band.groups, band.classes, -1))
            central = by_class[:, middle if kind == "y" else band.classes // 2]
            norms = np.quantile(np.linalg.norm(band.codewords * step, axis=2), (0, 0.5, 1), axis=1)
            found += [
                CodebookUsage(
                    band=f"{kind}{number}",
                    group=g,
                    channels=band.channels_of(g),
                    codewords=int(band.codewords.shape[1]),
                    perplexity=float(by_class[g].mean()),
                    perplexity_middle=float(central[g]),
                    norms=tuple(norms[:, g].tolist()),
                )
                for g in range(band.groups)
            ]
    return found


def draw_usage(uses: Sequence[CodebookUsage], name: str) -> Page:
    """Perplexity and norms of the codebooks, a strip per band and a bar per group."""
    bands = {use.band: [other for other in uses if other.band == use.band] for use in uses}
    left, wide, tall, low = 70, 760, 110, 60
    strip = tall + low + 74
    page = Page(left + wide + 320, 90 + strip * len(bands))
    page.text(20, 14, f"Codebook use of model {name}", 20)
    page.text(20, 46, "A bar per group. Above, perplexity:", 12, FAINT)
    page.box(226, 48, 240, 60, STRONG)
    page.text(246, 46, "mean over the context classes", 12, FAINT)
    page.box(424, 53, 438, 56, _MIDDLE_MARK)
    page.text(444, 46, "middle class. Below, lengths of codewords:", 12, FAINT)
    page.box(694, 48, 708, 60, SOFT)
    page.box(694, 53, 708, 55, INK)
    page.text(714, 46, "smallest to largest, and median", 12, FAINT)
    for row, (band, members) in enumerate(bands.items()):
        y = 84 + row * strip
        count, size = members[0].codewords, len(members[0].channels)
        page.text(20, y, f"band {band}: {len(members)} groups of {size}, {count} codewords", 14)
        base = y + 24 + tall
        page.box(left, y + 24, left + wide, base, TRACK)
        for mark in sorted({1, 4, 16, 64, 256, count}):
            if mark <= count and (mark == count or np.log2(count / mark) > 0.6):
                at = base - tall * np.log2(mark) / np.log2(count)
                page.draw.line((left - 4, at, left + wide - 1, at), fill=RULE)
                page.text(left - 8, at, str(mark), 11, FAINT, "rm")
        top = max(member.norms[2] for member in members)
        floor = base + 14 + low
        page.text(left - 8, floor, "0", 11, FAINT, "rm")
        page.text(left - 8, floor - low, f"{top:.3g}", 11, FAINT, "rm")
        page.box(left, floor - low, left + wide, floor, (244, 244, 242))
        pitch = min(wide / len(members), 40)
        for g, member in enumerate(members):
            x0, x1 = left + g * pitch + 1, left + (g + 1) * pitch - (1 if pitch > 4 else 0)
            page.box(x0, base - tall * np.log2(member.perplexity) / np.log2(count), x1, base, STRONG)
            at = base - tall * np.log2(member.perplexity_middle) / np.log2(count)
            page.box(x0, at - 1, x1, at + 2, _MIDDLE_MARK)
            lowest, median, largest = (floor - low * norm / max(top, 1e-9) for norm in member.norms)
            page.box(x0, largest, x1, max(lowest, largest + 1), SOFT)
            page.box(x0, median - 1, x1, median + 1, INK)
        page.text(left, floor + 6, "group 0", 11, FAINT)
        page.text(left + len(members) * pitch, floor + 6, str(len(members) - 1), 11, FAINT, "ra")
        _numbers(page, left + wide + 24, y + 24, members)
    return page


def _numbers(page: Page, x: int, y: int, members: Sequence[CodebookUsage]) -> None:
    mean = [member.perplexity for member in members]
    middle = [member.perplexity_middle for member in members]
    lines = (
        f"perplexity {statistics.mean(mean):.1f}  ({min(mean):.1f} to {max(mean):.1f}),",
        f"{statistics.mean(mean) / members[0].codewords:.0%} of {members[0].codewords} codewords",
        f"middle class {statistics.mean(middle):.1f}  ({min(middle):.1f} to {max(middle):.1f})",
    )
    for n, line in enumerate(lines):
        page.text(x, y + 20 * n, line, 13)
    norms = [statistics.mean(member.norms[n] for member in members) for n in range(3)]
    page.text(x, y + 124, "length in steps, mean over groups", 12, FAINT)
    page.text(x, y + 142, f"{norms[0]:.2f}  /  {norms[1]:.2f}  /  {norms[2]:.2f}", 13)
