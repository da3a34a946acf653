"""All settings of a training run, stored in its state. What each is for is what the commands' --help says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from vqcodec.model.config import ModelConfig

T = TypeVar("T")
_HELP = "help"


def setting(default: T, text: str) -> T:
    """A field with a default, and what it is for."""
    made: Any = field(default=default, metadata={_HELP: text})
    return made


@dataclass(frozen=True)
class RunConfig:
    """What all runs have; one ends when `minutes` of training or `steps` are used up, whichever is set."""

    data: str = setting(
        "", "pictures: a folder, searched through; a tar shard; or a path with * in its last part"
    )
    out: str = setting("runs/default", "folder of the run's state and log")
    cache: float | None = setting(
        None, "GB of decoded pictures that a rank keeps; unless given all of a folder, or 1 of tar shards"
    )
    minutes: float | None = setting(None, "minutes of training")
    steps: int | None = setting(None, "steps of training")
    batch: int = setting(3, "pictures of a step, of all ranks together")
    crop: int = setting(256, "side of the crops in pixels, a multiple of 32; smaller pictures are left out")
    accumulate: int = setting(1, "parts that a rank goes through its pictures of a step in, to save memory")
    learning_rate: float = setting(5e-4, "peak rate of the networks (warm-up, cosine to zero)")
    slow: float = setting(
        0.3, "factor on it for the last layers, and for the linear shortcut where it is trained"
    )
    warmup: int = setting(200, "steps in which the rate rises to its peak")
    log_every: int = setting(100, "steps between two entries of the log")
    save_minutes: float = setting(5.0, "minutes between two states")
    seed: int = setting(0, "of crops and first weights")
    threads: int = setting(0, "threads of torch; 0 = its own choice")
    device: str = setting("auto", "where the run takes place: auto, cpu, cuda, cuda:N or mps")
    bf16: bool | None = setting(None, "transforms in bfloat16; unless given, if the machine is faster in it")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def help_of(cls, name: str) -> str:
        """What a setting is for, also where a subclass has another default; empty if nothing is said."""
        kinds = [kind for kind in cls.__mro__ if issubclass(kind, RunConfig)]
        texts = [item.metadata.get(_HELP, "") for kind in kinds for item in fields(kind) if item.name == name]
        return next(filter(None, texts), "")


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of a model's training; a small `crop` leaves most positions of the prior without context."""

    optimizer: str = setting(
        "adam", "adam, or soap, which gains more in the same time and needs the extra `train`"
    )
    late_crop: int = setting(
        256, "crop of the last tenth of the run, a multiple of 32; the batch shrinks to keep the pixels"
    )
    fast: float = setting(
        40.0, "factor on the rate for codewords, table logits and biases, which hardly move otherwise"
    )
    exact_from: float = setting(
        0.75, "share of the run after which prior and codewords are on their integer grids"
    )
    rounded_from: float = setting(
        1.0, "share of the run after which layers of 8 bits in the transforms round as the engine does"
    )
    loss_balance: float = setting(
        0.4, "a picture's loss is weighted by lambda to the power of minus this, which favours low rates"
    )
    mse_share: float = setting(
        1.0, "of the distortion: 1 is squared error alone, less mixes in SSIMULACRA2's weighted error"
    )
    # The shortcut stays, since the perceptual decoder shares it.
    decoder_only: bool = setting(
        False, "train the networks of g_s alone: files stay readable, a step takes half the time"
    )
    prior_only: bool = setting(
        False,
        "train prior, hyper-latent and tables alone: latents and both decoders stay valid, a step takes less "
        "than half the time",
    )
    tables_only: bool = setting(
        False,
        "train what depends on the level alone: gains, modulation, biases; of two tunes each gets its own",
    )
    revive_every: int = setting(200, "steps after which codewords that nobody chose are moved")
    model: ModelConfig = field(default_factory=ModelConfig)
