"""Tune the perceptual decoder: `python -m vqcodec.training.perceptual --data DIR --minutes 60 --out RUN`.

Tunes a copy of the synthesis transform of a model (`--from`, the packaged one unless given), or goes on with
a perceptual decoder that there is (`--tuned`, of a model or a state); the bits stay as they are. Interrupt it
at any time; the same command with --resume goes on. At the end (or from a state, with --only-add) the tuned
weights are added to a copy of the model's weights file, `--add-to FILE`, where `--realism` finds them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vqcodec.errors import ModelNotFound
from vqcodec.metrics.perceptual import DISTS, LPIPS
from vqcodec.training.data import Crops, load_images
from vqcodec.training.grow import adds
from vqcodec.training.perceptual.players import PerceptualConfig, Players
from vqcodec.training.running import add_option, prepare_cuda, share_used, stop_event, write_tensors
from vqcodec.training.sources import load_start
from vqcodec.training.state import read_metadata
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.writing import add_realism
from vqcodec.weights.zoo import find_model

STATE = "perceptual.safetensors"


def save(players: Players, seconds: float, out: Path) -> None:
    """Write everything that is needed to go on to `out/perceptual.safetensors`, atomically."""
    tensors = {f"tuned.{n}": p.detach() for n, p in players.tuned.items()}
    tensors |= {f"ema.{n}": p for n, p in players.ema.items()}
    tensors |= {f"discriminator.{n}": t for n, t in players.discriminator.state_dict().items()}
    for number, optimizer in enumerate(players.optimizers):
        for place, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optim{number}.{place}.{key}": value for key, value in values.items()}
    meta = {
        "config": json.dumps(dataclasses.asdict(players.config)),
        "progress": json.dumps({"step": players.step, "seconds": seconds}),
    }
    write_tensors(tensors, out / STATE, meta)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


@torch.no_grad()
def load(players: Players, out: Path) -> float:
    """Inverse of `save`; returns the seconds that were used."""
    tensors = load_file(out / STATE, device=str(players.device))
    for name, parameter in players.tuned.items():
        parameter.copy_(tensors[f"tuned.{name}"])
        players.ema[name].copy_(tensors[f"ema.{name}"])
    players.discriminator.load_state_dict(under("discriminator.", tensors))
    for number, optimizer in enumerate(players.optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in under(f"optim{number}.", tensors).items():
            place, key = name.split(".")
            state.setdefault(int(place), {})[key] = tensor
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    progress = json.loads(read_metadata(out / STATE)["progress"])
    players.step = progress["step"]
    return float(progress["seconds"])


@torch.no_grad()
def start_from(players: Players, model: str) -> None:
    """Go on with the perceptual decoder of another model, or with that of a state and its discriminator.

    Residual blocks that it lacks add nothing at first.

    Raises:
        ModelNotFound: there is no such model, or it has no perceptual decoder, or one of other sizes.
    """
    path = find_model(model)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ModelNotFound(f"{path} is not a safetensors file: {error}") from error
    if discriminator := under("discriminator.", tensors):
        players.discriminator.load_state_dict(discriminator)
        tuned = under("ema.", tensors)
    else:
        tuned = load_weights(path).realism
    if not tuned:
        raise ModelNotFound(f"{path} has no perceptual decoder")
    for name, parameter in players.tuned.items():
        if name in tuned and tuned[name].shape == parameter.shape:
            parameter.copy_(tuned[name])
        elif name in tuned or not name.startswith("blocks_"):
            raise ModelNotFound(f"{path}: its perceptual decoder has no parameter like {name}")
        elif adds("g_s." + name):
            parameter.zero_()
        players.ema[name].copy_(parameter)


def run(players: Players, seconds: float = 0.0) -> None:
    """Train until the budget is used up, of which `seconds` are; writes log and state to `config.out`."""
    config, out = players.config, Path(players.config.out)
    out.mkdir(parents=True, exist_ok=True)
    prepare_cuda()
    terminal = sys.stderr.isatty()
    pictures = load_images(config.data, config.crop, terminal)
    crops = Crops(pictures, seed=config.seed, first=players.step)
    stop, saved, sums, count = stop_event(), time.monotonic(), dict[str, float](), 0
    while not stop.is_set():
        progress = share_used(config.minutes, config.steps, seconds, players.step)
        if progress >= 1:
            break
        begun = time.monotonic()
        players.set_rates(progress)
        x, level = crops.batch(config.batch, config.crop, players.device)
        figures = players.train_step(x, level**config.level_power, adversarial=progress >= config.begin)
        sums = {k: sums.get(k, 0.0) + v for k, v in figures.items()}
        count += 1
        seconds += time.monotonic() - begun
        if players.step % config.log_every == 0:
            means = {k: round(v / count, 4) for k, v in sums.items()}
            entry = {"step": players.step, "seconds": round(seconds, 1), "progress": round(progress, 4)}
            with (out / "perceptual.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry | means) + "\n")
            if terminal:
                print(f"\r{100 * progress:5.1f} % {means}", end="", file=sys.stderr, flush=True)
            sums, count = {}, 0
        if time.monotonic() - saved > 60 * config.save_minutes:
            save(players, seconds, out)
            saved = time.monotonic()
    save(players, seconds, out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vqcodec.training.perceptual", description=__doc__)
    for item in dataclasses.fields(PerceptualConfig):
        add_option(parser, item)
    parser.add_argument(
        "--from", dest="start", default="default", metavar="MODEL", help="name or weights file"
    )
    parser.add_argument(
        "--tuned",
        metavar="MODEL",
        help="go on with this model's perceptual decoder, or that of a state and its discriminator",
    )
    parser.add_argument("--resume", action="store_true", help=f"go on from OUT/{STATE}")
    parser.add_argument(
        "--add-to", type=Path, metavar="FILE", help="weights file to write, with both decoders"
    )
    parser.add_argument("--only-add", action="store_true", help="no training: add what OUT's state holds")
    return parser


def main() -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    arguments: dict[str, Any] = vars(parser.parse_args())
    names = ("start", "tuned", "resume", "add_to", "only_add")
    start, tuned, resume, target, only = (arguments.pop(k) for k in names)
    given = {k: v for k, v in arguments.items() if v is not None}
    out = Path(given.get("out", PerceptualConfig.out))
    try:
        source = find_model(start)
        if not only:
            if resume:
                given = json.loads(read_metadata(out / STATE)["config"]) | given
            config = PerceptualConfig(**given)
            if not config.data or not (config.minutes or config.steps):
                parser.error("--data and one of --minutes, --steps are needed")
            players = Players(config, load_start(str(source)), (LPIPS(config.network), DISTS()))
            if tuned is not None:
                start_from(players, tuned)
            run(players, load(players, out) if resume else 0.0)
        if target is not None:
            add_realism(source, under("ema.", load_file(out / STATE)), target)
    except (ModelNotFound, FileNotFoundError) as error:
        print(f"perceptual: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
