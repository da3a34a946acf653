"""One setting of the matrix: `coder JOB.json FOLDER` encodes and decodes, and prints digests as JSON.

The job has: count of pictures, .vqc files, the folder `decode` of files to decode, if they are `only` some,
and whether to `encode`. What is encoded goes to FOLDER as NAME.vqc.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

import vqcodec
from benchmarks.robustness import samples
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.native.choice import engine

REALISMS = (0.0, 0.4, 1.0)
PACKAGED_SHARE = 10
"""One in so many pictures is coded by the packaged model, which takes its time."""


def pictures(count: int) -> Iterator[tuple[str, samples.Sample]]:
    """Model and picture: most by the tiny model, some by the packaged one, some of effort 2."""
    for number, sample in enumerate(samples.fresh(count)):
        yield "tiny" if number % PACKAGED_SHARE else "default", sample
    if importlib.util.find_spec("torch") is not None:  # which searches need
        for sample in samples.fresh(max(1, count // 50), largest=33, seed=1, effort=2):
            yield "tiny", sample


def digests(codec: Codec, data: bytes) -> list[str]:
    """Of the indices in the order of reading, then of the pixels by each decoder that the model has."""
    symbols = hashlib.sha256()
    read = SegmentReader.read

    def recorded(*arguments: Any) -> Any:
        found = read(*arguments)
        symbols.update(np.ascontiguousarray(found, np.int32).data)
        return found

    with patch.object(SegmentReader, "read", recorded):
        images = [codec.decompress(data)]
    images += [codec.decompress(data, realism=share) for share in REALISMS[1:] if codec.realism_id]
    return [symbols.hexdigest()[:16], *(_digest(image) for image in images)]


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()[:16]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", action="store_true", help="code by batches of two workers")
    options = parser.parse_args()
    job = json.loads(options.job.read_text())
    with tempfile.TemporaryDirectory() as place:
        weights = Path(place) / "tiny.safetensors"
        samples.write_two_faced(weights)
        models: dict[str, Any] = {"tiny": weights, "golden": samples.TINY, "default": "default"}
        codecs = {name: vqcodec.load(path, device=options.device) for name, path in models.items()}
        encoded = {}
        if job.get("encode", True):
            encoded = (
                _encode_in_batch(job, models, options.folder)
                if options.batch
                else _encode(job, codecs, options.folder)
            )
        decoded = {}
        for key, data in _files(job):
            if key in job.get("only", [key]):
                decoded[key] = digests(codecs[key.split(" ")[0]], data)
        if options.batch:
            _decode_in_batch(dict(_files(job)), models, decoded)
    print(json.dumps({"engine": engine(), "encoded": encoded, "decoded": decoded}))


def _key(model: str, sample: samples.Sample) -> str:
    effort = sample.options["effort"]
    return f"{model} {sample.name}" + (f" effort {effort}" if effort > 1 else "")


def _encode(job: dict[str, Any], codecs: dict[str, Codec], folder: Path) -> dict[str, str]:
    found = {}
    for model, sample in pictures(job["count"]):
        data = sample.compress(codecs[model])
        key = _key(model, sample)
        (folder / f"{key}.vqc").write_bytes(data)
        found[key] = hashlib.sha256(data).hexdigest()[:16]
    return found


def _encode_in_batch(job: dict[str, Any], models: dict[str, Any], folder: Path) -> dict[str, str]:
    """As `_encode`, but by `compress_batch`; pictures of the same options at once."""
    found: dict[str, str] = {}
    groups: dict[tuple[str, str], list[samples.Sample]] = {}
    for model, sample in pictures(job["count"]):
        groups.setdefault((model, json.dumps(sample.options, sort_keys=True)), []).append(sample)
    with tempfile.TemporaryDirectory() as place:
        for number, ((model, options), made) in enumerate(groups.items()):
            sources = Path(place) / str(number)
            sources.mkdir()
            for sample in made:
                image = sample.image
                image.save(sources / f"{_key(model, sample)}.png", exif=image.info.get("exif", b""))
            report = vqcodec.compress_batch(
                [sources], folder, model=models[model], device="cpu", jobs=2, **json.loads(options)
            )
            for result in report.done:
                data = Path(str(result.output)).read_bytes()
                found[Path(str(result.output)).stem] = hashlib.sha256(data).hexdigest()[:16]
    return found


def _decode_in_batch(files: dict[str, bytes], models: dict[str, Any], decoded: dict[str, list[str]]) -> None:
    """Put what `decompress_batch` makes of the files in the place of their pixels."""
    with tempfile.TemporaryDirectory() as place:
        for model, path in models.items():
            sources = Path(place) / model
            sources.mkdir()
            names = [key for key in decoded if key.split(" ")[0] == model]
            for number, key in enumerate(names):
                (sources / f"{number}.vqc").write_bytes(files[key])
            vqcodec.decompress_batch([sources], model=path, device="cpu", jobs=2)
            for number, key in enumerate(names):
                with Image.open(sources / f"{number}.png") as image:
                    decoded[key][1] = _digest(image)


def _files(job: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    if "only" not in job:
        for name, data in samples.golden().items():
            yield f"golden {name}", data
        for name in job["files"]:
            yield f"default {name}", Path(name).read_bytes()
    for path in sorted(Path(job["decode"]).glob("*.vqc")):
        yield path.stem, path.read_bytes()


if __name__ == "__main__":
    main()
