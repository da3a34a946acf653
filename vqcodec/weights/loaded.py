"""A weights file in memory, with what is built from it: what encoder and decoder share."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vqcodec.devices import resolve_device
from vqcodec.engine.analysis import Analysis
from vqcodec.engine.choice import make_operations
from vqcodec.engine.forks import one_thread_after_forks
from vqcodec.engine.hyper import HyperAnalysis
from vqcodec.engine.operations import Operations
from vqcodec.engine.synthesis import Synthesis
from vqcodec.entropy.tile_coder import LatentCoder
from vqcodec.errors import ModelNotFound
from vqcodec.types import TUNES
from vqcodec.weights.checkpoint import Weights, load_weights

if TYPE_CHECKING:
    from vqcodec.model.vqvae import Transforms


@dataclass(frozen=True, kw_only=True)
class LoadedModel(Weights):
    """The weights of one tune, ready to use; never changed, so threads may share it.

    Attributes:
        tune: see `vqcodec.types.TUNES`.
        whole: the weights of all tunes.
        coder: tiles of indices <-> segments.
        ops: the engine that the transforms run on.
        g_a, h_a, g_s: the transforms in integers.
        device: where transforms and searches that need gradients run; may be "auto".
    """

    tune: str
    whole: Weights
    coder: LatentCoder
    ops: Operations
    g_a: Analysis
    h_a: HyperAnalysis
    g_s: Synthesis
    device: str = "cpu"

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu", tune: str = TUNES[0]) -> LoadedModel:
        """Load a weights file.

        Args:
            device: "auto", or one that exists, as `vqcodec.devices.resolve_device` tells.

        Raises:
            ModelNotFound: missing, damaged, incomplete or of another format.
        """
        return cls.of(load_weights(path), device, tune)

    @classmethod
    def of(cls, whole: Weights, device: str, tune: str) -> LoadedModel:
        """Build what a tune needs of the weights of all.

        Raises:
            ModelNotFound: they are incomplete.
        """
        weights, path = whole.of_tune(tune), whole.name
        try:
            coder = LatentCoder(weights.coding)
            compand = weights.coding["prior.compand"]
        except (IndexError, KeyError, ValueError) as error:
            raise ModelNotFound(f"{path}: unusable coding arrays: {error}") from error
        ops, arrays = make_operations(device), weights.transforms
        try:
            g_a, h_a = Analysis(ops, arrays), HyperAnalysis(ops, arrays, compand)
            g_s = Synthesis(ops, arrays)
        except (IndexError, KeyError, ValueError) as error:
            raise ModelNotFound(f"{path}: unusable transforms: {error}") from error
        parts: dict[str, Any] = {"coder": coder, "ops": ops, "g_a": g_a, "h_a": h_a, "g_s": g_s}
        return cls(**vars(weights), **parts, tune=tune, whole=whole, device=device)

    def tuned(self, tune: str) -> LoadedModel:
        """The same model at another tune; built anew, unless it has only one."""
        if self.whole.config.tunes == 1:
            return replace(self, tune=tune)
        return LoadedModel.of(self.whole, self.device, tune)

    @functools.cached_property
    def networks(self) -> Transforms:
        """The transforms in floating point, which have gradients, on the device; imports torch."""
        from vqcodec.weights.restore import restore_transforms  # noqa: PLC0415  as told above

        one_thread_after_forks()
        return restore_transforms(self).to(resolve_device(self.device)[0])
