"""The synthesis transforms between the fidelity decoder and the perceptual one."""

from __future__ import annotations

import copy
import threading

from vqcodec.errors import ModelNotFound
from vqcodec.model.decoder import SynthesisTransform
from vqcodec.weights.checkpoint import Weights


class Blends:
    """Mixtures of a model's two decoders; safe to call from several threads."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._latest: tuple[float, SynthesisTransform] | None = None
        self._lock = threading.Lock()

    def at(self, realism: float) -> SynthesisTransform:
        """g_s with a share of the perceptual decoder's weights: 0 is the fidelity decoder itself.

        Raises:
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
        """
        g_s = self._weights.transforms.g_s
        if realism == 0:
            return g_s
        if not self._weights.realism:
            name = self._weights.name
            raise ModelNotFound(f"model {name!r} has no perceptual decoder, which realism needs")
        # The last mixture is kept: all files of a batch are decoded alike.
        with self._lock:
            if self._latest is None or self._latest[0] != realism:
                mixture = copy.deepcopy(g_s)
                for name, parameter in mixture.named_parameters():
                    if name in self._weights.realism:
                        parameter.data.lerp_(self._weights.realism[name], realism)
                self._latest = realism, mixture
            return self._latest[1]
