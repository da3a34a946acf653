"""What tests read from a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vqcodec.model.codebook import VectorQuantizer
from vqcodec.training.trainer import Trainer


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def mean_cost(entry: dict[str, Any]) -> float:
    return float(np.mean([third["cost"] for third in entry["levels"].values()]))


def vectors(trainer: Trainer) -> VectorQuantizer:
    assert isinstance(trainer.model.quantizer, VectorQuantizer)
    return trainer.model.quantizer
