"""One case of `benchmarks.speed`, measured in this process: `python -m benchmarks.in_process QUESTION`.

The codec is loaded, the quality picked whose file of the photograph is nearest to the rate that is asked for
(effort 1's for all efforts of vqcodec), one call made, and then the median of the repeats taken, from pixels
to file bytes and back. Memory is the peak resident size of the whole process.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vqcodec
from benchmarks import codecs, hyperprior
from benchmarks.anchors import PillowCodec, Pixels
from benchmarks.parts import split, vqcodec_parts
from benchmarks.processes import peak_mib
from benchmarks.rate_distortion import read_pixels

BUDGET = 20.0
"""Seconds after which no further repeat begins."""


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        side: of a square that the photograph fills with its mirror images, or is cut to; 0 is the photograph.
        engine: one of `benchmarks.processes.ENGINES`.
        beside: one of `benchmarks.neighbours.NEIGHBOURS`, or "".
    """

    codec: str
    threads: int
    side: int = 0
    device: str = "cpu"
    engine: str = ""
    beside: str = ""

    def __str__(self) -> str:
        said = [self.codec, self.device, f"threads {self.threads}", f"side {self.side}", self.engine]
        return ", ".join(part for part in (*said, self.beside and f"beside {self.beside}") if part)


@dataclass(frozen=True)
class Question:
    """A case, with what is alike in all cases of a run."""

    case: Case
    image: str
    model: str
    bpp: float
    repeats: int

    @classmethod
    def from_json(cls, text: str) -> Question:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "case": Case(**fields["case"])})

    def to_json(self) -> str:
        """As an argument of this program."""
        return json.dumps(asdict(self))


def make(name: str, model: str, device: str = "cpu") -> codecs.Codec:
    """A codec of the benchmarks, or the one that only its time is taken of."""
    return (
        hyperprior.Hyperprior() if name == hyperprior.NAME else codecs.make(name, model=model, device=device)
    )


def measure(question: Question) -> dict[str, Any]:
    """All figures of one case in this process, whose threads and engine its environment has set."""
    case = question.case
    started = time.perf_counter()
    codec = _with_threads(make(case.codec, question.model, case.device), case.threads)
    loaded = time.perf_counter() - started
    pixels = read_pixels(Path(question.image))
    area = pixels.shape[0] * pixels.shape[1]
    slow = isinstance(codec, codecs.VqCodec) and codec.settings["effort"] != 1
    quick = make(codecs.VQCODEC, question.model, case.device) if slow else codec
    scale = range(int(codec.qualities[0]), int(codec.qualities[-1]) + 1)
    quality = nearest_quality(lambda q: 8 * len(quick.encode(pixels, q)) / area, scale, question.bpp)
    codec.decode(codec.encode(pixels, quality))
    if case.side:
        pixels = np.ascontiguousarray(enlarge(pixels, case.side))
        area = case.side**2
    data = codec.encode(pixels, quality)
    figures: dict[str, Any] = asdict(case) | {
        "versions": codec.versions,
        "quality": quality,
        "bpp": round(8 * len(data) / area, 4),
        "pixels": area,
        "load_s": round(loaded, 4),
        "encode_s": median_seconds(lambda: codec.encode(pixels, quality), question.repeats),
        "decode_s": median_seconds(lambda: codec.decode(data), question.repeats),
        "peak_mib": peak_mib(),
    }
    on_card = case.device.startswith("cuda")
    if on_card:
        figures |= _card(case.device)
    if isinstance(codec, codecs.VqCodec):
        parts = vqcodec_parts(codec.codec)
        figures |= {
            "encode_parts_s": split(lambda: codec.encode(pixels, quality), parts),
            "decode_parts_s": split(lambda: codec.decode(data), parts),
            "torch": "torch" in sys.modules,
            "runs_on": "torch" if on_card else vqcodec.features().get("engine"),
            **_png_seconds(pixels),
        }
    return figures


def _card(device: str) -> dict[str, Any]:
    """A graphics card, and the most memory of it that tensors took."""
    import torch  # noqa: PLC0415  which others do without

    peak = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return {"card": torch.cuda.get_device_name(device), "card_peak_mib": peak}


def enlarge(pixels: np.ndarray, side: int) -> np.ndarray:
    """A square of `side` pixels, filled with a picture (H, W, 3) and its mirror images."""
    for axis in (0, 1):
        twice = np.concatenate([pixels, np.flip(pixels, axis)], axis)
        times = -(-side // twice.shape[axis])
        pixels = np.concatenate([twice] * times, axis).take(range(side), axis)
    return pixels


def nearest_quality(rate: Callable[[float], float], qualities: Sequence[float], target: float) -> float:
    """The quality whose rate is nearest to `target`, by bisection: rates grow along `qualities`."""
    low, high = 0, len(qualities) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate(qualities[middle]) < target else (low, middle)
    return min((qualities[low], qualities[high]), key=lambda quality: abs(rate(quality) - target))


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median of the wall-clock seconds of a call; fewer repeats where it is slow."""
    totals: list[float] = []
    while len(totals) < repeats and sum(totals) < BUDGET:
        started = time.perf_counter()
        call()
        totals.append(time.perf_counter() - started)
    return round(statistics.median(totals), 5)


def _png_seconds(pixels: Pixels) -> dict[str, float]:
    """What reading and writing the picture itself takes, which no figure of a codec holds."""
    file = io.BytesIO()
    started = time.perf_counter()
    Image.fromarray(pixels).save(file, "PNG")
    written = time.perf_counter()
    np.asarray(Image.open(file).convert("RGB"))
    read = time.perf_counter()
    return {"png_write_s": round(written - started, 5), "png_read_s": round(read - written, 5)}


def _with_threads(codec: codecs.Codec, threads: int) -> codecs.Codec:
    """Give the codec `threads` threads where it can use them; torch and vqcodec read the environment."""
    if isinstance(codec, PillowCodec) and codec.format == "AVIF":
        from PIL import AvifImagePlugin  # noqa: PLC0415  absent from older Pillow

        AvifImagePlugin.DEFAULT_MAX_THREADS = threads  # decoding has no argument for it
        return replace(codec, options={**codec.options, "max_threads": threads})
    return codec


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures of a `Question`; returns the exit status."""
    (question,) = sys.argv[1:] if argv is None else argv
    print(json.dumps(measure(Question.from_json(question))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
