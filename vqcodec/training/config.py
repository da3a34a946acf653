"""All settings of a training run, stored in its state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from vqcodec.model.config import ModelConfig


@dataclass(frozen=True)
class RunConfig:
    """What all runs have; one ends when `minutes` of training time or `steps` are used up, whichever is set.

    Attributes:
        data, out: folders of the pictures (or tar shards), and of the run's state and log.
        cache: GB of decoded pictures that a rank keeps, see `vqcodec.training.stored.open_pictures`.
        batch, crop: pictures per step, of all ranks together, and their side in pixels (a multiple of 32).
        accumulate: parts that a rank goes through its pictures of a step in.
        learning_rate: peak rate of the networks (Adam, warm-up, cosine to zero).
        slow: factor on it for the last layers.
        bf16: transforms in bfloat16; None: where the machine is faster in it.
    """

    data: str = ""
    out: str = "runs/default"
    cache: float | None = None
    minutes: float | None = None
    steps: int | None = None
    batch: int = 3
    crop: int = 256
    accumulate: int = 1
    learning_rate: float = 5e-4
    slow: float = 0.3
    warmup: int = 200
    log_every: int = 100
    save_minutes: float = 5.0
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    bf16: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of the training of a model; a small `crop` leaves most positions of the prior without context.

    Attributes:
        late_crop: crop of the last tenth of the run (the batch shrinks to keep the pixels).
        fast: factor on the rate for codewords, bin logits and biases, which hardly move otherwise.
        slow: also for the linear shortcut.
        exact_from: share of the run after which prior and codewords are on their integer grids.
        loss_balance: a picture's loss is weighted by lambda ** -loss_balance, which favours low rates.
        mse_share: a of the mixed distortion (`vqcodec.training.losses`): 1 is squared error alone, less
            mixes in SSIMULACRA2's weighted error.
        decoder_only: train the networks of g_s alone: files stay readable, and a step takes half the time.
            The shortcut stays, since the perceptual decoder shares it.
        prior_only: train prior, hyper-latent and tables alone: latents and both decoders stay valid, and a
            step takes less than half the time.
    """

    late_crop: int = 256
    fast: float = 40.0
    exact_from: float = 0.75
    loss_balance: float = 0.4
    mse_share: float = 1.0
    decoder_only: bool = False
    prior_only: bool = False
    revive_every: int = 200
    model: ModelConfig = field(default_factory=ModelConfig)
