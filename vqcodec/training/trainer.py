"""The training loop: one recipe on CPU and GPU, resumable, annealed by time or by steps.

    (a) start codebooks by rate-constrained Lloyd on the latents of the untrained analysis transform
    (b) minimise  lambda(t) 255^2 D + free energy in bits per pixel, levels t spread over each batch
    (c) from `exact_from` on with prior, codewords and context classes on their integer grids

The state (weights, EMA, optimiser, progress) is one safetensors file, replaced atomically.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.codebook import VectorQuantizer
from vqcodec.model.residual import ResidualQuantizer
from vqcodec.model.scalar import SCALE_MAX, SCALE_MIN
from vqcodec.model.vqvae import VQVAE, Output
from vqcodec.training.codebook_start import class_of_scale, revive_dead_words, start_quantizer
from vqcodec.training.config import TrainConfig
from vqcodec.training.cuda_graphs import Graphs, without_history
from vqcodec.training.data import Crops, load_images
from vqcodec.training.grow import group_samples, take_over
from vqcodec.training.learning_rates import parameter_groups, trains
from vqcodec.training.losses import MixReference, measure_reference, mixed_distortion, rate_distortion
from vqcodec.training.reports import CodebookUse, RunLog
from vqcodec.training.running import (
    choose_bfloat16,
    choose_device,
    prepare_cuda,
    share_used,
    stop_event,
    warm_up,
)
from vqcodec.training.state import FILE, read_state, save_state

EMA_EVERY = 8
USE_EVERY = 4
"""Steps between two looks at the codebooks' use; looking costs about a twentieth of a step."""


class CollapseError(RuntimeError):
    """The codebooks or the loss have collapsed; going on would waste the run."""


