"""What a run trains: model, optimiser, moving average; how they start, and how they are kept in a state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vqcodec.model.vqvae import VQVAE
from vqcodec.training.codebook_start import (
    context_spread,
    group_samples,
    start_hyper_codebooks,
    start_quantizer,
)
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import Crops
from vqcodec.training.grow import take_over
from vqcodec.training.learning_rates import parameter_groups, trains
from vqcodec.training.losses import MixReference, measure_reference
from vqcodec.training.optimizers import make_optimizer, optimizer_parts, restore_optimizer
from vqcodec.training.quantise import some_batches
from vqcodec.training.ranks import Ranks
from vqcodec.training.rounding_steps import measure_steps, steps_of
from vqcodec.training.running import Run
from vqcodec.training.state import FILE, progress_of_state, write_state

START_BATCH = 64
"""Most crops that go through the model at once when a run starts: that is not shared or done in parts."""


class TrainedModel(Run[TrainConfig]):
    """Model, optimiser and EMA of one run.

    Attributes:
        kind: class of the model; variants (`benchmarks.variants`) are trained by subclasses with another.
    """

    kind: type[VQVAE] = VQVAE

    def __init__(self, config: TrainConfig, ranks: Ranks | None = None) -> None:
        super().__init__(config, ranks)
        self.model = self.kind(config.model)
        # torch's stubs leave memory_format out.
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.bf16:
            self.model.quantizer.gradient_dtype = torch.bfloat16
        self.partial = config.decoder_only or config.prior_only or config.tables_only
        if config.decoder_only or config.prior_only:
            self.model.quantizer.use_greedy_slopes()  # the latents that files have
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(trains(name, config))
        self.optimizer = make_optimizer(config.optimizer, parameter_groups(self.model, config))
        self.ema = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.gradient_norm = 0.0
        self.started = False
        self.reference: MixReference | None = None
        """Reference of the mixed distortion; measured when a run begins."""

    def save(self) -> None:
        """Write the state to `out` atomically."""
        progress = {"step": self.step, "seconds": self.seconds, "gradient_norm": self.gradient_norm}
        reference = {"reference": dataclasses.asdict(self.reference)} if self.reference else {}
        parameters = dict(self.model.named_parameters())
        parts: dict[str, Mapping[str, Tensor]] = {"model": parameters, "ema": self.ema}
        if self.model.rounded:
            parts["step"] = steps_of(self.model)
        write_state(
            self.out / FILE,
            self.config,
            progress | reference,
            parts | optimizer_parts(self.optimizer, parameters),
        )

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Continue from a state of the same model."""
        tensors = load_file(path, device=str(self.device))
        for name, parameter in self.model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            self.ema[name].copy_(tensors[f"ema.{name}"])
        for name, step in steps_of(self.model).items():
            if f"step.{name}" in tensors:
                step.copy_(tensors[f"step.{name}"])
        restore_optimizer(self.optimizer, dict(self.model.named_parameters()), tensors)
        progress = progress_of_state(path)
        self.step, self.seconds = int(progress["step"]), progress["seconds"]
        self.gradient_norm = progress["gradient_norm"]
        if "reference" in progress:
            self.reference = MixReference.from_dict(progress["reference"])
        self.started = True

    @torch.no_grad()
    def start(self, crops: Crops) -> None:
        """Lloyd start of both quantisers on the latents of real crops at mixed qualities."""
        batch, crop = min(self.config.batch, START_BATCH), self.config.crop
        y = torch.cat([self.model.analyse(*crops.batch(batch, crop, self.device)) for _ in range(24)])
        padded = nn.functional.pad(y, (0, -y.shape[3] % 4, 0, -y.shape[2] % 4), mode="replicate")
        z = torch.cat([self.model.h_a(part) for part in padded.split(batch)])
        self.model.prior.start_context(self.start_codebooks(y), context_spread(self.model))
        start_hyper_codebooks(self.model, z)
        self.started = True

    def start_codebooks(self, y: Tensor) -> Tensor:
        """Start the latent's codebooks from latents y (B, M, h, w); returns bins as `start_quantizer`."""
        return start_quantizer(self.model.quantizer, group_samples(y, self.model.quantizer))

    @torch.no_grad()
    def start_from(self, source: VQVAE, crops: Crops) -> None:
        """Start from another model's weights; one of other sizes is grown, see `vqcodec.training.grow`."""
        config, source = self.config, source.to(self.device)
        if source.config == self.model.config:
            self.model.load_state_dict(source.state_dict())
        else:
            batch = min(config.batch, START_BATCH)
            take_over(self.model, source, crops, batch, config.crop, context_spread(self.model))
        self.ema = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.started = True

    def start_mixing(self, crops: Crops) -> None:
        """Measure the reference of the mixed distortion, unless the run was resumed with it."""
        config = self.config
        if config.mse_share < 1 and not config.prior_only and self.reference is None:
            self.model.set_exact(True)

            def batch() -> Tensor:
                return crops.batch(min(config.batch, START_BATCH), config.crop, self.device)[0]

            self.reference = measure_reference(self.model, batch, self.bf16)

    def start_rounding(self, crops: Crops) -> None:
        """Round from now on; steps are measured unless the run was resumed with them."""
        if self.model.rounded:
            return
        steps = steps_of(self.model)
        if not all(step.any() for step in steps.values()):
            measure_steps(self.model, some_batches(crops.pictures, self.config.crop, self.config.model.tunes))
            self.ranks.follow_(list(steps.values()))
        self.model.set_rounded(True)

    def follow(self) -> None:
        """Start from the first rank's weights: another machine's may differ in the last bits."""
        for tensors in (list(self.model.parameters()), list(self.ema.values())):
            self.ranks.follow_(tensors)
        if self.reference is not None:
            self.reference = MixReference.from_list(self.ranks.follow(self.reference.to_list()))
