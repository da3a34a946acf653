"""Runs of one rank or several, with the words DATA STATE WEIGHTS OUT.

A new run, one that goes on from a state, and one of the perceptual stage, each in a folder of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

from tests.tiny import settings
from tests.training.players import Difference, perceptual_config
from vqcodec.training import losses
from vqcodec.training.perceptual.__main__ import run
from vqcodec.training.perceptual.players import Players
from vqcodec.training.ranks import Ranks, joined
from vqcodec.training.trainer import Trainer
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore


@patch.object(losses, "REFERENCE_BATCHES", 1)  # of six, which took longer than all else here
def run_all(ranks: Ranks, data: str, state: Path, weights: Path, out: Path) -> None:
    """All three, with these ranks."""
    some = {"data": data, "log_every": 2, "revive_every": 3, "late_crop": 64, "mse_share": 0.5}
    Trainer(settings(**some, out=str(out / "new"), steps=6, rounded_from=0.5), ranks).run()
    # Three pictures are not divided evenly, and of two tiny parts each rank has its own.
    changes = {"steps": 62, "accumulate": 1 if ranks.count == 1 else 2, "cache": 0.001}
    again = Trainer(settings(**(some | changes), batch=5, out=str(out / "again")), ranks)
    again.load(state)
    again.run()
    config = perceptual_config(
        data=data, out=str(out / "looks"), begin=0.5, batch=3, steps=4, wasserstein=0.5
    )
    run(Players(config, restore(load_weights(weights)), (Difference(), Difference()), ranks))


def main() -> None:
    """As one of several ranks, told by the environment."""
    with joined("cpu") as ranks:
        run_all(ranks, sys.argv[1], *(Path(text) for text in sys.argv[2:]))
