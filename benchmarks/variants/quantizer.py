"""Vector quantisation against scalar rounding: same transforms, prior, seed and steps, nothing else differs.

    python -m benchmarks.variants.quantizer --data photos/ --eval dev/ --steps 800 --work runs/quantizer

Both variants are trained by `benchmarks.variants.train` in processes of their own, annealed to the end of
the run and off the integer grids, which scalar rounding does not have. They are judged by
J = lambda 255^2 MSE + bpp with estimated rates over whole pictures. A finished variant in --work is not
trained again, an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluate import evaluate
from benchmarks.processes import ROOT, environment, machine
from benchmarks.report.curves import table
from benchmarks.report.results import dump
from benchmarks.variants.train import KINDS
from vqcodec.model.codebook import VectorQuantizer
from vqcodec.training.data import find_images
from vqcodec.training.reports import CodebookUse
from vqcodec.training.state import config_of_state, load_state, progress_of_state

SCHEMA = 1
VARIANTS = ("vector", "scalar")
NEVER = 2.0
"""Share of the run from which the integer grids are on: above one, never."""

DEFINITION = {
    "cost": "J = lambda x 255^2 x MSE + bpp, estimated rate, 8-bit RGB, mean of pictures; lower is better",
    "w_error": "6 |r - c|^2 per group and position; half the group's size is ideal at high rate",
    "perplexity": "exp of the entropy of a group's words over all pictures and levels",
    "dead_words": "words of a group that no picture used at any level",
}


def train(variant: str, work: Path, args: argparse.Namespace) -> Path:
    """Train one variant as far as it is not yet trained; returns its state file."""
    out = work / variant
    state = out / "state.safetensors"
    settings = {"steps": args.steps, "seed": args.seed, "exact_from": NEVER}
    command = [sys.executable, "-m", "benchmarks.variants.train", variant, "--out", str(out.resolve())]
    command += ["--data", str(args.data.resolve()), "--threads", str(args.threads)]
    for name, value in settings.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    if state.exists():
        config = config_of_state(state)
        stored = {name: config[name] for name in settings}
        if stored != settings:
            raise SystemExit(f"quantizer: {state} comes from other settings: {stored}; use another --work")
        if progress_of_state(state)["step"] >= args.steps:
            return state
        command.append("--resume")
    subprocess.run(command, cwd=ROOT, env=environment(args.threads), check=True)
    if progress_of_state(state)["step"] < args.steps:
        raise SystemExit(f"quantizer: {variant} was stopped early; the same command goes on")
    return state


def judge(state: Path, paths: list[Path], levels: list[float], kind: str) -> dict[str, Any]:
    """Figures of one trained variant over the pictures `paths`, by level and, for codebooks, by group.

    Args:
        kind: of `benchmarks.variants.train.KINDS`.
    """
    model, settings = load_state(state, kind=KINDS[kind].kind)
    model.set_exact(False)
    use = CodebookUse(model.quantizer) if type(model.quantizer) is VectorQuantizer else None
    points = [evaluate(model, paths, level, use) for level in levels]
    result: dict[str, Any] = {
        "steps": settings["step"],
        "training_seconds": round(float(str(settings["seconds"])), 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "points": [{name: round(value, 5) for name, value in point.items()} for point in points],
    }
    if use:
        result["codebooks"] = use.summary()
    return result


def bands_table(bands: Sequence[tuple[int, int, int]], codebooks: dict[str, list[float]]) -> str:
    """Health of the codebooks, one line for each band of equal groups."""
    rows = [["group size", "groups", "words", "perplexity", "dead words", "w*|r-c|^2", "ideal"]]
    start = 0
    for size, channels, words in bands:
        groups = channels // size
        perplexity, dead, error = (
            codebooks[name][start : start + groups] for name in ("perplexity", "dead_words", "w_error")
        )
        spread = f"{min(perplexity):.1f}-{max(perplexity):.1f}"
        means = [f"{sum(dead) / groups:.1f}", f"{sum(error) / groups:.3f}", f"{size / 2:.1f}"]
        rows.append([str(size), str(groups), str(words), spread, *means])
        start += groups
    return table(rows)


def points_table(variants: dict[str, dict[str, Any]]) -> str:
    """Both variants side by side at every level; the last column is J of vector against scalar."""
    rows = [["level", *(f"{name} {what}" for name in VARIANTS for what in ("bpp", "PSNR", "J")), "J"]]
    for vector, scalar in zip(*(variants[name]["points"] for name in VARIANTS), strict=True):
        figures = [
            f"{p[k]:.{d}f}" for p in (vector, scalar) for k, d in (("bpp", 4), ("psnr", 2), ("cost", 4))
        ]
        rows.append(
            [f"{vector['level']:g}", *figures, f"{100 * (vector['cost'] / scalar['cost'] - 1):+.1f} %"]
        )
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(prog="quantizer", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="training pictures")
    parser.add_argument("--eval", type=Path, required=True, metavar="DIR", help="pictures to judge on")
    parser.add_argument("--limit", type=int, metavar="N", help="judge on the first N pictures only")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.0, 0.5, 1.0], metavar="T")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, default=Path("runs/quantizer"), metavar="DIR", help="training states"
    )
    default = Path(__file__).resolve().parents[1] / "results" / "quantizer.json"
    parser.add_argument("--out", type=Path, default=default, metavar="JSON")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        paths = find_images(args.eval)[: args.limit]
        states = {name: train(name, args.work, args) for name in VARIANTS}
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"quantizer: {error}", file=sys.stderr)
        return 1
    variants = {name: judge(state, paths, args.levels, name) for name, state in states.items()}
    settings = {name: config_of_state(state) for name, state in states.items()}
    for values in settings.values():
        del values["data"], values["out"]
    if settings["vector"] != settings["scalar"]:
        print("quantizer: the two variants were trained with different settings", file=sys.stderr)
        return 1
    result = {
        "schema": SCHEMA,
        "definition": DEFINITION,
        "settings": {k: v for k, v in settings["vector"].items() if k != "model"},
        "model": settings["vector"]["model"].to_dict(),
        "machine": machine(args.threads),
        "pictures": [path.name for path in paths],
        "variants": variants,
    }
    args.out.write_text(dump(result), encoding="utf-8")
    print(points_table(variants))
    print()
    print(bands_table(settings["vector"]["model"].bands, variants["vector"]["codebooks"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
