"""The result file of a rate-distortion run: versioned JSON, and the cache of an interrupted run.

    {"schema": 1,
     "definition": {"bpp": ..., "psnr": ..., "mean": ...},
     "dataset": {"kodim01.png": {"width": 768, "height": 512, "sha256": of the RGB bytes}, ...},
     "codecs": {"webp": {"settings": {...}, "versions": {...},
                         "points": [
       {"quality": 50, "bpp": mean, "psnr": mean, "complete": true,
        "images": {"kodim01.png": {"bytes": ..., "bpp": ..., "psnr": ...}, ...}}, ...]}}}

Other figures (`FIGURES`) stand beside `psnr` where they were measured, by what "definition" says. `psnr` is
null where a picture came back without any error. A mean stands only where the point is complete and finite.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.bd_rate import RatePoint
from vqcodec.files import write_atomic

SCHEMA = 1
FIGURES = ("psnr", "ms_ssim", "ssimulacra2", "butteraugli", "cvvdp", "lpips", "dists")
"""What a sample may hold."""
MAIN_FIGURES = FIGURES[:3]
LOWER_IS_BETTER = frozenset({"butteraugli", "lpips", "dists"})
"""The others rise with quality."""

DEFINITION = {
    "bpp": "8 x bytes of the whole file / (width x height)",
    "psnr": "dB, 8-bit RGB, error over all three channels of one picture",
    "mean": "of the per-picture values",
}


class ResultError(ValueError):
    """A result file that cannot be used, with the reason for people."""


@dataclass(frozen=True)
class Picture:
    """What identifies a picture of the data set."""

    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Sample:
    """One picture at one quality."""

    bytes: int
    bpp: float
    psnr: float | None
    ms_ssim: float | None = None
    ssimulacra2: float | None = None
    butteraugli: float | None = None
    cvvdp: float | None = None
    lpips: float | None = None
    dists: float | None = None

    def lacks(self, figures: Iterable[str]) -> list[str]:
        """Those of the figures that were not measured; PSNR always was."""
        return [figure for figure in figures if figure != "psnr" and getattr(self, figure) is None]

    def joined(self, other: Sample) -> Sample:
        """The figures of both, of one file that was measured twice.

        Raises:
            ResultError: they are of different files.
        """
        if self.bytes != other.bytes:
            raise ResultError(
                f"a file has {other.bytes} bytes where the results have one of {self.bytes}; "
                "--force measures all anew"
            )
        return replace(self, **{f: v for f, v in other.to_json().items() if v is not None})

    def to_json(self) -> dict[str, Any]:
        """Without the figures that were not measured."""
        return {k: v for k, v in asdict(self).items() if v is not None or k == "psnr"}


@dataclass
class Point:
    """One quality over the data set; `images` grows while the run goes on."""

    quality: float
    images: dict[str, Sample] = field(default_factory=dict)

    def mean(self, pictures: int, figure: str = "psnr") -> RatePoint | None:
        """Mean bpp and figure, or None while pictures or their figures are missing, or a PSNR is infinite."""
        values = [getattr(sample, figure) for sample in self.images.values()]
        finite = [value for value in values if value is not None]
        if not finite or len(finite) != pictures:
            return None
        rate = sum(sample.bpp for sample in self.images.values()) / pictures
        return RatePoint(rate, sum(finite) / pictures)


@dataclass
class CodecResult:
    """All points of one codec, with what they hold for."""

    settings: dict[str, Any]
    versions: dict[str, str]
    points: dict[float, Point] = field(default_factory=dict)


@dataclass
class Results:
    """A whole result file."""

    dataset: dict[str, Picture]
    codecs: dict[str, CodecResult] = field(default_factory=dict)
    definition: dict[str, str] = field(default_factory=DEFINITION.copy)

    def define(self, figure: str, text: str) -> None:
        """Say what a figure is from now on; values by another definition are dropped."""
        if self.definition.get(figure, text) != text:
            for codec in self.codecs.values():
                for point in codec.points.values():
                    without: dict[str, Any] = {figure: None}
                    point.images = {n: replace(sample, **without) for n, sample in point.images.items()}
        self.definition[figure] = text

    def curve(self, codec: str, figure: str = "psnr") -> list[RatePoint]:
        """The complete points of a codec in order of quality, by one of `FIGURES`.

        Where lower is better the values are negative: they rise with quality, as BD-rates need it.
        """
        points = sorted(self.codecs[codec].points.values(), key=lambda point: point.quality)
        means = (point.mean(len(self.dataset), figure) for point in points)
        sign = -1 if figure in LOWER_IS_BETTER else 1
        return [RatePoint(mean.bpp, sign * mean.value) for mean in means if mean is not None]

    def save(self, path: Path) -> None:
        """Replace the file in one step, so that an interrupted run leaves the old or the new one."""
        write_atomic(path, dump(self._to_json()).encode("utf-8"))

    def _to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "definition": self.definition,
            "dataset": {name: vars(picture) for name, picture in self.dataset.items()},
            "codecs": {
                name: {
                    "settings": codec.settings,
                    "versions": codec.versions,
                    "points": [self._point(codec.points[quality]) for quality in sorted(codec.points)],
                }
                for name, codec in self.codecs.items()
            },
        }

    def _point(self, point: Point) -> dict[str, Any]:
        means = {figure: point.mean(len(self.dataset), figure) for figure in FIGURES}
        psnr = means["psnr"]
        return {
            "quality": point.quality,
            "bpp": None if psnr is None else round(psnr.bpp, 6),
            **{k: None if m is None else round(m.value, 5) for k, m in means.items() if m or k == "psnr"},
            "complete": len(point.images) == len(self.dataset),
            "images": {name: sample.to_json() for name, sample in sorted(point.images.items())},
        }


def load(path: Path) -> Results:
    """Read a result file.

    Raises:
        ResultError: the file is not a result file of this schema.
        OSError: the file cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ResultError(f"{path}: schema {data['schema']}, not {SCHEMA}")
        return Results(
            {name: Picture(**picture) for name, picture in data["dataset"].items()},
            {name: _codec(codec) for name, codec in data["codecs"].items()},
            {**DEFINITION, **data["definition"]},
        )
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{path}: not a result file ({error!r})") from error


def _codec(data: dict[str, Any]) -> CodecResult:
    points = (
        Point(point["quality"], {name: Sample(**sample) for name, sample in point["images"].items()})
        for point in data["points"]
    )
    return CodecResult(data["settings"], data["versions"], {point.quality: point for point in points})


def dump(data: dict[str, Any]) -> str:
    """JSON with one line for each innermost object or list."""
    text = json.dumps(data, indent=1, allow_nan=False)
    innermost = re.compile(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])")
    return innermost.sub(lambda m: m[1] + re.sub(r"\n\s*", " ", m[2]) + m[3], text) + "\n"
