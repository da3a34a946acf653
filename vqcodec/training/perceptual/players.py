"""One step of the perceptual stage: the decoder learns to show texture, the discriminator to find it out.

Everything that decides the bits is frozen; a copy of the synthesis transform is tuned. For one batch of
latents and the pictures f that the fidelity decoder makes of them:

    decoder         w_e mse/mse_f + w_c colour/colour_f + w_r repeating/mse_f
                    + w_l LPIPS + w_d DISTS + w_p patches + w (adversarial + w_m matching)
    discriminator   hinge loss on (original, f) against (decoded, f), once it has begun

`mse/mse_f` is the error relative to the fidelity decoder's own: it weighs alike at every level of the dial,
and its price in PSNR can be read off, 10 log10. The errors of colour, and those that repeat from block to
block, are parts of mse that show far more than they weigh (`vqcodec.training.perceptual.pixel_errors`). The
weight w is
adaptive (Esser et al., 2021): the ratio of the gradient norms of the other losses and of the game at the last
layer, times `adversarial`.

What is logged shows both players. `real` and `fake` are mean scores: in the best run so far they stayed 2.5
apart, all but the 2 at which the hinge loss is content with both. In one whose discriminator's rate fell
along with the decoder's they ended 0.35 apart, and the price in PSNR rose while nothing looked better. So
the discriminator keeps its rate to the end. `weight` is w: ten times more than at the start says that the
game's gradient is vanishing. `psnr_loss` is the price paid so far in dB.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqcodec.metrics.perceptual import Distance
from vqcodec.model.transforms import SynthesisTransform
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.cuda_graphs import Graphs
from vqcodec.training.perceptual.discriminator import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    matching_loss,
)
from vqcodec.training.perceptual.patches import PatchLoss
from vqcodec.training.perceptual.pixel_errors import PixelErrors, pixel_errors
from vqcodec.training.running import choose_bfloat16, choose_device, warm_up

FROZEN = ("shortcut", "lapping")
"""Parts of g_s that stay: the linear half is the same for both decoders."""
WEIGHT_MAX = 100.0


@dataclass(frozen=True)
class PerceptualConfig:
    """Settings of a run.

    Attributes:
        level_power: levels are a uniform number to this power: above 1, most are low, where most is lost.
        error, colour, repeats, lpips, dists, patches, matching, adversarial: weights of the losses; the last
            scales the adaptive one.
        stretch: of `PatchLoss`.
        slow: rate of the last layer, relative to `learning_rate`.
        begin: share of the run before the discriminator and the adversarial losses begin.
        network: of LPIPS, "alexnet" or "vgg16".
    """

    data: str = ""
    out: str = "runs/perceptual"
    minutes: float | None = None
    steps: int | None = None
    batch: int = 4
    crop: int = 128
    learning_rate: float = 1e-4
    slow: float = 0.3
    discriminator_rate: float = 2e-4
    warmup: int = 50
    error: float = 0.2
    colour: float = 0.0
    repeats: float = 0.0
    lpips: float = 1.0
    dists: float = 5.0
    patches: float = 0.0
    stretch: float = 1.0
    adversarial: float = 0.3
    matching: float = 0.5
    begin: float = 0.05
    level_power: float = 2.0
    network: str = "alexnet"
    log_every: int = 50
    save_minutes: float = 5.0
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    bf16: bool | None = None


def _relative(errors: PixelErrors, floor: PixelErrors) -> tuple[Tensor, Tensor, Tensor]:
    """Errors (B,), of colour (B,) and repeating (B,) ones, over the fidelity decoder's."""
    total = floor.total.clamp_min(1e-6)
    return errors.total / total, errors.colour / floor.colour.clamp_min(1e-6), errors.repeating / total


