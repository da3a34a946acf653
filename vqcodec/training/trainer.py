"""The training loop: one recipe on CPU and GPU, resumable, annealed by time or by steps.

(a) start codebooks by rate-constrained Lloyd on the latents of the untrained analysis transform
(b) minimise  lambda(t) 255^2 D + free energy in bits per pixel, qualities t spread over each batch
(c) from `exact_from` on with prior, codewords and context numbers on their integer grids, and from
    `rounded_from` on with the transforms' layers of 8 bits rounded
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from torch import Tensor, nn

from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.vqvae import VQVAE, Output
from vqcodec.training.codebook_start import revive_dead_words, worst_coded
from vqcodec.training.config import TrainConfig
from vqcodec.training.cuda_graphs import Graphs, tensorwise, without_history
from vqcodec.training.data import Crops
from vqcodec.training.losses import mixed_distortion, mse_shares, rate_distortion
from vqcodec.training.ranks import GradientSum, Ranks
from vqcodec.training.reports import Averages, CodebookUse, join_parts
from vqcodec.training.running import tiny_floats_as_zero
from vqcodec.training.trained_model import TrainedModel

EMA_EVERY = 8
USE_EVERY = 4
"""Steps between two counts of the codebooks' use, which take about a twentieth of a step."""


class CollapseError(RuntimeError):
    """The codebooks or the loss have collapsed; going on would waste the run."""


