"""From a training state to a weights file: `python -m vqcodec.training.export STATE --data DIR -o FILE`.

Rounds transforms and prior to integers, and makes the tables (`vqcodec.training.coding_tables`). After a run
with `--decoder-only` nothing is counted: `--decoder-of MODEL` copies the model that it started from, with the
new decoder. After one with `--prior-only` it is `--coding-of MODEL`, with new prior, codebooks and tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from vqcodec.entropy.class_offsets import offset_counts
from vqcodec.entropy.integer_prior import LATENT_MAX
from vqcodec.entropy.tables import make_powers
from vqcodec.errors import ModelNotFound
from vqcodec.files import check_writable, same_file
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.coding_tables import count_symbols, hyper_rows, table_rows
from vqcodec.training.data import Crops
from vqcodec.training.options import check_least
from vqcodec.training.prior_arrays import export_prior
from vqcodec.training.quantise import quantise, quantise_decoder, some_batches
from vqcodec.training.running import interruptible
from vqcodec.training.state import load_start, load_state
from vqcodec.training.stored import open_pictures
from vqcodec.weights.checkpoint import Arrays, read_tensors
from vqcodec.weights.writing import replace_coding, replace_decoder, save_weights
from vqcodec.weights.zoo import find_model

PSEUDO_COUNT = 60.0
"""Weight of the model's own distribution of a class, as a number of counted indices."""
SIDE = 256
"""Side of the crops on which indices are counted."""


@torch.inference_mode()
def export(
    model: VQVAE, crops: Crops, batches: int = 250, side: int = SIDE, pseudo: float = PSEUDO_COUNT
) -> dict[str, np.ndarray]:
    """All coding arrays of a model in exact mode.

    Args:
        pseudo: weight of the model's own probabilities of a class against the counts, in symbols.
    """
    model.set_exact(True)
    quantizer = model.quantizer
    quantizer.use_greedy_slopes()  # as files are coded, not as training chooses
    counts, hyper_counts = count_symbols(model, crops, batches, side)
    arrays = export_prior(model)
    arrays["powers"] = make_powers()
    arrays["context_levels"] = np.array(quantizer.context_levels, dtype=np.int32)
    arrays["slices"] = np.array(model.config.slices, dtype=np.int32)
    arrays["y.shifts"] = offset_counts(quantizer.context_levels)
    for i in range(len(quantizer.bands)):
        words = (quantizer.words[i] / VALUE_STEP).round().clamp(-LATENT_MAX, LATENT_MAX)
        arrays[f"y.words.{i}"] = words.to(torch.int32).numpy()
        arrays[f"y.tables.{i}"] = table_rows(quantizer, i, counts[i], pseudo)
    hyper = model.hyper_quantizer
    for i in range(len(hyper.bands)):
        arrays[f"z.words.{i}"] = (hyper.words[i] / HYPER_STEP).round().clamp(-127, 127).to(torch.int8).numpy()
        arrays[f"z.tables.{i}"] = hyper_rows(hyper, i, hyper_counts[i], pseudo)
    return arrays


def export_state(
    state: Path,
    data: str,
    output: Path,
    name: str,
    batches: int = 250,
    pseudo: float = PSEUDO_COUNT,
    cache: float | None = None,
    mixed: tuple[str, float] | None = None,
) -> tuple[bytes, bytes]:
    """Write the weights file of a training state; looks at the pictures of `data`.

    Args:
        data, cache: see `vqcodec.training.stored.open_pictures`.
        mixed: a model that the run started from, and how far from it to the state the file's parameters lie.

    Returns:
        bitstream_id and decoder_id.
    """
    model, settings = load_state(state)
    if settings.get("decoder_only"):
        note = "files of the model that this run started from need --decoder-of; this makes a new model"
        print(f"note: {note}", file=sys.stderr)
    if mixed is not None:
        mix(model, load_start(mixed[0]), mixed[1])
        settings = settings | {"share": mixed[1]}
    transforms, coding = _integers(model, settings, data, batches, pseudo, cache)
    kept = {k: v for k, v in settings.items() if k not in ("model", "data", "out", "cache")}
    notes = {"name": name, "training": json.dumps(kept)}
    return save_weights(output, model.config, transforms, coding, notes)


@torch.no_grad()
def mix(model: VQVAE, start: VQVAE, share: float) -> None:
    """Move every parameter of a model to this share of its way from where it started.

    Raises:
        ModelNotFound: the other model has other parameters.
    """
    before = dict(start.named_parameters())
    for name, parameter in model.named_parameters():
        if name not in before or before[name].shape != parameter.shape:
            raise ModelNotFound(f"the model to start from has no parameter like {name}")
        parameter.copy_(torch.lerp(before[name], parameter, share))


