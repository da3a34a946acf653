"""What each choice in the model is worth: variants that differ from the default in one thing only.

    python -m benchmarks.variants.ablation --data photos/ --eval dev/ --steps 800 --work runs/ablation

Every variant is trained by `benchmarks.variants.train` in a process of its own with the same steps, seed
and settings, annealed to the end of the run and off the integer grids, which scalar rounding does not have.
They are judged by J = lambda 255^2 MSE + bpp with estimated rates over whole pictures. The same command goes
on after an interruption: a finished variant in --work is not trained again, an unfinished one resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.complexity import measure
from benchmarks.processes import ROOT, environment, machine
from benchmarks.report.curves import percent_changes, table
from benchmarks.report.results import dump
from benchmarks.variants.quantizer import DEFINITION, NEVER, judge
from benchmarks.variants.train import KINDS
from vqcodec.model.config import ModelConfig
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import find_images
from vqcodec.training.state import config_of_state, progress_of_state

SCHEMA = 1


@dataclass(frozen=True)
class Variant:
    """One change from the default.

    Attributes:
        what: the change in a few words.
        settings: fields of `TrainConfig` that differ.
        model: fields of `ModelConfig` that differ.
        kind: of `benchmarks.variants.train.KINDS`.
    """

    name: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "vector"

    @property
    def changes(self) -> dict[str, Any]:
        """What differs, as it is recorded."""
        changed = {"model": dict(self.model), "kind": self.kind if self.kind != "vector" else ""}
        return {**self.settings, **{name: value for name, value in changed.items() if value}}


_CHANNELS, _BANDS = ModelConfig().channels, ModelConfig().bands
WHOLE = {"slices": (), "slice_width": 0}
"""Bands cut otherwise have none at the slices' boundaries, so all variants are compared without slices."""

