"""Estimated rate and PSNR of a training state: `python -m benchmarks.evaluate STATE --data DIR`.

For choosing between runs while they train; figures that are published come from real files
(`rate_distortion.py`). With `--against` changes are told picture by picture, means of logarithms, and J with
SSIMULACRA2's error in the place of squared error, too: a lower loss may only mean other choices.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from vqcodec.errors import ModelNotFound
from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.dial import lambda_of_level
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import find_images
from vqcodec.training.reports import CodebookUse
from vqcodec.training.state import load_start, load_state

LEAST = 1e-9
"""Smallest error, of pictures that come back exactly: logarithms need one."""


@torch.no_grad()
def silence_networks(model: VQVAE) -> None:
    """Zero the last layers of both transforms' networks and of the restoration: the shortcut remains.

    How much worse the model then is shows what its networks contribute.
    """
    restoration = model.g_s.restoration
    for layer in (model.g_a.tail, model.g_s.tail, restoration.gates, restoration.draw):
        for parameter in layer.parameters():
            parameter.zero_()


class Measured(NamedTuple):
    """Of one picture: bits per pixel, those of the hyper-latent, and errors.

    Attributes:
        mse: mean squared error of 8-bit RGB, `LEAST` or more.
        seen: SSIMULACRA2's weighted error, `LEAST` or more; nan unless asked for.
    """

    bpp: float
    bpp_z: float
    mse: float
    seen: float


@torch.inference_mode()
def measure(
    model: VQVAE, path: Path, level: float, use: CodebookUse | None = None, seen: bool = False
) -> Measured:
    """Code a whole picture, without bytes, at quality `level` (t in [0, 1]).

    Args:
        use: counts the codewords that are chosen.
        seen: measure SSIMULACRA2's error, too.
    """
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    h, w = pixels.shape[:2]
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    padded = F.pad(x, (0, -w % 16, 0, -h % 16), mode="replicate")
    output = model(padded, torch.tensor([level]))
    if use:
        use.add(output)
    decoded = (output.picture[..., :h, :w].clamp(0, 1) * 255).round()
    mse = float((decoded - x * 255).square().mean())
    bits = float(output.bits_y), float(output.bits_z)
    error = max(float(weighted_error(x, decoded / 255)), LEAST) if seen else math.nan
    return Measured(sum(bits) / (h * w), bits[1] / (h * w), max(mse, LEAST), error)


def evaluate(
    model: VQVAE, paths: list[Path], level: float, use: CodebookUse | None = None
) -> dict[str, float]:
    """Mean estimated bpp, mean PSNR (8-bit RGB) and mean cost J over whole pictures.

    Args:
        level: quality t in [0, 1].
        use: counts the codewords that are chosen.
    """
    price, rows = _price(level), []
    for path in paths:
        m = measure(model, path, level, use)
        rows.append((m.bpp, 10 * math.log10(255**2 / m.mse), price * m.mse + m.bpp, m.bpp_z))
    bpp, psnr, cost, bpp_z = (float(v) for v in np.mean(rows, axis=0))
    return {"level": level, "bpp": bpp, "psnr": psnr, "cost": cost, "bpp_z": bpp_z}


def compare(model: VQVAE, anchor: VQVAE, paths: list[Path], level: float) -> dict[str, float]:
    """By how many percent bits, errors and costs of a model differ from another's, pictures weighing alike.

    "cost_seen" has the change of SSIMULACRA2's error in the place of that of the squared error.
    """
    price, rows = _price(level), []
    for path in paths:
        new, old = (measure(m, path, level, seen=True) for m in (model, anchor))
        before = price * old.mse + old.bpp
        seen = price * old.mse * new.seen / old.seen + new.bpp
        cost = price * new.mse + new.bpp
        rows.append((new.bpp / old.bpp, new.mse / old.mse, new.seen / old.seen, cost / before, seen / before))
    names = ("bpp", "mse", "seen", "cost", "cost_seen")
    changes = 100 * np.expm1(np.log(rows).mean(0))
    return {"level": level} | dict(zip(names, map(float, changes), strict=True))


def _price(level: float) -> float:
    return float(lambda_of_level(torch.tensor([level])))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--levels", default="0,0.25,0.5,0.75,1")
    parser.add_argument("--weights", choices=("ema", "model"), default="ema")
    parser.add_argument("--exact", action="store_true", help="on the integer grids of the coded path")
    either = parser.add_mutually_exclusive_group()
    what = "per-group perplexity, dead words, w*|r-c|^2"
    either.add_argument("--codebooks", action="store_true", help=what)
    parser.add_argument("--linear", action="store_true", help="with the linear shortcuts alone, no networks")
    parser.add_argument("--limit", type=int, help="use the first N pictures only")
    what = "choose codewords by the prices of effort 1, as files have them, not by those of training"
    parser.add_argument("--greedy", action="store_true", help=what)
    what = "tell changes in percent from this model, state or weights file"
    either.add_argument("--against", metavar="MODEL", help=what)
    arguments = parser.parse_args()
    try:
        model, settings = load_state(arguments.state, arguments.weights)
        anchor = load_start(arguments.against) if arguments.against is not None else None
        paths = find_images(arguments.data)[: arguments.limit]
    except (ModelNotFound, OSError) as error:
        parser.error(str(error))
    models = [model] if anchor is None else [model, anchor]
    for one in models:
        one.set_exact(arguments.exact)
        if arguments.greedy:
            one.quantizer.use_greedy_slopes()
        if arguments.linear:
            silence_networks(one)
    print(json.dumps({"step": settings["step"], "seconds": settings["seconds"], "pictures": len(paths)}))
    use = CodebookUse(model.quantizer) if arguments.codebooks else None
    for level in arguments.levels.split(","):
        if anchor is None:
            result = evaluate(model, paths, float(level), use)
        else:
            result = compare(model, anchor, paths, float(level))
        print(json.dumps({k: round(v, 4) for k, v in result.items()}), flush=True)
    if use:
        print(json.dumps(use.summary()))


if __name__ == "__main__":
    main()
