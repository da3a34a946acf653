"""Settings of a run of the perceptual stage. What each is for is what the command's --help says."""

from __future__ import annotations

from dataclasses import dataclass

from vqcodec.training.config import RunConfig, setting


@dataclass(frozen=True)
class PerceptualConfig(RunConfig):
    """What it has beside other runs' settings; terms and their names are those of `Players`."""

    out: str = "runs/perceptual"
    batch: int = 4
    crop: int = 128
    learning_rate: float = 1e-4
    warmup: int = 50
    log_every: int = 50
    discriminator_rate: float = setting(2e-4, "rate of the discriminator, which is not annealed")
    error: float = setting(0.2, "weight of the squared error, relative to the fidelity decoder's")
    colour: float = setting(0.0, "weight of the errors of colour, relative alike")
    repeats: float = setting(0.0, "weight of errors that repeat from block to block")
    mesh: float = setting(0.0, "weight of texture that is stronger at some places within a block")
    ssimulacra2: float = setting(0.0, "weight of SSIMULACRA2's inner error, relative alike")
    lpips: float = setting(1.0, "weight of LPIPS")
    dists: float = setting(5.0, "weight of DISTS")
    patches: float = setting(0.0, "weight of distances between deep features of patches")
    stretch: float = setting(1.0, "factor on the originals' features of patches; above 1 against shrinkage")
    wasserstein: float = setting(0.0, "weight of Wasserstein distortion of features in windows")
    adversarial: float = setting(0.3, "factor on the adaptive weight of the discriminator's losses")
    matching: float = setting(0.5, "weight of feature matching among the discriminator's losses")
    begin: float = setting(0.05, "share of the run before the discriminator begins")
    level_power: float = setting(2.0, "levels are uniform numbers to this power; above 1, most are low")
    network: str = setting("alexnet", "network of LPIPS: alexnet or vgg16")
    coded: bool = setting(
        False, "latents as the codec makes them, not the training model: faster on a CPU, slower on a card"
    )
