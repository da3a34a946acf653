"""Train a model: `python -m vqcodec.training --data FOLDER --minutes 60 --out runs/mine`.

Interrupt it at any time; the same command with --resume goes on where the last state was saved.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from vqcodec.model.vqvae import ModelConfig
from vqcodec.training.config import TrainConfig
from vqcodec.training.evaluate import load_state
from vqcodec.training.trainer import Trainer, config_of_state


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vqcodec.training", description=__doc__)
    for item in dataclasses.fields(TrainConfig):
        name = "--" + item.name.replace("_", "-")
        if item.name == "model":
            continue
        if isinstance(item.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=None)
        else:
            kind = str if isinstance(item.default, str) else float
            if item.name == "steps" or isinstance(item.default, int):
                kind = int  # type: ignore[assignment]
            parser.add_argument(name, type=kind, default=None)
    parser.add_argument("--quantizer", choices=("vector", "scalar"), help="scalar is for comparisons only")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/state.safetensors")
    parser.add_argument(
        "--from", dest="start", metavar="STATE", help="start from the weights of a state file"
    )
    parser.add_argument(
        "--resize", action="store_true", help="with --from: this version's model sizes, not those of STATE"
    )
    return parser


def main() -> None:
    """Entry point."""
    arguments = vars(_parser().parse_args())
    resume, start, quantizer, resize = (arguments.pop(k) for k in ("resume", "start", "quantizer", "resize"))
    given = {k: v for k, v in arguments.items() if v is not None}
    state = Path(given.get("out", TrainConfig.out)) / "state.safetensors"
    if resume:
        given = config_of_state(state) | given
    elif start and not resize:
        given = {"model": config_of_state(Path(start))["model"]} | given
    if quantizer:
        given["model"] = dataclasses.replace(given.get("model", ModelConfig()), quantizer=quantizer)
    config = TrainConfig(**given)
    if not config.data or not (config.minutes or config.steps):
        _parser().error("--data and one of --minutes, --steps are needed")
    trainer = Trainer(config)
    if resume:
        trainer.load(state)
    trainer.run(load_state(Path(start))[0] if start and not resume else None)


if __name__ == "__main__":
    main()
