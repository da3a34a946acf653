"""Adam against SOAP at equal processor time.

    python -m benchmarks.optimizers --data photos/ --judge dev/ --minutes 60 --out optimizers.json

Both start from the same model, see the same crops in the same order, and end with a rate of zero. They take
turns of a minute, so that a busy machine slows both alike. Judged is the loss on other pictures, estimated,
with averaged weights, relative to that of the model at the start: less is better.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.processes import machine
from benchmarks.report.results import dump
from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import find_images
from vqcodec.training.losses import MixReference, mixed_distortion, rate_distortion
from vqcodec.training.optimizers import OPTIMIZERS
from vqcodec.training.running import tiny_floats_as_zero
from vqcodec.training.state import load_start
from vqcodec.training.trainer import Trainer

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
SIDE = 512
"""Pictures are judged by their middle, of this side at most."""
PATHS = ("data", "judge", "folder", "out")
"""Options that say nothing outside of one machine."""
TURN = 60.0
"""Processor seconds that a run goes on before the other has its turn."""


class Contest(Trainer):
    """A run that is measured by the processor time that it used.

    Attributes:
        used: processor seconds of its steps.
    """

    def __init__(self, config: TrainConfig, budget: float) -> None:
        """`budget` is in processor seconds."""
        super().__init__(config)
        self.budget, self.used = budget, 0.0
        self.crops = self.open(0, config.crop, config.late_crop)

    def progress(self) -> float:
        """Share of the processor time used."""
        return min(1.0, self.used / self.budget)

    def take_turn(self) -> None:
        """Go on for `TURN` processor seconds, or to the end."""
        end = min(self.used + TURN, self.budget)
        while self.used < end:
            begun = time.process_time()
            figures = self._advance(self.progress(), self.crops)
            self.used += time.process_time() - begun
            if self.step % self.config.log_every == 0:
                self.write(
                    "log.jsonl",
                    {
                        "optimizer": self.config.optimizer,
                        "step": self.step,
                        "used": self.used,
                        "progress": self.progress(),
                    }
                    | figures,
                    "",
                )

    def averaged(self) -> VQVAE:
        """The model with its moving averages."""
        model = VQVAE(self.config.model)
        model.load_state_dict(self.model.state_dict() | self.ema)
        model.set_exact(True)
        return model.eval()


def middles(folder: Path) -> list[Tensor]:
    """The middle (1, 3, H, W) in [0, 1] of each picture, sides multiples of 32."""
    parts = []
    for path in find_images(folder):
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        h, w = (min(SIDE, side // 32 * 32) for side in pixels.shape[:2])
        top, left = ((side - size) // 2 for side, size in zip(pixels.shape[:2], (h, w), strict=True))
        part = torch.from_numpy(pixels[top : top + h, left : left + w].copy())
        parts.append(part.permute(2, 0, 1)[None].float() / 255)
    return parts


@torch.inference_mode()
def judge(
    model: VQVAE, pictures: list[Tensor], config: TrainConfig, reference: MixReference | None
) -> list[float]:
    """Mean loss at each of `LEVELS`; with squared error alone if there is no reference."""
    losses = []
    for level in LEVELS:
        rows = []
        for x in pictures:
            t = torch.tensor([level])
            output = model(x, t)
            distortion = output.mse
            if reference is not None:
                error = weighted_error(x, output.picture)
                distortion = mixed_distortion(output.mse, error, t, config.mse_share, reference)
            bpp = output.energy / (math.log(2) * x.shape[2] * x.shape[3])
            rows.append(float(rate_distortion(distortion, bpp, t, 0.0)))
        losses.append(sum(rows) / len(rows))
    return losses


@tiny_floats_as_zero()
def compare(config: TrainConfig, source: VQVAE, pictures: list[Tensor], minutes: float) -> dict[str, Any]:
    """Train with both and judge: steps, processor seconds, loss relative to the start's at each level."""
    runs = {name: Contest(replace(config, optimizer=name), 60 * minutes) for name in OPTIMIZERS}
    for run in runs.values():
        run.start_from(source, run.crops)
        run.start_mixing(run.crops)
    first = next(iter(runs.values()))
    start = judge(first.averaged(), pictures, config, first.reference)
    while any(run.progress() < 1 for run in runs.values()):
        for run in runs.values():
            run.take_turn()
    figures = {}
    for name, run in runs.items():
        losses = judge(run.averaged(), pictures, config, first.reference)
        relative = [after / before - 1 for after, before in zip(losses, start, strict=True)]
        seconds = {"steps": run.step, "processor_s": round(run.used, 1)}
        figures[name] = seconds | {"loss": [round(value, 5) for value in relative]}
    return figures


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="optimizers", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", required=True, help="pictures to train on")
    parser.add_argument("--judge", type=Path, required=True, metavar="DIR", help="other pictures")
    parser.add_argument(
        "--from", dest="start", default="default", metavar="SOURCE", help="model to start from"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="processor time of each run")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--mse-share", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", default="runs/optimizers", help="for the logs")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the figures here as well")
    given = parser.parse_args()
    source = load_start(given.start)
    config = TrainConfig(
        data=given.data, out=given.folder, batch=given.batch, learning_rate=given.learning_rate, warmup=20,
        mse_share=given.mse_share, exact_from=0.0, revive_every=0, threads=given.threads, model=source.config,
        log_every=10,
    )  # fmt: skip
    try:
        figures = compare(config, source, middles(given.judge), given.minutes)
    except ImportError as error:
        parser.error(str(error))
    settings = {name: str(value) for name, value in vars(given).items() if name not in PATHS}
    text = dump({"machine": machine(given.threads), "settings": settings, "levels": LEVELS, "runs": figures})
    if given.out:
        given.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
