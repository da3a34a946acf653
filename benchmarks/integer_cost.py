"""What exactness costs: integers and their real bytes against the same model in floating point.

    python -m benchmarks.integer_cost STATE WEIGHTS --eval photos/ --levels 0 64 128 192 252

Three measurements of every picture:

    float   the state's transforms, prior, codebooks and probabilities in float32, estimated rate
    grids   the same with prior, codewords and context classes on their integer grids, estimated rate
    real    segments coded and decoded with the weights file: transforms in integers, counted tables

Rate and distortion move together, so each is also given as the difference of J = lambda 255^2 MSE + bpp in
per cent of the float rate: the change of rate at equal distortion. WEIGHTS must be an export of STATE.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.anchors import Pixels
from benchmarks.rate_distortion import read_pixels
from benchmarks.report.curves import table
from benchmarks.report.results import dump
from vqcodec.codec import Codec
from vqcodec.compress.feedback import to_tensor
from vqcodec.compress.source import PaddedPixels
from vqcodec.errors import VQCodecError
from vqcodec.metrics.rate_distortion import mse, psnr
from vqcodec.model.dial import lambda_of_level
from vqcodec.model.vqvae import VQVAE
from vqcodec.tiling import whole
from vqcodec.training.data import find_images
from vqcodec.training.prior_arrays import export_prior
from vqcodec.training.state import load_state
from vqcodec.types import LEVEL_MAX
from vqcodec.weights.loaded import LoadedModel

SCHEMA = 1
PATHS = ("float", "grids", "real")

DEFINITION = {
    "bpp": "float, grids: estimated bits; real: 8 x bytes of the segments, no container; mean of pictures",
    "psnr": "dB, 8-bit RGB, mean of the pictures",
    "cost": "J = lambda x 255^2 x MSE + bpp, mean of the pictures",
    "rate_percent": "bpp against float",
    "equal_distortion_percent": "J minus J of float, in per cent of the bpp of float",
}


def load_pair(state: Path, weights: Path) -> tuple[VQVAE, Codec]:
    """The float model of the state, and the codec of the weights file.

    Raises:
        ModelNotFound: the weights file cannot be used.
        ValueError: it was not exported from the state.
    """
    model, _ = load_state(state)
    model.quantizer.use_greedy_slopes()
    shipped = LoadedModel.load(weights)
    if shipped.config != model.config:
        raise ValueError(f"{weights} and {state} have different sizes")
    for name, array in export_prior(model).items():
        if not np.array_equal(shipped.coding[name], array):
            raise ValueError(f"{weights} was not exported from {state}: {name} differs")
    return model, Codec.of(shipped)


@torch.inference_mode()
def estimate(model: VQVAE, pixels: Pixels, level: int) -> tuple[float, Pixels]:
    """Estimated bits of both latents, and the decoded pixels (H, W, 3), with the grids as `model` is set."""
    source = PaddedPixels(pixels)
    x = to_tensor(source.window(whole(source.shape)), torch.device("cpu")) / 255
    output = model(x, torch.tensor([level / LEVEL_MAX]))
    picture = output.picture[0, :, : pixels.shape[0], : pixels.shape[1]]
    rounded = picture.clamp(0, 1).mul(255).round().to(torch.uint8)
    return float(output.bits_y + output.bits_z), np.ascontiguousarray(rounded.permute(1, 2, 0).numpy())


def real(codec: Codec, pixels: Pixels, level: int) -> tuple[float, Pixels]:
    """Bits of the segments without the container around them, and the pixels that they decode to."""
    height, width = pixels.shape[:2]
    segments = codec.encode(pixels, level, 0).segments
    decoded = codec.decode(segments, width=width, height=height, level=level, tile=0)
    return 8.0 * sum(len(segment) for layers in segments for segment in layers), decoded


def measure(model: VQVAE, codec: Codec, pixels: Pixels, level: int) -> dict[str, dict[str, float]]:
    """bpp, PSNR and J of one picture by each path."""
    weight = float(lambda_of_level(torch.tensor(level / LEVEL_MAX)))
    figures = {}
    for name in PATHS:
        model.set_exact(name == "grids")
        bits, decoded = real(codec, pixels, level) if name == "real" else estimate(model, pixels, level)
        bpp = bits / (pixels.shape[0] * pixels.shape[1])
        figures[name] = {
            "bpp": bpp,
            "psnr": psnr(pixels, decoded),
            "cost": weight * mse(pixels, decoded) + bpp,
        }
    return figures


def point(level: int, pictures: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over the pictures at one level, and what grids and real cost against float."""
    means = {
        name: {k: sum(p[name][k] for p in pictures.values()) / len(pictures) for k in ("bpp", "psnr", "cost")}
        for name in PATHS
    }
    base = means["float"]
    for name in PATHS[1:]:
        own = means[name]
        own["rate_percent"] = 100 * (own["bpp"] / base["bpp"] - 1)
        own["equal_distortion_percent"] = 100 * (own["cost"] - base["cost"]) / base["bpp"]
    rounded = {name: {k: round(v, 5) for k, v in values.items()} for name, values in means.items()}
    images = {
        file: {name: {k: round(v, 5) for k, v in values.items()} for name, values in by_path.items()}
        for file, by_path in pictures.items()
    }
    return {"level": level, **rounded, "images": images}


