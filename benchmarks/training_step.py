"""Where a training step's time goes, and how near its convolutions come to the machine's matrix rate.

    python -m benchmarks.training_step --data photos/ --threads 2

Every part is run alone, forward and backward, on tensors of the sizes that a real step has: data (crops
cut and converted), g_a and g_s (in bfloat16 where that is faster), quantiser (search and free energy of all
groups), prior (the rest of quantisation: hyper-latent, context networks, hat bases), optimiser (clipping and
Adam). The whole step is timed too; what the parts do not add up to is printed as "rest" and may be negative.
On a CUDA device the step is a recorded graph, as in training, and timed once more as separate kernels, which
the parts are too: with crops too few to fill the card they take longer than the step.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.complexity import measure
from benchmarks.processes import machine
from benchmarks.report.curves import table
from benchmarks.report.results import dump
from vqcodec.entropy.coding_order import PASSES, whole
from vqcodec.model.free_energy import Contexts
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import Crops, load_images
from vqcodec.training.trainer import Trainer

SCHEMA = 1
SEPARATE = "step_of_separate_kernels_s"
PICTURES = 64
"""Pictures of the folder that are read: the time to cut a crop does not depend on how many there are."""


def seconds(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median wall-clock seconds of a call, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def matrix_rate(device: torch.device, kind: torch.dtype, side: int | None = None) -> float:
    """Multiply-accumulates per second of a large matrix product."""
    side = side or (8192 if device.type == "cuda" else 2048)
    a, b = torch.randn(2, side, side, device=device).to(kind)
    return side**3 / seconds(lambda: a @ b, 5, device)


def _backward(value: Tensor) -> None:
    value.backward(torch.ones_like(value) / value.numel())


def part_times(trainer: Trainer, crops: Crops, repeats: int) -> dict[str, float]:
    """Median seconds of the whole step and of each part alone."""
    config, model, device = trainer.config, trainer.model, trainer.device
    x, level = crops.batch(config.batch, config.crop, device)

    def transforms(run: Callable[[], Tensor]) -> Callable[[], None]:
        def call() -> None:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=trainer.bf16):
                value = run()
            _backward(value)

        return call

    def optimise() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        trainer.optimizer.step()

    step = seconds(lambda: trainer.train_step(x, level), repeats, device)
    separate = {}
    if trainer.graphs is not None:
        trainer.graphs = None
        separate = {"separate": seconds(lambda: trainer.train_step(x, level), repeats, device)}
    optimiser = seconds(optimise, repeats, device)
    latent = model.analyse(x, level).detach().requires_grad_()
    quantised = {
        "quantise": seconds(lambda: _quantise(model, latent, level), repeats, device),
        "quantiser": seconds(_quantiser_alone(model, latent, level), repeats, device),
    }
    return {
        "step": step,
        **separate,
        "data": seconds(lambda: crops.batch(config.batch, config.crop, device), repeats, device),
        "g_a": seconds(transforms(lambda: model.analyse(x, level)), repeats, device),
        "prior": quantised["quantise"] - quantised["quantiser"],
        "quantiser": quantised["quantiser"],
        "g_s": seconds(transforms(lambda: model.synthesise(latent, level)), repeats, device),
        "optimiser": optimiser,
    }


def _quantise(model: VQVAE, latent: Tensor, level: Tensor) -> None:
    y_hat, hyper, passes = model.quantise(latent, level)
    energy = hyper.energy + torch.stack([p.energy for p in passes]).sum(0)
    (y_hat.mean() + energy.mean()).backward()


def _quantiser_alone(model: VQVAE, latent: Tensor, level: Tensor) -> Callable[[], None]:
    with torch.no_grad():
        _, _, passes = model.quantise(latent, level)
    height, width = latent.shape[2:]
    rows, columns = whole(height, width)
    padded = F.pad(latent.detach(), (0, columns - width, 0, rows - height))
    parts = [padded[p.last].requires_grad_() for p in PASSES]
    contexts = [
        [Contexts(c.numbers.detach().requires_grad_(), c.taken.detach()) for c in result.contexts]
        for result in passes
    ]

    def call() -> None:
        for part, given in zip(parts, contexts, strict=True):
            result = model.quantizer(part, given)
            (result.value.mean() + result.energy.mean()).backward()

    return call


def measure_step(config: TrainConfig, repeats: int) -> dict[str, Any]:
    """All figures of one machine and setting, as they go into the result file."""
    trainer = Trainer(config)
    pictures = load_images(config.data, config.crop)[:PICTURES]
    crops = Crops(pictures, seed=0)
    trainer.start(crops)
    times = part_times(trainer, crops, repeats)
    step, separate = times.pop("step"), times.pop("separate", None)
    pixels = config.batch * config.crop**2
    kmac = {name: part.kmac for name, part in measure(config.model).items()}
    peak = matrix_rate(trainer.device, torch.bfloat16 if trainer.bf16 else torch.float32)
    # Backward takes two products for each of forward's: by the inputs and by the weights.
    rates = {name: 3 * 1000 * kmac[name] * pixels / times[name] for name in ("g_a", "g_s")}
    return {
        "schema": SCHEMA,
        "machine": machine(torch.get_num_threads()),
        "settings": {"batch": config.batch, "crop": config.crop, "bf16": trainer.bf16, "repeats": repeats},
        "step_s": round(step, 4),
        **({} if separate is None else {SEPARATE: round(separate, 4)}),
        "parts_s": {name: round(value, 4) for name, value in times.items()},
        "rest_s": round(step - sum(times.values()), 4),
        "matrix_gmac_per_s": round(peak / 1e9, 1),
        "transforms_gmac_per_s": {name: round(rate / 1e9, 1) for name, rate in rates.items()},
    }


def step_table(result: dict[str, Any]) -> str:
    """Seconds and share of every part, and for the transforms the share of the machine's matrix rate."""
    rows = [["part", "ms", "share", "GMAC/s", "of matrix rate"]]
    parts = {**result["parts_s"], "rest": result["rest_s"], "whole step": result["step_s"]}
    if SEPARATE in result:
        parts["as separate kernels"] = result[SEPARATE]
    for name, value in parts.items():
        rate = result["transforms_gmac_per_s"].get(name)
        speed = ["", ""]
        if rate is not None:
            speed = [f"{rate:.0f}", f"{100 * rate / result['matrix_gmac_per_s']:.0f} %"]
        rows.append([name, f"{1000 * value:.1f}", f"{100 * value / result['step_s']:.0f} %", *speed])
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Time a step and print its parts; returns the exit status."""
    parser = argparse.ArgumentParser(prog="training_step", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", required=True, metavar="DIR", help="training pictures")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--crop", type=int, default=TrainConfig.crop)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default=TrainConfig.device)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, metavar="JSON")
    args = parser.parse_args(argv)
    config = TrainConfig(
        data=args.data, batch=args.batch, crop=args.crop, threads=args.threads, device=args.device
    )
    try:
        result = measure_step(config, args.repeats)
    except FileNotFoundError as error:
        print(f"training_step: {error}", file=sys.stderr)
        return 1
    if args.out:
        args.out.write_text(dump(result), encoding="utf-8")
    print(step_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
