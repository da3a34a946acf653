"""All settings of a training run, stored in its checkpoints and its log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from vqcodec.model.config import ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """A run ends when `minutes` of training time or `steps` are used up, whichever is set.

    Attributes:
        batch, crop: pictures per step and their side in pixels (a multiple of 32). The prior's grid has steps
            of 32 px: in a small crop most positions lie at a border and lack context.
        late_crop: crop of the last tenth of the run (the batch shrinks to keep the pixels).
        learning_rate: peak rate of the networks (Adam, warm-up, cosine to zero).
        fast: factor on it for codewords, bin logits and biases, which hardly move otherwise.
        slow: factor on it for the linear shortcut and the last layers of both transforms.
        exact_from: share of the run after which prior and codewords are on their integer grids.
        loss_balance: a picture's loss is weighted by lambda ** -loss_balance, which favours low rates.
        mse_share: a of the mixed distortion (`vqcodec.training.losses`): 1 is squared error alone, less
            mixes in SSIMULACRA2's weighted error.
        decoder_only: train the networks of g_s alone: files stay readable, and a step takes half the time.
            The shortcut stays, since the perceptual decoder shares it.
        prior_only: train prior, hyper-latent and tables alone: latents and both decoders stay valid, and a
            step takes less than half the time.
        bf16: transforms in bfloat16; None: where the machine is faster in it.
    """

    data: str = ""
    out: str = "runs/default"
    minutes: float | None = None
    steps: int | None = None
    batch: int = 3
    crop: int = 256
    late_crop: int = 256
    learning_rate: float = 5e-4
    fast: float = 40.0
    slow: float = 0.3
    warmup: int = 200
    exact_from: float = 0.75
    loss_balance: float = 0.4
    mse_share: float = 1.0
    decoder_only: bool = False
    prior_only: bool = False
    revive_every: int = 200
    log_every: int = 100
    save_minutes: float = 5.0
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    bf16: bool | None = None
    model: ModelConfig = field(default_factory=ModelConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