def cost_table(points: Sequence[dict[str, Any]]) -> str:
    """One line for each level, and the mean of the percentages."""
    names = [f"{name} {what}" for name in PATHS[1:] for what in ("rate", "dB", "at equal MSE")]
    rows = [["level", "float bpp", "float PSNR", *names]]
    totals: dict[str, list[float]] = {name: [] for name in names}
    for p in points:
        for name in PATHS[1:]:
            change = p[name]["psnr"] - p["float"]["psnr"]
            values = (p[name]["rate_percent"], change, p[name]["equal_distortion_percent"])
            for what, value in zip(("rate", "dB", "at equal MSE"), values, strict=True):
                totals[f"{name} {what}"].append(value)
        cells = [_cell(name, totals[name][-1]) for name in names]
        rows.append([str(p["level"]), f"{p['float']['bpp']:.4f}", f"{p['float']['psnr']:.3f}", *cells])
    means = [_cell(name, math.fsum(totals[name]) / len(points)) for name in names]
    return table([*rows, ["mean", "", "", *means]])


def _cell(name: str, value: float) -> str:
    return f"{value:+.3f}" if name.endswith("dB") else f"{value:+.2f} %"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurement; returns the exit status."""
    parser = argparse.ArgumentParser(prog="integer_cost", description=__doc__.split("\n", 1)[0])
    parser.add_argument("state", type=Path, help="a training state")
    parser.add_argument("weights", type=Path, help="the weights file exported from it")
    parser.add_argument("--eval", type=Path, required=True, metavar="DIR", help="lossless pictures")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N pictures only")
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 64, 128, 192, 252], metavar="LEVEL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="JSON", help="write all figures here as well")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        model, codec = load_pair(args.state, args.weights)
        paths = find_images(args.eval)[: args.limit]
    except (VQCodecError, OSError, ValueError) as error:
        print(f"integer_cost: {error}", file=sys.stderr)
        return 1
    points = []
    for level in args.levels:
        points.append(
            point(level, {path.name: measure(model, codec, read_pixels(path), level) for path in paths})
        )
        if sys.stderr.isatty():
            print(f"level {level} done", file=sys.stderr)
    print(cost_table(points))
    if args.out:
        identity = {"name": codec.name, "bitstream_id": codec.bitstream_id}
        result = {"schema": SCHEMA, "definition": DEFINITION, "model": identity, "points": points}
        args.out.write_text(dump(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