VARIANTS = (
    Variant("default", "nothing"),
    Variant("seed", "another seed: differences below this one are chance", settings={"seed": 1000}),
    Variant("scalar", "scalar rounding, Gaussian prior", kind="scalar"),
    Variant("groups-2", "all groups of 2 channels, 256 words", model={"bands": ((2, _CHANNELS, 256),)}),
    Variant("groups-4", "all groups of 4 channels, 256 words", model={"bands": ((4, _CHANNELS, 256),)}),
    Variant(
        "words-half",
        "half the words in every codebook",
        model={"bands": tuple((d, c, k // 2) for d, c, k in _BANDS)},
    ),
    Variant(
        "words-double",
        "twice the words where groups are single channels",
        model={"bands": tuple((d, c, 2 * k if d == 1 else k) for d, c, k in _BANDS)},
    ),
    Variant(
        "two-stages",
        "two residual stages of half the words each",
        kind="residual",
    ),
    Variant("two-pass", "spatial context in two passes (checkerboard)", kind="two-pass"),
    Variant(
        "slices",
        "bands in five slices, each looks at those before it",
        model={"slices": (1, 2, 3, 4), "slice_width": 128},
    ),
    Variant("classes-27x5", "context classes 27 x 5", model={"context_levels": (27, 5)}),
    Variant("classes-18x5", "context classes 18 x 5", model={"context_levels": (18, 5)}),
    Variant("classes-27x1", "context classes 27 x 1", model={"context_levels": (27, 1)}),
    Variant("slow-1", "shortcut and last layers at the common rate", settings={"slow": 1.0}),
    Variant(
        "deep",
        "narrower and deeper transforms, equal work",
        model={"analysis": (104, 160, 8, 4), "synthesis": (104, 160, 6, 5)},
    ),
    Variant(
        "shallow",
        "wider and shallower transforms, equal work",
        model={"analysis": (160, 240, 3, 2), "synthesis": (168, 248, 2, 2)},
    ),
)


def variant_config(variant: Variant, shared: TrainConfig, work: Path) -> TrainConfig:
    """Settings of one variant's run, which leaves its state below `work`."""
    model = dataclasses.replace(shared.model, **variant.model)
    out = str((work / variant.name).resolve())
    return dataclasses.replace(shared, **variant.settings, model=model, out=out)


def training_command(config: TrainConfig, kind: str) -> list[str]:
    """The command line that trains a kind of model with these settings."""
    words = [sys.executable, "-m", "benchmarks.variants.train", kind]
    for item in dataclasses.fields(TrainConfig):
        value, option = getattr(config, item.name), item.name.replace("_", "-")
        if item.name == "model":
            default = ModelConfig().to_dict()
            changes = {k: v for k, v in config.model.to_dict().items() if v != default[k]}
            words += ["--model", json.dumps(changes)]
        elif value == item.default:
            continue
        elif isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return words


def train(config: TrainConfig, kind: str) -> Path:
    """Train one variant as far as it is not yet trained; returns its state file.

    Raises:
        SystemExit: the state there comes from other settings, or training failed or was interrupted.
    """
    state = Path(config.out) / "state.safetensors"
    command = training_command(config, kind)
    if state.exists():
        stored = dataclasses.replace(TrainConfig(**config_of_state(state)), out=config.out)
        if stored != config:
            raise SystemExit(f"ablation: {state} comes from other settings; use another --work")
        if progress_of_state(state)["step"] >= (config.steps or 0):
            return state
        command.append("--resume")
    child = subprocess.Popen(command, cwd=ROOT, env=environment(config.threads))
    try:
        status = child.wait()
    except KeyboardInterrupt:
        # A polite stop saves the state; a child that was left alone would train on.
        child.terminate()
        child.wait()
        raise SystemExit("ablation: interrupted; the same command goes on") from None
    if status or progress_of_state(state)["step"] < (config.steps or 0):
        raise SystemExit(f"ablation: {state.parent.name} ended early ({status}); the same command goes on")
    return state


def figures(
    state: Path, config: TrainConfig, kind: str, paths: list[Path], levels: list[float]
) -> dict[str, Any]:
    """What is reported of a trained variant; kept beside its state, since judging takes minutes."""
    kept = state.with_name("figures.json")
    judged_on = {"levels": levels, "pictures": [str(path.resolve()) for path in paths]}
    if kept.exists() and kept.stat().st_mtime_ns >= state.stat().st_mtime_ns:
        known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        if known.pop("judged_on") == judged_on:
            return known
    result = judge(state, paths, levels, kind)
    parts, progress = measure(config.model, KINDS[kind].kind), progress_of_state(state)
    result |= {
        "seconds_per_step": round(progress["seconds"] / progress["step"], 4),
        "encoder_kmac": round(sum(parts[name].kmac for name in ("g_a", "h_a", "prior", "search")), 3),
        "decoder_kmac": round(parts["prior"].kmac + parts["g_s"].kmac, 3),
    }
    kept.write_text(dump({"judged_on": judged_on} | result), encoding="utf-8")
    return result


def variants_table(variants: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each variant: J at every level, in percent against the default, and what it takes."""
    levels = [f"J at {point['level']:g}" for point in variants["default"]["points"]]
    rows = [["variant", "change", *levels, "mean", "parameters", "kMAC/px enc", "kMAC/px dec", "s/step"]]
    changes = percent_changes(variants)
    for name, result in variants.items():
        costs, percent = [point["cost"] for point in result["points"]], changes[name]
        cells = [f"{cost:.4f} ({p:+.1f} %)" for cost, p in zip(costs, percent, strict=True)]
        work = [f"{result[k]:.1f}" for k in ("encoder_kmac", "decoder_kmac")]
        size = [f"{result['parameters']:,}", *work, f"{result['seconds_per_step']:.3f}"]
        rows.append([name, result["what"], *cells, f"{sum(percent) / len(percent):+.1f} %", *size])
    return table(rows)


def _shared_settings(args: argparse.Namespace) -> TrainConfig:
    changes = json.loads(args.settings)
    model = ModelConfig.from_dict({**ModelConfig().to_dict(), **WHOLE, **changes.pop("model", {})})
    own = {"data": str(args.data.resolve()), "steps": args.steps, "threads": args.threads}
    # The settings that the recorded campaign was run with, where they are not the trainer's any more.
    base = {"exact_from": NEVER, "batch": 6, "crop": 160}
    return TrainConfig(**(base | changes | own), model=model)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign; returns the exit status."""
    listed = "\n".join(f"  {variant.name:<14}{variant.what}" for variant in VARIANTS)
    parser = argparse.ArgumentParser(
        prog="ablation",
        description=f"{(__doc__ or '').splitlines()[0]}\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="training pictures")
    parser.add_argument("--eval", type=Path, required=True, metavar="DIR", help="pictures to judge on")
    parser.add_argument("--variants", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--limit", type=int, metavar="N", help="judge on the first N pictures only")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.0, 0.5, 1.0], metavar="T")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--settings", default="{}", metavar="JSON", help="settings of all variants, as '{\"batch\": 8}'"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), metavar="DIR")
    default = Path(__file__).resolve().parents[1] / "results" / "ablation.json"
    parser.add_argument("--out", type=Path, default=default, metavar="JSON")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        shared = _shared_settings(args)
        paths = find_images(args.eval)[: args.limit]
    except (FileNotFoundError, AttributeError, TypeError, ValueError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    args.out.parent.mkdir(parents=True, exist_ok=True)
    variants: dict[str, dict[str, Any]] = {}
    result = {
        "schema": SCHEMA,
        "definition": DEFINITION,
        "settings": {k: v for k, v in shared.to_dict().items() if k not in ("data", "out")},
        "machine": machine(args.threads),
        "pictures": [path.name for path in paths],
        "variants": variants,
    }
    for variant in VARIANTS:
        if variant.name not in ("default", *args.variants):
            continue
        print(f"ablation: {variant.name}", file=sys.stderr, flush=True)
        config = variant_config(variant, shared, args.work)
        result_of = figures(train(config, variant.kind), config, variant.kind, paths, args.levels)
        variants[variant.name] = {"what": variant.what, "changes": variant.changes, **result_of}
        # After every variant, so that an interrupted campaign has something to show.
        args.out.write_text(dump(result), encoding="utf-8")
    print(variants_table(variants))
    return 0


if __name__ == "__main__":
    # Being asked to stop is being interrupted: the variant in training is saved.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