class Trainer:
    """Owns model, optimiser, EMA and log of one run."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = choose_device(config.device)
        self.bf16 = choose_bfloat16(config.bf16, self.device)
        self.out = Path(config.out)
        self.model = VQVAE(config.model)
        # torch's stubs leave memory_format out.
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(self.model.quantizer, VectorQuantizer | ResidualQuantizer) and self.bf16:
            self.model.quantizer.gradient_dtype = torch.bfloat16
        self.partial = config.decoder_only or config.prior_only
        if config.decoder_only:
            self.model.vectors().use_greedy_slopes()  # the latents that files have
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(trains(name, config))
        self.optimizer = torch.optim.Adam(parameter_groups(self.model, config), betas=(0.9, 0.99), fused=True)
        self.ema = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        # Cell noise alternates between two kinds of steps, and draws in each.
        self.graphs: Graphs | None = None
        if self.device.type == "cuda" and not config.cell_noise:
            self.graphs = Graphs(self._gradients, list(self.model.parameters()))
        self.step, self.seconds = 0, 0.0
        self.gradient_norm = 0.0
        self.started = False
        self.reference: MixReference | None = None
        """What the mixed distortion compares with; measured when a run begins."""

    # -- state ---------------------------------------------------------------------------------
    def save(self) -> None:
        """Write the state to `out`; an older one stays until the new one is whole."""
        progress: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "gradient_norm": self.gradient_norm,
        }
        if self.reference:
            progress["reference"] = dataclasses.asdict(self.reference)
        save_state(self.out / FILE, self.config, self.model, self.ema, self.optimizer, progress)

    def load(self, path: Path) -> None:
        """Continue from a state of the same model."""
        progress = read_state(path, self.model, self.ema, self.optimizer)
        self.step, self.seconds = int(progress["step"]), progress["seconds"]
        self.gradient_norm = progress["gradient_norm"]
        if "reference" in progress:
            self.reference = MixReference.from_dict(progress["reference"])
        self.started = True

    # -- steps ---------------------------------------------------------------------------------
    @torch.no_grad()
    def start(self, crops: Crops) -> None:
        """Lloyd start of both quantisers on the latents of real crops at mixed levels."""
        latents, hypers = [], []
        for _ in range(24):
            x, level = crops.batch(self.config.batch, self.config.crop, self.device)
            y = self.model.analyse(x, level)
            latents.append(y)
            pad = (0, -y.shape[3] % 4, 0, -y.shape[2] % 4)
            hypers.append(self.model.h_a(nn.functional.pad(y, pad, mode="replicate")))
        y, z = torch.cat(latents), torch.cat(hypers)
        tail = self.model.h_a.tail
        # z starts at a deviation of 1.2 steps: enough for its codebook, within its fixed-point range.
        tail.weight.mul_(1.2 / z.std())
        tail.get_parameter("bias").mul_(0)
        z = (z - z.mean((0, 2, 3), keepdim=True)) * (1.2 / z.std())
        levels = self.config.model.context_levels[0]
        if isinstance(self.model.quantizer, VectorQuantizer):
            typical = start_quantizer(self.model.quantizer, group_samples(y, self.model.quantizer))
        elif isinstance(self.model.quantizer, ResidualQuantizer):
            typical = self.model.quantizer.start(group_samples(y, self.model.quantizer.first))
        else:
            typical = class_of_scale(y.abs().mean((0, 2, 3)), levels)
        self.model.prior.start_context(typical, self._context_spread())
        quantizer = self.model.hyper_quantizer
        start_quantizer(quantizer, group_samples(z, quantizer))
        for table in quantizer.table:
            table.zero_()
        self.started = True

    def _context_spread(self) -> float:
        """Classes by which scales rise over the dial: they grow log-linearly, as the gains do."""
        if self.config.level is not None:
            return 0.0
        growth = float(self.model.log_gain[-1].mean() - self.model.log_gain[0].mean())
        return growth / math.log(SCALE_MAX / SCALE_MIN) * (self.config.model.context_levels[0] - 1)

    @torch.no_grad()
    def start_from(self, source: VQVAE, crops: Crops) -> None:
        """Start from another model's weights instead, see `vqcodec.training.grow`."""
        source = source.to(self.device)
        take_over(self.model, source, crops, self.config.batch, self.config.crop, self._context_spread())
        self.ema = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.started = True

    def _workers(self) -> int:
        """Threads that cut crops: on a CPU the step itself needs every core."""
        return 0 if self.device.type == "cpu" else max(1, min(8, (os.cpu_count() or 2) - 1))

    def progress(self) -> float:
        """Share of the budget used, 0..1."""
        return share_used(self.config.minutes, self.config.steps, self.seconds, self.step)

    def _set_rate(self, progress: float) -> float:
        rate = self.config.learning_rate * warm_up(self.step, self.config.warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * progress)) * 0.99 + 0.01
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        return rate

    def _gradients(self, x: Tensor, level: Tensor) -> tuple[Output, Tensor]:
        """Set the parameters' gradients; returns the model's output and the loss, without their history."""
        pixels = x.shape[2] * x.shape[3]
        output = self.model(x, level, autocast=self.bf16, synthesis=not self.config.prior_only)
        bpp = output.energy * self.config.energy_weight / (math.log(2) * pixels)
        loss = rate_distortion(self._distortion(x, output, level), bpp, level, self.config.loss_balance)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return without_history(output), loss.detach()

    def _distortion(self, x: Tensor, output: Output, level: Tensor) -> Tensor:
        """D (B,) of the loss."""
        if self.reference is None:
            return output.mse
        error = weighted_error(x, output.picture)
        return mixed_distortion(output.mse, error, level, self.config.mse_share, self.reference)

    def _start_mixing(self, crops: Crops) -> None:
        """Measure what the mixed distortion compares with, once in a run: a resumed one has it."""
        config = self.config
        if config.mse_share < 1 and not config.prior_only and self.reference is None:
            self.model.set_exact(True)

            def batch() -> Tensor:
                return crops.batch(config.batch, config.crop, self.device)[0]

            self.reference = measure_reference(self.model, batch, self.bf16)

    def train_step(self, x: Tensor, level: Tensor) -> tuple[Any, float]:
        """One optimiser step; returns the model's output and the loss."""
        noisy = self.config.cell_noise and self.step % 2 == 0
        self.model.cell_noise = noisy
        if self.graphs is None:
            output, loss = self._gradients(x, level)
        else:
            output, loss = self.graphs(x, level, mode=self.model.exact)
        if self.config.cell_noise:
            # Noise leaks the latent to g_s, which must learn from codewords; g_a learns from noise alone.
            (self.model.g_s if noisy else self.model.g_a).zero_grad(set_to_none=True)
        limit = 2 * self.gradient_norm if self.gradient_norm else 1e6
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        if math.isfinite(norm):
            decay = 0.98 if self.gradient_norm else 0.0
            self.gradient_norm = decay * self.gradient_norm + (1 - decay) * min(norm, limit)
            self.optimizer.step()
        self.step += 1
        if self.step % EMA_EVERY == 0:
            horizon = min(1000, self.step / 4)
            with torch.no_grad():
                current = [p.detach() for p in self.model.parameters()]
                torch._foreach_lerp_(list(self.ema.values()), current, min(1.0, EMA_EVERY / horizon))
        return output, loss.item()

    def run(self, source: VQVAE | None = None) -> None:
        """Train until the budget is used up; writes log and state to `out`.

        Args:
            source: model whose weights a new run starts from.
        """
        config = self.config
        self.out.mkdir(parents=True, exist_ok=True)
        torch.set_flush_denormal(True)
        prepare_cuda()
        crops = Crops(
            load_images(config.data, min(config.crop, config.late_crop), sys.stderr.isatty()),
            seed=config.seed,
            level=config.level,
            first=self.step,
            workers=self._workers(),
        )
        for side in (config.crop, config.late_crop):
            crops.reach(side)
        if not self.started and source is not None:
            self.start_from(source, crops)
        elif not self.started:
            self.start(crops)
        self._start_mixing(crops)
        quantizer = self.model.quantizer
        use = CodebookUse(quantizer) if isinstance(quantizer, VectorQuantizer) else None
        log = RunLog(self.out / "log.jsonl", use)
        bad, saved, stop = 0, time.monotonic(), stop_event()
        while (progress := self.progress()) < 1.0 and not stop.is_set():
            begun = time.monotonic()
            self.model.set_exact(self.partial or progress >= config.exact_from)
            rate = self._set_rate(progress)
            side, count = config.crop, config.batch
            if progress >= 0.9:
                side = config.late_crop
                count = max(1, round(config.batch * config.crop**2 / side**2))
            x, level = crops.batch(count, side, self.device)
            output, loss = self.train_step(x, level)
            bad = 0 if math.isfinite(loss) else bad + 1
            if bad >= 20:
                raise CollapseError("the loss has not been finite for 20 steps")
            log.averages.add(level, output, side * side)
            if use:
                if self.step % USE_EVERY == 0:
                    use.add(output)
                if config.revive_every and self.step % config.revive_every == 0:
                    if progress < 0.6 and not self.partial:
                        self._revive(use, output)
                    use.reset_recent()
            self.seconds += time.monotonic() - begun
            if self.step % config.log_every == 0:
                self._report(log, rate, progress, loss)
            if time.monotonic() - saved > 60 * config.save_minutes:
                self.save()
                saved = time.monotonic()
        self.save()

    def _revive(self, use: CodebookUse, output: Output) -> None:
        """Restart words that were not chosen since the last time at places that are coded badly."""
        samples = [torch.cat([p.residual[i] for p in output.passes], 1) for i in range(len(use.counts))]
        revive_dead_words(use.quantizer, use.recent, samples)

    def _report(self, log: RunLog, rate: float, progress: float, loss: float) -> None:
        entry = log.write(
            {
                "step": self.step,
                "seconds": round(self.seconds, 1),
                "progress": round(progress, 4),
                "rate": rate,
                "loss": round(loss, 4),
                "gradient_norm": round(self.gradient_norm, 3),
            }
        )
        if log.use and self.step > 1000 and max(entry["codebooks"]["perplexity"]) < 1.05:
            raise CollapseError("every codebook uses a single word: the quantiser has collapsed")
