"""The training loop: one recipe on CPU and GPU, resumable, annealed by time or by steps.

    (a) start codebooks by rate-constrained Lloyd on the latents of the untrained analysis transform
    (b) minimise  lambda(t) 255^2 D + free energy in bits per pixel, qualities t spread over each batch
    (c) from `exact_from` on with prior, codewords and context numbers on their integer grids

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
from vqcodec.model.vqvae import VQVAE, Output
from vqcodec.training.codebook_start import (
    SCALE_MAX,
    SCALE_MIN,
    group_samples,
    revive_dead_words,
    start_quantizer,
)
from vqcodec.training.config import TrainConfig
from vqcodec.training.cuda_graphs import Graphs, without_history
from vqcodec.training.data import Crops, load_images
from vqcodec.training.grow import take_over
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
"""Steps between two counts of the codebooks' use, which take about a twentieth of a step."""


class CollapseError(RuntimeError):
    """The codebooks or the loss have collapsed; going on would waste the run."""


class Trainer:
    """Owns model, optimiser, EMA and log of one run.

    Attributes:
        kind: class of the model; variants (`benchmarks.variants`) are trained by subclasses with another.
    """

    kind: type[VQVAE] = VQVAE

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = choose_device(config.device)
        self.bf16 = choose_bfloat16(config.bf16, self.device)
        self.out = Path(config.out)
        self.model = self.kind(config.model)
        # torch's stubs leave memory_format out.
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.bf16:
            self.model.quantizer.gradient_dtype = torch.bfloat16
        self.partial = config.decoder_only or config.prior_only
        if config.decoder_only:
            self.model.quantizer.use_greedy_slopes()  # the latents that files have
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(trains(name, config))
        self.optimizer = torch.optim.Adam(parameter_groups(self.model, config), betas=(0.9, 0.99), fused=True)
        self.ema = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.graphs: Graphs | None = None
        if self.device.type == "cuda":
            self.graphs = Graphs(self._gradients, list(self.model.parameters()))
        self.step, self.seconds = 0, 0.0
        self.gradient_norm = 0.0
        self.started = False
        self.reference: MixReference | None = None
        """Reference of the mixed distortion; measured when a run begins."""

    # -- state ---------------------------------------------------------------------------------
    def save(self) -> None:
        """Write the state to `out` atomically."""
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
        """Lloyd start of both quantisers on the latents of real crops at mixed qualities."""
        latents, hypers = [], []
        for _ in range(24):
            x, t = crops.batch(self.config.batch, self.config.crop, self.device)
            y = self.model.analyse(x, t)
            latents.append(y)
            pad = (0, -y.shape[3] % 4, 0, -y.shape[2] % 4)
            hypers.append(self.model.h_a(nn.functional.pad(y, pad, mode="replicate")))
        y, z = torch.cat(latents), torch.cat(hypers)
        tail = self.model.h_a.tail
        # Standard deviation of 1.2 steps: enough for the codebook, within the fixed-point range.
        tail.weight.mul_(1.2 / z.std())
        tail.get_parameter("bias").mul_(0)
        z = (z - z.mean((0, 2, 3), keepdim=True)) * (1.2 / z.std())
        self.model.prior.start_context(self.start_codebooks(y), self._context_spread())
        quantizer = self.model.hyper_quantizer
        start_quantizer(quantizer, group_samples(z, quantizer))
        for table in quantizer.table:
            table.zero_()
        self.started = True

    def start_codebooks(self, y: Tensor) -> Tensor:
        """Start the latent's codebooks from latents y (B, M, h, w); returns bins as `start_quantizer`."""
        return start_quantizer(self.model.quantizer, group_samples(y, self.model.quantizer))

    def codebook_use(self) -> CodebookUse | None:
        """A new count of the codebooks' use; None in variants without codebooks."""
        return CodebookUse(self.model.quantizer)

    def _context_spread(self) -> float:
        """Bins by which scales rise over the range of t: they grow log-linearly, as the gains do."""
        growth = float(self.model.log_gain[-1].mean() - self.model.log_gain[0].mean())
        return growth / math.log(SCALE_MAX / SCALE_MIN) * (self.config.model.context_levels[0] - 1)

    @torch.no_grad()
    def start_from(self, source: VQVAE, crops: Crops) -> None:
        """Start from another model's weights; one of other sizes is grown, see `vqcodec.training.grow`."""
        config, source = self.config, source.to(self.device)
        if source.config == self.model.config:
            self.model.load_state_dict(source.state_dict())
        else:
            take_over(self.model, source, crops, config.batch, config.crop, self._context_spread())
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

    def _gradients(self, x: Tensor, t: Tensor) -> tuple[Output, Tensor]:
        """Set the parameters' gradients; returns the model's output and the loss, detached."""
        pixels = x.shape[2] * x.shape[3]
        output = self.model(x, t, autocast=self.bf16, synthesis=not self.config.prior_only)
        bpp = output.energy / (math.log(2) * pixels)
        loss = rate_distortion(self._distortion(x, output, t), bpp, t, self.config.loss_balance)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return without_history(output), loss.detach()

    def _distortion(self, x: Tensor, output: Output, t: Tensor) -> Tensor:
        """D (B,) of the loss."""
        if self.reference is None:
            return output.mse
        error = weighted_error(x, output.picture)
        return mixed_distortion(output.mse, error, t, self.config.mse_share, self.reference)

    def _start_mixing(self, crops: Crops) -> None:
        """Measure the reference of the mixed distortion, unless the run was resumed with it."""
        config = self.config
        if config.mse_share < 1 and not config.prior_only and self.reference is None:
            self.model.set_exact(True)

            def batch() -> Tensor:
                return crops.batch(config.batch, config.crop, self.device)[0]

            self.reference = measure_reference(self.model, batch, self.bf16)

    def train_step(self, x: Tensor, t: Tensor) -> tuple[Any, float]:
        """One optimiser step; returns the model's output and the loss."""
        if self.graphs is None:
            output, loss = self._gradients(x, t)
        else:
            output, loss = self.graphs(x, t, mode=self.model.exact)
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
        use = self.codebook_use()
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
            x, t = crops.batch(count, side, self.device)
            output, loss = self.train_step(x, t)
            bad = 0 if math.isfinite(loss) else bad + 1
            if bad >= 20:
                raise CollapseError("the loss has not been finite for 20 steps")
            log.averages.add(t, output, side * side)
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
        """Move codewords that were not used since the last time to badly coded samples."""
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
