"""Estimated rate and PSNR of a training state: `python -m benchmarks.evaluate STATE --data DIR`.

For choosing between runs while they train; figures that are published come from real files
(`rate_distortion.py`).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from vqcodec.errors import ModelNotFound
from vqcodec.model.dial import lambda_of_level
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import find_images
from vqcodec.training.reports import CodebookUse
from vqcodec.training.state import load_state


@torch.no_grad()
def silence_networks(model: VQVAE) -> None:
    """Zero the last layers of both transforms' networks and of the restoration: the shortcut remains.

    How much worse the model then is shows what its networks contribute.
    """
    restoration = model.g_s.restoration
    for layer in (model.g_a.tail, model.g_s.tail, restoration.gates, restoration.draw):
        for parameter in layer.parameters():
            parameter.zero_()


@torch.inference_mode()
def evaluate(
    model: VQVAE, paths: list[Path], level: float, use: CodebookUse | None = None
) -> dict[str, float]:
    """Mean estimated bpp, mean PSNR (8-bit RGB) and mean cost J over whole pictures.

    Args:
        level: quality t in [0, 1].
        use: counts the codewords that are chosen.
    """
    rows = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        h, w = pixels.shape[:2]
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        padded = F.pad(x, (0, -w % 16, 0, -h % 16), mode="replicate")
        t = torch.tensor([level])
        output = model(padded, t)
        if use:
            use.add(output)
        decoded = (output.picture[..., :h, :w].clamp(0, 1) * 255).round()
        mse = float((decoded - x * 255).square().mean())
        bpp = float((output.bits_y + output.bits_z) / (h * w))
        cost = float(lambda_of_level(t)) * mse + bpp
        rows.append((bpp, 10 * math.log10(255**2 / max(mse, 1e-9)), cost, float(output.bits_z) / (h * w)))
    bpp, psnr, cost, bpp_z = (float(v) for v in np.mean(rows, axis=0))
    return {"level": level, "bpp": bpp, "psnr": psnr, "cost": cost, "bpp_z": bpp_z}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--levels", default="0,0.25,0.5,0.75,1")
    parser.add_argument("--weights", choices=("ema", "model"), default="ema")
    parser.add_argument("--exact", action="store_true", help="on the integer grids of the coded path")
    what = "per-group perplexity, dead words, w*|r-c|^2"
    parser.add_argument("--codebooks", action="store_true", help=what)
    parser.add_argument("--linear", action="store_true", help="with the linear shortcuts alone, no networks")
    parser.add_argument("--limit", type=int, help="use the first N pictures only")
    arguments = parser.parse_args()
    try:
        model, settings = load_state(arguments.state, arguments.weights)
        paths = find_images(arguments.data)[: arguments.limit]
    except (ModelNotFound, OSError) as error:
        parser.error(str(error))
    model.set_exact(arguments.exact)
    if arguments.linear:
        silence_networks(model)
    print(json.dumps({"step": settings["step"], "seconds": settings["seconds"], "pictures": len(paths)}))
    use = CodebookUse(model.quantizer) if arguments.codebooks else None
    for level in arguments.levels.split(","):
        result = evaluate(model, paths, float(level), use)
        print(json.dumps({k: round(v, 4) for k, v in result.items()}), flush=True)
    if use:
        print(json.dumps(use.summary()))


if __name__ == "__main__":
    main()