class Trainer(TrainedModel):
    """Owns steps, schedule and log of one run."""

    def __init__(self, config: TrainConfig, ranks: Ranks | None = None) -> None:
        super().__init__(config, ranks)
        self.graphs: Graphs | None = None
        if self.device.type == "cuda":
            self.graphs = Graphs(self._gradients, list(self.model.parameters()))
        self.gradient_sum = GradientSum(list(self.model.parameters()), self.ranks)
        self.averages, self.use = Averages(config.model.tunes), self.codebook_use()
        self.bad_steps = 0

    def batches(self) -> tuple[int, ...]:
        """Also of the late ones."""
        return self._shape(0.0)[0], self._shape(1.0)[0]

    def codebook_use(self) -> CodebookUse | None:
        """A new count of the codebooks' use; None in variants without codebooks."""
        return CodebookUse(self.model.quantizer)

    def _set_rate(self, progress: float) -> float:
        rate = self.config.learning_rate * self.warm_up()
        rate *= 0.5 * (1 + math.cos(math.pi * progress)) * 0.99 + 0.01
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        return rate

    def _gradients(self, x: Tensor, t: Tensor) -> tuple[Output, Tensor]:
        """Set the parameters' gradients; returns the model's output and the loss, detached."""
        pixels = x.shape[2] * x.shape[3]
        output = self.model(x, t, autocast=self.bf16, synthesis=not self.config.prior_only)
        bpp = output.energy / (math.log(2) * pixels)
        distortion = output.mse
        if self.reference is not None:
            error = weighted_error(x, output.picture)
            share = mse_shares(t, self.config.mse_share, self.config.model.tunes)
            distortion = mixed_distortion(output.mse, error, t, share, self.reference)
        loss = rate_distortion(distortion, bpp, t, self.config.loss_balance)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return without_history(output), loss.detach()

    def _mean_gradients(self, x: Tensor, t: Tensor) -> tuple[Any, Tensor]:
        """`_gradients`, as a graph where there is one: what it returns is overwritten by the next call."""
        return (
            self._gradients(x, t)
            if self.graphs is None
            else self.graphs(x, t, mode=(self.model.exact, self.model.rounded))
        )

    def _shared_gradients(self, x: Tensor, t: Tensor, count: int) -> tuple[Any, Tensor]:
        """The same for this rank's pictures of a batch of `count`, in parts; the loss is the batch's."""
        pieces = self.config.accumulate
        if pieces == 1 and len(x) == count:
            return self._mean_gradients(x, t)
        outputs, losses = [], []
        for part in zip(x.tensor_split(pieces), t.tensor_split(pieces), strict=True):
            output, loss = self._mean_gradients(*part)
            share = len(part[1]) / count
            self.gradient_sum.add(share)
            outputs.append(output if self.graphs is None else tensorwise(output, Tensor.clone))
            losses.append(share * loss)
        self.gradient_sum.finish()
        total = torch.stack(losses).sum()
        self.ranks.sum_([total])
        return join_parts(outputs), total

    def train_step(self, x: Tensor, t: Tensor, count: int | None = None) -> tuple[Any, float]:
        """One optimiser step; returns the model's output for these pictures and the loss of the batch.

        Args:
            count: pictures of the batch on all ranks, unless these are all.
        """
        output, loss = self._shared_gradients(x, t, count or len(x))
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

    @tiny_floats_as_zero()
    def run(self, source: VQVAE | None = None) -> None:
        """Train until the budget is used up; writes log and state to `out`.

        Args:
            source: model whose weights a new run starts from.
        """
        # On a CPU the step itself needs every core.
        cores = (os.cpu_count() or 2) // self.ranks.local_count
        workers = 0 if self.device.type == "cpu" else max(1, min(8, cores - 1))
        sides = self.config.crop, self.config.late_crop
        crops = self.open(workers, *sides, tunes=self.config.model.tunes)
        if not self.started and source is not None:
            self.start_from(source, crops)
        elif not self.started:
            self.start(crops)
        self.start_mixing(crops)
        self.follow()
        self.repeat(lambda progress: self._advance(progress, crops), self._report, self.save)

    def _shape(self, progress: float) -> tuple[int, int]:
        """Crops of a step, of all ranks, and their side at this share of the run."""
        config = self.config
        if progress < 0.9:
            return config.batch, config.crop
        return max(1, round(config.batch * config.crop**2 / config.late_crop**2)), config.late_crop

    def _advance(self, progress: float, crops: Crops) -> dict[str, float]:
        """Take the next step; returns figures for the log."""
        config, use = self.config, self.use
        self.model.set_exact(self.partial or progress >= config.exact_from)
        if progress >= config.rounded_from:
            self.start_rounding(crops)
        rate = self._set_rate(progress)
        count, side = self._shape(progress)
        x, t = crops.batch(count, side, self.device, self.ranks.places(count))
        output, loss = self.train_step(x, t, count)
        self.bad_steps = 0 if math.isfinite(loss) else self.bad_steps + 1
        if self.bad_steps >= 20:
            raise CollapseError("the loss has not been finite for 20 steps")
        self.averages.add(t, output, side * side)
        if use and self.step % USE_EVERY == 0:
            use.add(output)
        if use and config.revive_every and self.step % config.revive_every == 0:
            if progress < 0.6 and not self.partial:
                # Codewords that were not used since the last time go to badly coded samples.
                self.ranks.sum_(use.recent)
                revive_dead_words(use.quantizer, use.recent, self._samples(output))
            use.reset_recent()
        return {"rate": rate, "loss": round(loss, 4), "gradient_norm": round(self.gradient_norm, 3)}

    @torch.no_grad()
    def _samples(self, output: Output) -> list[Tensor]:
        """Residuals (G, n, d) of each band in a step; of several ranks only the worst coded."""
        words = self.model.quantizer.words
        samples = [torch.cat([p.residual[i] for p in output.passes], 1) for i in range(len(words))]
        if self.ranks.count == 1:
            return samples
        worst = [worst_coded(*pair).transpose(0, 1) for pair in zip(samples, words, strict=True)]
        return [self.ranks.gather(part.contiguous()).transpose(0, 1).contiguous() for part in worst]

    def _report(self, entry: dict[str, Any]) -> None:
        """Log an entry with what all ranks gathered since the last one."""
        self.ranks.sum_([self.averages.sums])
        if self.use:
            self.ranks.sum_([*self.use.counts, *self.use.error])
            self.use.positions = self.ranks.total(self.use.positions)
        levels = entry["levels"] = self.averages.summary()
        self.averages.reset()
        if self.use:
            entry["codebooks"] = self.use.summary()
            self.use.reset()
        costs = " ".join(f"{k} {v['bpp']:.3f}/{v['psnr'] or 0:.2f}" for k, v in levels.items())
        self.write("log.jsonl", entry, f"step {self.step} {costs}")
        if self.use and self.step > 1000 and max(entry["codebooks"]["perplexity"]) < 1.05:
            raise CollapseError("every codebook uses a single word: the quantiser has collapsed")
