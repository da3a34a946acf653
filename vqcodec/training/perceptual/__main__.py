"""Tune the perceptual decoder: `python -m vqcodec.training.perceptual --data DIR --minutes 60 --out RUN`.

Tunes a copy of the synthesis transform of a model (`--from`, the packaged one unless given), or goes on with
a perceptual decoder that there is (`--tuned`, of a model or a state); the bits stay as they are. Interrupt it
at any time; the same command with --resume goes on. At the end (or from a state, with --only-add) the tuned
weights are added to a copy of the model's weights file, `--add-to FILE`, where `--realism` finds them.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from vqcodec.errors import ModelNotFound
from vqcodec.files import check_writable, same_file
from vqcodec.metrics.perceptual import DISTS, LPIPS, NETWORKS
from vqcodec.model.dial import at_quality, quality_of
from vqcodec.training.options import add_options, given_settings, kept, make_config
from vqcodec.training.perceptual.coded import CodedLatents
from vqcodec.training.perceptual.config import PerceptualConfig
from vqcodec.training.perceptual.losses import PATCH
from vqcodec.training.perceptual.players import FROZEN, Players
from vqcodec.training.perceptual.state import STATE, load, save, start_from, stored_settings, under
from vqcodec.training.quantise import SIDE, quantise_decoder, some_batches
from vqcodec.training.ranks import Ranks, RanksError, joined
from vqcodec.training.running import interruptible
from vqcodec.training.state import load_start
from vqcodec.training.stored import open_pictures
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore
from vqcodec.weights.writing import add_realism
from vqcodec.weights.zoo import describe_model, find_model


def run(players: Players) -> None:
    """Train until the budget is used up; writes log and state to `out`."""
    config = players.config
    crops = players.open(0, config.crop, tunes=players.model.config.tunes)
    ranks, count = players.ranks, config.batch
    judge = list(players.discriminator.state_dict().values())
    for tensors in (list(players.tuned.values()), list(players.ema.values()), judge):
        ranks.follow_(tensors)  # another machine's may differ in the last bits
    rows: list[dict[str, float]] = []

    def advance(progress: float) -> dict[str, float]:
        players.set_rates(progress)
        x, level = crops.batch(count, config.crop, players.device, ranks.places(count))
        level = at_quality(level, quality_of(level) ** config.level_power)
        rows.append(players.train_step(x, level, adversarial=progress >= config.begin, count=count))
        return {}

    def report(entry: dict[str, Any]) -> None:
        means = {k: round(sum(row.get(k, 0.0) for row in rows) / len(rows), 4) for k in rows[-1]}
        rows.clear()
        players.write("perceptual.jsonl", entry | means, means)

    players.repeat(advance, report, lambda: save(players))


def add_decoder(
    source: Path, state: Path, path: Path, data: str | None = None, *, last: bool = False
) -> None:
    """Copy a weights file with the decoder that a state holds, in integers, as its perceptual one.

    Args:
        data: pictures to look at activations of; None = those that the run was given.
        last: the last step's weights, not their moving average.

    Raises:
        ModelNotFound: the file cannot be read, or its g_s has no parameters like the state's.
        FileNotFoundError: the pictures are gone.
    """
    weights = load_weights(source)
    model = restore(weights).eval().requires_grad_(False)
    model.set_exact(True)
    config = stored_settings(state)
    g_s = copy.deepcopy(model.g_s)
    tuned = under("tuned." if last else "ema.", load_file(state))
    shared = {n: t for n, t in g_s.state_dict().items() if any(part in n for part in (*FROZEN, "deviation"))}
    try:
        g_s.load_state_dict(shared | tuned)
    except RuntimeError as error:
        raise ModelNotFound(f"{source}: its g_s has no parameters like those of {state}") from error
    side = min(SIDE, config["crop"])
    pictures = open_pictures(data or config["data"], side, config.get("cache"))
    batches = some_batches(pictures, side, model.config.tunes)
    step = weights.transforms["g_s.latent.step"]
    add_realism(source, quantise_decoder(model, g_s, batches, step), path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vqcodec.training.perceptual", description=__doc__)
    add_options(parser, PerceptualConfig, STATE)
    parser.add_argument(
        "--from", dest="start", default="default", metavar="MODEL", help="name or weights file"
    )
    what = "go on with this model's perceptual decoder, or that of a state and its discriminator"
    parser.add_argument("--tuned", metavar="MODEL", help=what)
    what = "add to --tuned MODEL what --from's fidelity decoder differs from MODEL's: a start for new latents"
    parser.add_argument("--moved", action="store_true", help=what)
    what = "weights file to write, with both decoders"
    parser.add_argument("--add-to", type=Path, metavar="FILE", help=what)
    parser.add_argument("--only-add", action="store_true", help="no training: add what OUT's state holds")
    what = "with --add-to: the last step's weights, not their average, which lags behind in short runs"
    parser.add_argument("--last", action="store_true", help=what)
    return parser


def main() -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.moved and arguments.tuned is None:
        parser.error("--moved needs --tuned MODEL")
    if arguments.only_add and arguments.add_to is None:
        parser.error("--only-add needs --add-to FILE")
    if arguments.last and arguments.add_to is None:
        parser.error("--last needs --add-to FILE")
    if arguments.add_to is not None:
        try:
            check_writable(arguments.add_to)
        except OSError as error:
            parser.error(f"--add-to: {error}")
    given = given_settings(arguments, PerceptualConfig)
    state = Path(given.get("out", PerceptualConfig.out)) / STATE
    if arguments.add_to is not None and same_file(arguments.add_to, state):
        parser.error(f"--add-to: {state} is the state itself")
    ranks = Ranks()
    try:
        source = find_model(arguments.start)
        if arguments.add_to is not None and not describe_model(source).bitstream_id:
            parser.error(f"--add-to: {source} is no weights file, which the decoder could be added to")
        whole = True
        if not arguments.only_add:
            if arguments.resume:
                given = stored_settings(state) | given
            elif state.exists():
                parser.error(kept(state))
            config = make_config(parser, PerceptualConfig, given)
            if config.network not in NETWORKS:
                parser.error(f"--network is one of {', '.join(NETWORKS)}, not {config.network}")
            if config.patches and config.crop < PATCH:
                parser.error(f"--patches needs a --crop of {PATCH} or more")
            distances = LPIPS(config.network), DISTS()
            with joined(config.device) as ranks:
                coded = CodedLatents(source) if config.coded else None
                players = Players(config, load_start(str(source)), distances, ranks, coded)
                if arguments.tuned is not None:
                    start_from(players, arguments.tuned, arguments.moved)
                if arguments.resume:
                    try:
                        load(players)
                    except (SafetensorError, KeyError, RuntimeError) as error:
                        what = str(error).partition("\n")[0]
                        raise ModelNotFound(f"{state} does not fit {source} ({what})") from error
                run(players)
                whole = players.progress() >= 1
        if arguments.add_to is not None and ranks.main and whole:
            add_decoder(source, state, arguments.add_to, given.get("data"), last=arguments.last)
        elif arguments.add_to is not None and ranks.main:
            how = "--resume goes on, --only-add adds what there is"
            print(f"perceptual: interrupted, {arguments.add_to} is not written; {how}", file=sys.stderr)
    except RanksError as error:
        parser.error(str(error))
    except (ModelNotFound, OSError) as error:
        print(f"perceptual: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    with interruptible("perceptual"):
        sys.exit(main())
