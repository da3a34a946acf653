"""The perceptual decoder and the discriminator: their optimisers, moving average and one training step.

Everything that decides the bits is frozen; a copy of the synthesis transform is tuned. x is the original, f
the fidelity decoder's picture and x_hat the tuned decoder's, both of the same latent:

    decoder         w_e total + w_c colour + w_r repeats + w_h mesh(x_hat - f) + w_s SSIMULACRA2's error
                    + w_l LPIPS(x, x_hat) + w_d DISTS(x, x_hat) + w_p patches(x, x_hat)
                    + w_t Wasserstein(x, x_hat) + w (generator + w_m feature matching)
    discriminator   hinge loss on scores of (x, f) and (x_hat, f)

total, colour, repeats (`repeating_error`) and SSIMULACRA2's are errors of x_hat relative to f's, w is the
adaptive weight times `adversarial`. The terms with w, and the discriminator, begin with the share `begin` of
the run.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from vqcodec.metrics.perceptual import Distance
from vqcodec.metrics.repeats import mesh, repeating_error
from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.cuda_graphs import Graphs, tensorwise
from vqcodec.training.perceptual.coded import CodedLatents, on_levels
from vqcodec.training.perceptual.config import PerceptualConfig
from vqcodec.training.perceptual.discriminator import Discriminator
from vqcodec.training.perceptual.losses import (
    adaptive_weight,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    patch_loss,
    pixel_errors,
    relative_errors,
    wasserstein_loss,
)
from vqcodec.training.ranks import GradientSum, Ranks
from vqcodec.training.running import Run

FROZEN = ("shortcut", "lapping")
"""Parts of g_s that stay: the linear half is the same for both decoders."""


class Players(Run[PerceptualConfig]):
    """Both decoders, the discriminator and the optimisers."""

    def __init__(
        self,
        config: PerceptualConfig,
        model: VQVAE,
        distances: tuple[Distance, Distance],
        ranks: Ranks | None = None,
        coded: CodedLatents | None = None,
    ) -> None:
        """Begin with the fidelity decoder.

        Args:
            distances: LPIPS and DISTS.
            coded: what makes the latents, instead of the model.
        """
        super().__init__(config, ranks)
        self.coded = coded
        model.set_exact(True)
        model.quantizer.use_greedy_slopes()  # the latents that files have
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.g_s = copy.deepcopy(model.g_s)
        self.tuned = {
            name: parameter.requires_grad_()
            for name, parameter in self.g_s.named_parameters()
            if not any(part in name for part in FROZEN)
        }
        self.ema = {name: parameter.detach().clone() for name, parameter in self.tuned.items()}
        self.discriminator = Discriminator().to(self.device)
        self.lpips, self.dists = (d.to(self.device) for d in distances)
        self.patch_variances: list[Tensor] = []
        # The last layer's weights are small: at the common rate its steps would add visible noise.
        last = [p for n, p in self.tuned.items() if n.startswith("tail.")]
        others = [p for n, p in self.tuned.items() if not n.startswith("tail.")]
        decoder = [
            {"params": others, "rate": config.learning_rate},
            {"params": last, "rate": config.learning_rate * config.slow},
        ]
        judge = [{"params": list(self.discriminator.parameters()), "rate": config.discriminator_rate}]
        self.optimizers = (
            torch.optim.Adam(decoder, lr=0.0, betas=(0.9, 0.99)),
            torch.optim.Adam(judge, lr=0.0, betas=(0.5, 0.9)),
        )
        self.adversarial = False
        # Of both: the discriminator's are switched on and off within a step.
        trained = [*self.tuned.values(), *self.discriminator.parameters()]
        self.gradient_sum = GradientSum(trained, self.ranks)
        self.share = 1.0
        self.graphs: Graphs | None = None
        # Neither ranks that agree on means in the middle of a step nor the codec can be in a graph.
        if self.device.type == "cuda" and self.ranks.count == 1 and coded is None:
            self.graphs = Graphs(self._gradients, trained)

    def set_rates(self, progress: float) -> None:
        """Learning rates at this share of the run: warm-up, then, of the decoder alone, cosine to zero.

        A discriminator that slows down with the decoder stops telling its pictures from originals.
        """
        begin = self.warm_up()
        decay = 0.5 * (1 + math.cos(math.pi * progress))
        for optimizer, factor in zip(self.optimizers, (begin * decay, begin), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * factor

    def _run(self, x: Tensor, level: Tensor) -> dict[str, Tensor]:
        """`_gradients`, as a graph where there is one: what it returns is overwritten by the next call."""
        if self.graphs is None:
            return self._gradients(x, level)
        return dict(self.graphs(x, level, mode=self.adversarial))

    def _shared_gradients(self, x: Tensor, level: Tensor, count: int) -> dict[str, Tensor]:
        """`_gradients` of this rank's pictures of a batch of `count`, in parts; the log is the batch's."""
        pieces = self.config.accumulate
        if pieces == 1 and len(x) == count:
            return self._run(x, level)
        log: dict[str, Tensor] = {}
        for part in zip(x.tensor_split(pieces), level.tensor_split(pieces), strict=True):
            share = len(part[1]) / count
            # Of the pictures that all ranks go through at this time.
            self.share = share / self.ranks.total(share)
            for name, value in tensorwise(self._run(*part), Tensor.clone).items():
                log[name] = log.get(name, 0) + share * value
            self.gradient_sum.add(share)
        self.gradient_sum.finish()
        self.ranks.sum_(list(log.values()))
        return log

    def _shared(self, value: Tensor) -> Tensor:
        """The mean over all ranks of a mean over this one's pictures."""
        if self.ranks.count == 1:
            return value
        value = value * self.share
        self.ranks.sum_([value])
        return value

    def train_step(
        self, x: Tensor, level: Tensor, adversarial: bool, count: int | None = None
    ) -> dict[str, float]:
        """One step of the decoder and, with `adversarial`, of the discriminator.

        Args:
            x: originals (B, 3, H, W) in [0, 1], H and W multiples of 32.
            level: t (B,) of the dial.
            count: pictures of the batch on all ranks, unless these are all.

        Returns:
            What is logged: unweighted terms of the loss, their weighted sum `loss`, the loss of PSNR against
            the fidelity decoder in dB, `psnr_loss`; with `adversarial` also the generator's loss, its
            adaptive `weight`, the mean scores `real` and `fake`, and the discriminator's loss.
        """
        self.adversarial = adversarial
        log = self._shared_gradients(x, level, count or len(x))
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

    @torch.no_grad()
    def _latents(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised latent over the gain, which g_s takes, and the fidelity decoder's picture."""
        if self.coded is not None:
            y_hat, fidelity = self.coded(x, level)
            return y_hat / self.model.gain(level), fidelity
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            y = self.model.analyse(x, level)
        y_hat, _, _ = self.model.quantise(y.float(), level)
        scaled = y_hat / self.model.gain(level)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return scaled, self.model.g_s(scaled, level).float().clamp(0, 1)

    def _gradients(self, x: Tensor, level: Tensor) -> dict[str, Tensor]:
        """Set the gradients of the decoder and, if `adversarial`, of the discriminator; returns the log."""
        level = level if self.coded is None else on_levels(level)
        scaled, fidelity = self._latents(x, level)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            picture = self.g_s(scaled, level).float()
            # The gradients of all losses are summed at the picture, so that g_s is gone through once.
            decoded = picture.detach().requires_grad_()
            log = self._fixed_losses(x, decoded, fidelity)
            gradient = torch.autograd.grad(log["loss"], decoded)[0]
            if self.adversarial:
                log["generator"] = self._generator_loss(x, decoded, fidelity)
                adversarial = torch.autograd.grad(log["generator"], decoded)[0]
                weight = adaptive_weight(picture, self.g_s.tail.weight, gradient, adversarial, self._shared)
                log["weight"] = weight * self.config.adversarial
                gradient = gradient + log["weight"] * adversarial
        self.optimizers[0].zero_grad(set_to_none=True)
        picture.backward(gradient)
        if self.adversarial:
            log |= self._discriminate(x, picture.detach(), fidelity)
        return {name: value.detach().float() for name, value in log.items()}

    def _fixed_losses(self, x: Tensor, decoded: Tensor, fidelity: Tensor) -> dict[str, Tensor]:
        """All terms that need no discriminator, their weighted sum "loss", and "psnr_loss"."""
        difference, usual = decoded - x, fidelity - x
        errors = relative_errors(pixel_errors(difference), pixel_errors(usual))
        lpips = self.lpips(x, decoded).float().mean()
        original, features = self.dists.features(x), self.dists.features(decoded)
        terms = {
            "error": errors.total.mean(),
            "lpips": lpips,
            "dists": self.dists.compare(original, features).float().mean(),
            "colour": errors.colour.mean(),
            "repeats": repeating_error(difference, usual).mean(),
        }
        if self.config.mesh:
            terms["mesh"] = mesh(decoded - fidelity).mean()
        if self.config.ssimulacra2:
            # Both in float32: they are sums of fourth powers.
            with torch.autocast(self.device.type, enabled=False):
                least = weighted_error(x, fidelity).clamp_min(1e-6)
                terms["ssimulacra2"] = (weighted_error(x, decoded) / least).mean()
        if self.config.patches:
            terms["patches"] = patch_loss(original, features, self.patch_variances, self.config.stretch)
        if self.config.wasserstein:
            terms["wasserstein"] = wasserstein_loss(original, features, self._shared)
        loss = sum((getattr(self.config, n) * v for n, v in terms.items()), x.new_zeros(()))
        return terms | {"psnr_loss": 10 * errors.total.log10().mean(), "loss": loss}

    def _generator_loss(self, x: Tensor, decoded: Tensor, fidelity: Tensor) -> Tensor:
        self.discriminator.requires_grad_(False)
        scores, features = self.discriminator(decoded, fidelity)
        with torch.no_grad():
            _, real_features = self.discriminator(x, fidelity)
        matching = feature_matching_loss(real_features, features, self._shared)
        return generator_loss(scores.float()) + self.config.matching * matching

    def _discriminate(self, x: Tensor, picture: Tensor, fidelity: Tensor) -> dict[str, Tensor]:
        """Set the gradients of the discriminator; returns its part of the log."""
        self.discriminator.requires_grad_(True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            real, fake = (self.discriminator(p, fidelity)[0].float() for p in (x, picture))
            loss = discriminator_loss(real, fake)
        self.optimizers[1].zero_grad(set_to_none=True)
        loss.backward()
        return {"real": real.mean(), "fake": fake.mean(), "discriminator": loss}