class Players:
    """Both decoders, the discriminator and the optimisers."""

    def __init__(self, config: PerceptualConfig, model: VQVAE, distances: tuple[Distance, Distance]) -> None:
        """distances: LPIPS and DISTS, or what stands for them."""
        self.config = config
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = choose_device(config.device)
        self.bf16 = choose_bfloat16(config.bf16, self.device)
        model.set_exact(True)
        model.vectors().use_greedy_slopes()  # the latents that files have
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.g_s: SynthesisTransform = copy.deepcopy(model.g_s)
        self.tuned = {
            name: parameter.requires_grad_()
            for name, parameter in self.g_s.named_parameters()
            if not any(part in name for part in FROZEN)
        }
        self.ema = {name: parameter.detach().clone() for name, parameter in self.tuned.items()}
        self.discriminator = Discriminator().to(self.device)
        self.patches = PatchLoss(config.stretch)
        self.lpips, self.dists = (d.to(self.device) for d in distances)
        # Its weights are small: at the common rate their steps alone would cost half a decibel of noise.
        last = [p for n, p in self.tuned.items() if n.startswith("tail.")]
        others = [p for n, p in self.tuned.items() if not n.startswith("tail.")]
        groups = (
            [
                {"params": others, "rate": config.learning_rate},
                {"params": last, "rate": config.learning_rate * config.slow},
            ],
            [{"params": list(self.discriminator.parameters()), "rate": config.discriminator_rate}],
        )
        # The decoder averages over more steps than is usual in this game: less noise, and better pictures.
        self.optimizers = [
            torch.optim.Adam(g, lr=0.0, betas=b)
            for g, b in zip(groups, ((0.9, 0.99), (0.5, 0.9)), strict=True)
        ]
        self.adversarial = False
        self.graphs: Graphs | None = None
        if self.device.type == "cuda":
            self.graphs = Graphs(self._gradients, [*self.tuned.values(), *self.discriminator.parameters()])
        self.step = 0

    def set_rates(self, progress: float) -> None:
        """Learning rates at this share of the run: warm-up, then, of the decoder alone, cosine to zero."""
        begin = warm_up(self.step, self.config.warmup)
        decay = 0.5 * (1 + math.cos(math.pi * progress))
        for optimizer, factor in zip(self.optimizers, (begin * decay, begin), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * factor

    @torch.no_grad()
    def _latents(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised latent over the gain, which g_s takes, and the fidelity decoder's picture."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            y = self.model.analyse(x, level)
        y_hat, _, _ = self.model.quantise(y.float(), level)
        scaled = y_hat / self.model.gain(level)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return scaled, self.model.g_s(scaled, level).float().clamp(0, 1)

    def train_step(self, x: Tensor, level: Tensor, adversarial: bool) -> dict[str, float]:
        """One step of the decoder and, with `adversarial`, of the discriminator; returns what is logged."""
        self.adversarial = adversarial
        if self.graphs is None:
            log = self._gradients(x, level)
        else:
            log = self.graphs(x, level, mode=adversarial)
        norm = nn.utils.clip_grad_norm_(self.tuned.values(), 1.0)
        if torch.isfinite(norm):
            self.optimizers[0].step()
        if adversarial:
            self.optimizers[1].step()
        self.step += 1
        decay = min(0.998, 1 - 4 / (self.step + 4))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.tuned.values()), 1 - decay)
        return dict(zip(log, torch.stack(list(log.values())).tolist(), strict=True))

    def _gradients(self, x: Tensor, level: Tensor) -> dict[str, Tensor]:
        """Set the gradients of the decoder and, if `adversarial`, of the discriminator; returns the log."""
        config = self.config
        scaled, fidelity = self._latents(x, level)
        floor = pixel_errors(fidelity - x)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            picture = self.g_s(scaled, level).float()
            # The losses' gradients meet at the picture: each network behind it is gone through once.
            leaf = picture.detach().requires_grad_()
            ratio, colour, repeats = _relative(pixel_errors(leaf - x), floor)
            lpips = self.lpips(x, leaf).float()
            seen = [self.dists.features(p) for p in (x, leaf)]
            dists = self.dists.compare(*seen).float()
            loss = config.error * ratio.mean() + config.lpips * lpips.mean() + config.dists * dists.mean()
            loss = loss + config.colour * colour.mean() + config.repeats * repeats.mean()
            log = {"psnr_loss": 10 * ratio.log10().mean(), "lpips": lpips.mean(), "dists": dists.mean()}
            log |= {"colour": colour.mean(), "repeats": repeats.mean()}
            if config.patches:
                log["patches"] = self.patches(*seen)
                loss = loss + config.patches * log["patches"]
            log["loss"] = loss
            gradient = torch.autograd.grad(loss, leaf)[0]
            if self.adversarial:
                self.discriminator.requires_grad_(False)
                scores, features = self.discriminator(leaf, fidelity)
                with torch.no_grad():
                    _, real_features = self.discriminator(x, fidelity)
                game = generator_loss(scores.float()) + config.matching * matching_loss(
                    real_features, features
                )
                game_gradient = torch.autograd.grad(game, leaf)[0]
                weight = self._adaptive_weight(picture, gradient, game_gradient)
                gradient = gradient + weight * game_gradient
                log |= {"weight": weight, "game": game}
        self.optimizers[0].zero_grad(set_to_none=True)
        picture.backward(gradient)
        if self.adversarial:
            log |= self._discriminate(x, picture.detach(), fidelity)
        return {name: value.detach().float() for name, value in log.items()}

    def _adaptive_weight(self, picture: Tensor, fixed: Tensor, game: Tensor) -> Tensor:
        last = self.g_s.tail.weight
        norms = [
            torch.autograd.grad(picture, last, gradient, retain_graph=True)[0].norm()
            for gradient in (fixed, game)
        ]
        return (norms[0] / (norms[1] + 1e-6)).clamp_max(WEIGHT_MAX) * self.config.adversarial

    def _discriminate(self, x: Tensor, picture: Tensor, fidelity: Tensor) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            real, fake = (self.discriminator(p, fidelity)[0].float() for p in (x, picture))
            loss = discriminator_loss(real, fake)
        self.optimizers[1].zero_grad(set_to_none=True)
        loss.backward()
        return {"real": real.mean(), "fake": fake.mean(), "discriminator": loss}
