"""Train a variant of the model: `python -m benchmarks.variants.train KIND [options of vqcodec.training]`.

Kinds are those of `KINDS`; "vector" is the model itself. States of the others can be judged by
`benchmarks.variants.quantizer` and `benchmarks.variants.ablation`, and not be exported: no coder implements
them.
"""

from __future__ import annotations

import argparse
import sys

from torch import Tensor

from benchmarks.variants.residual import ResidualQuantizer, ResidualVQVAE
from benchmarks.variants.scalar import ScalarVQVAE
from benchmarks.variants.two_pass import TwoPassVQVAE
from vqcodec.training import __main__ as command
from vqcodec.training.codebook_start import class_of_scale, group_samples
from vqcodec.training.reports import CodebookUse
from vqcodec.training.trainer import Trainer


class ScalarTrainer(Trainer):
    """Trains a model with scalar rounding, which has no codebooks."""

    kind = ScalarVQVAE

    def start_codebooks(self, y: Tensor) -> Tensor:
        """Only the bins (M,) of the scales."""
        return class_of_scale(y.abs().mean((0, 2, 3)), self.config.model.context_levels[0])

    def codebook_use(self) -> CodebookUse | None:
        """None."""
        return None


class ResidualTrainer(Trainer):
    """Trains a model with two residual stages."""

    kind = ResidualVQVAE

    def start_codebooks(self, y: Tensor) -> Tensor:
        """Lloyd start of both stages."""
        quantizer = self.model.quantizer
        assert isinstance(quantizer, ResidualQuantizer)
        return quantizer.start(group_samples(y, quantizer))

    def codebook_use(self) -> CodebookUse | None:
        """None: counts are of one codebook for each group."""
        return None


class TwoPassTrainer(Trainer):
    """Trains a model with a checkerboard context."""

    kind = TwoPassVQVAE


KINDS: dict[str, type[Trainer]] = {
    "vector": Trainer,
    "scalar": ScalarTrainer,
    "residual": ResidualTrainer,
    "two-pass": TwoPassTrainer,
}


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.variants.train", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    arguments, options = parser.parse_known_args(argv)
    command.main(options, KINDS[arguments.kind])


if __name__ == "__main__":
    main(sys.argv[1:])