def export_decoder(state: Path, data: str, source: Path, output: Path, cache: float | None = None) -> bytes:
    """Copy a weights file with the decoder of a training state; looks at the pictures of `data`.

    Returns:
        decoder_id.

    Raises:
        ModelNotFound: the file cannot be read, or is of another model.
    """
    model, settings = load_state(state)
    model.set_exact(True)
    side = _side(settings)
    step = read_tensors(source)[0]["g_s.latent.step"]
    if len(step) != model.config.channels:
        raise ModelNotFound(f"{source}: its latents are of other sizes")
    batches = some_batches(open_pictures(data, side, cache), side, model.config.tunes)
    decoder = quantise_decoder(model, model.g_s, batches, step)
    return replace_decoder(source, model.config, decoder, model.log_gain.detach().numpy(), output)


def export_coding(
    state: Path,
    data: str,
    source: Path,
    output: Path,
    batches: int = 250,
    pseudo: float = PSEUDO_COUNT,
    cache: float | None = None,
) -> bytes:
    """Copy a weights file with prior, codebooks and tables of a state; looks at the pictures of `data`.

    Returns:
        bitstream_id.

    Raises:
        ModelNotFound: the file cannot be read, or is of another model.
    """
    model, settings = load_state(state)
    transforms, coding = _integers(model, settings, data, batches, pseudo, cache)
    return replace_coding(source, model.config, transforms, coding, output)


def _integers(
    model: VQVAE, settings: Mapping[str, object], data: str, batches: int, pseudo: float, cache: float | None
) -> tuple[Arrays, Arrays]:
    """Arrays of the transforms and of coding, of a model that was trained with these settings."""
    side, tunes = _side(settings), model.config.tunes
    pictures = open_pictures(data, side, cache)
    coding = export(model, Crops(pictures, seed=1, tunes=tunes), batches, side, pseudo)
    return quantise(model, some_batches(pictures, side, tunes)), coding


def _side(settings: Mapping[str, object]) -> int:
    """Side of crops to look at: pictures that were large enough for training are for this."""
    return min(SIDE, int(str(settings["crop"])))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m vqcodec.training.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("state", metavar="STATE", type=Path, help="state.safetensors of a run")
    what = "pictures to count symbols on, and to look at activations (the training set)"
    parser.add_argument("--data", required=True, metavar="FOLDER", help=what)
    what = "GB of decoded pictures to keep; a whole folder by default, 1 GB of tar shards"
    parser.add_argument("--cache", type=float, metavar="X", help=what)
    kind = parser.add_mutually_exclusive_group()
    what = "copy this model instead, with the decoder of a --decoder-only run"
    kind.add_argument("--decoder-of", metavar="MODEL", help=what)
    what = "copy this model instead, with prior, codebooks and tables of a --prior-only run"
    kind.add_argument("--coding-of", metavar="MODEL", help=what)
    what = "weights file to write"
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=what)
    what = "batches of crops that indices are counted on  [default: %(default)s]"
    parser.add_argument("--batches", type=int, default=250, metavar="N", help=what)
    what = "weight of the model's own probabilities, as a number of indices  [default: %(default)s]"
    parser.add_argument("--pseudo", type=float, default=PSEUDO_COUNT, metavar="X", help=what)
    what = "of the way from --start to the state that the parameters lie at  [default: 1]"
    kind.add_argument("--share", type=float, metavar="X", help=what)
    what = "with --share: the model that the run started from  [default: %(default)s]"
    parser.add_argument("--start", default="default", metavar="SOURCE", help=what)
    parser.add_argument("--name", help="of the model; the output's stem unless given")
    arguments = parser.parse_args()
    state, output = arguments.state, arguments.output
    if same_file(state, output):
        parser.error(f"-o {output} would replace the state itself")
    check_least(parser, arguments, dict.fromkeys(("batches", "pseudo", "cache"), 0))
    try:
        check_writable(output)
        if arguments.decoder_of is not None:
            source = find_model(arguments.decoder_of)
            ids = [export_decoder(state, arguments.data, source, output, arguments.cache)]
        elif arguments.coding_of is not None:
            source = find_model(arguments.coding_of)
            counting = arguments.batches, arguments.pseudo, arguments.cache
            ids = [export_coding(state, arguments.data, source, output, *counting)]
        else:
            name = arguments.name or output.stem
            mixed = None if arguments.share is None else (arguments.start, arguments.share)
            how = arguments.batches, arguments.pseudo, arguments.cache, mixed
            ids = [*export_state(state, arguments.data, output, name, *how)]
    except (ModelNotFound, OSError) as error:
        parser.error(str(error))
    what = ("decoder " if arguments.decoder_of else "") + " ".join(each.hex() for each in ids)
    print(f"{output} {output.stat().st_size} bytes, {what}")


if __name__ == "__main__":
    with interruptible("export"):
        main()
