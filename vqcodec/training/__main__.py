"""Train a model: `python -m vqcodec.training --data FOLDER --minutes 60 --out runs/mine`.

Interrupt it at any time; the same command with --resume goes on where the last state was saved.

To specialise the packaged model on pictures of one kind, and use it as `vqcodec compress -m NAME`:

    python -m vqcodec.training --from default --data FOLDER --minutes 55 --out runs/NAME --install NAME

On several graphics cards, or machines, `torchrun -m vqcodec.training` takes the same options.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from vqcodec.errors import ModelNotFound
from vqcodec.files import check_writable
from vqcodec.model.config import ModelConfig
from vqcodec.training.config import TrainConfig
from vqcodec.training.export import export_state
from vqcodec.training.optimizers import OPTIMIZERS
from vqcodec.training.options import add_options, given_settings, kept, make_config
from vqcodec.training.ranks import RanksError, joined
from vqcodec.training.running import interruptible
from vqcodec.training.state import FILE, config_of_state, load_start
from vqcodec.training.trainer import CollapseError, Trainer
from vqcodec.weights.zoo import install_path


def model_sizes(text: str) -> dict[str, Any]:
    """Some fields of `ModelConfig` from a JSON object.

    Raises:
        argparse.ArgumentTypeError: it is none, or has other fields.
    """
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        config = ModelConfig.from_dict(values)
        for name in values:
            check_sizes(name, getattr(config, name))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error
    return {name: getattr(config, name) for name in values}


def check_sizes(name: str, sizes: object) -> None:
    """Refuse what is no size of `ModelConfig`.

    Raises:
        ValueError: it is no whole number of at least 1, nor made of them; numbers of blocks may be 0.
    """
    if isinstance(sizes, tuple):
        for size in sizes:
            check_sizes(name, size)
    else:
        least = 0 if name in ("analysis", "synthesis") else 1
        if not isinstance(sizes, int) or sizes < least:
            raise ValueError(f"{name} is made of whole numbers from {least} on, not {sizes!r}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vqcodec.training",
        usage="%(prog)s --data FOLDER (--minutes X | --steps N) [--out FOLDER] [OPTION ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, TrainConfig, FILE)
    what = """sizes that differ from the default's, as '{"prior_width": 96}'"""
    parser.add_argument("--model", type=model_sizes, metavar="JSON", help=what)
    what = "start from a state, a weights file or a model's name"
    parser.add_argument("--from", dest="start", metavar="SOURCE", help=what)
    what = "with --from: this version's model sizes, not those of SOURCE"
    parser.add_argument("--resize", action="store_true", help=what)
    what = "at the end export the weights and install them under this name"
    parser.add_argument("--install", metavar="NAME", help=what)
    return parser


def main(argv: Sequence[str] | None = None, kind: type[Trainer] = Trainer) -> None:
    """Entry point; `kind` trains a variant of the model."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    target = source = None
    if arguments.install is not None:
        try:
            target = install_path(arguments.install)
        except ValueError as error:
            parser.error(f"--install needs a name: {error}")
        try:  # an hour later it would be too late
            target.parent.mkdir(parents=True, exist_ok=True)
            check_writable(target)
        except OSError as error:
            parser.error(f"--install: {error}")
    given = given_settings(arguments, TrainConfig)
    sizes = given.pop("model", {})
    state = Path(given.get("out", TrainConfig.out)) / FILE
    if arguments.resume:
        if not state.is_file():
            parser.error(f"--resume: there is no {state}")
        try:
            given = config_of_state(state) | given
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            parser.error(f"--resume: {state} is no training state ({error})")
    elif state.exists():
        parser.error(kept(state))
    elif arguments.start:
        try:
            source = load_start(arguments.start)
        except ModelNotFound as error:
            parser.error(str(error))
        if not arguments.resize:
            given["model"] = source.config
    if sizes:
        given["model"] = dataclasses.replace(given.get("model", ModelConfig()), **sizes)
    config = make_config(parser, TrainConfig, given)
    if config.decoder_only and target is not None:
        parser.error("--install makes new tables; after --decoder-only, export with --decoder-of")
    if config.optimizer not in OPTIMIZERS:
        parser.error(f"--optimizer is one of {', '.join(OPTIMIZERS)}, not {config.optimizer}")
    if config.decoder_only + config.prior_only + config.tables_only > 1:
        parser.error("--decoder-only, --prior-only and --tables-only exclude each other")
    try:
        with joined(config.device) as ranks:
            trainer = kind(config, ranks)
            if arguments.resume:
                try:
                    trainer.load(state)
                except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
                    parser.error(f"--resume: {state} is of another model or version ({error})")
            trainer.run(source)
    except (RanksError, OSError, ImportError, CollapseError) as error:
        parser.error(str(error))
    if target is None or not ranks.main:
        return
    if trainer.progress() < 1:
        print(f"interrupted, {target} is not written; --resume goes on", file=sys.stderr)
        return
    try:
        export_state(state, config.data, target, target.stem, cache=config.cache)
    except (ModelNotFound, OSError) as error:
        parser.error(f"--install: {error}; {state} is whole, for vqcodec.training.export")
    except KeyboardInterrupt:
        print(f"\n{target} is not written; {state} is whole, for vqcodec.training.export", file=sys.stderr)
        raise
    print(f"installed {target}", file=sys.stderr)


if __name__ == "__main__":
    with interruptible("training"):
        main()
