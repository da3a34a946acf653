"""The synthesis transforms between the fidelity decoder and the perceptual one."""

from __future__ import annotations

import threading

import numpy as np

from vqcodec.engine.synthesis import Synthesis
from vqcodec.errors import ModelNotFound
from vqcodec.weights.checkpoint import Arrays
from vqcodec.weights.integers import to_integers, to_reals
from vqcodec.weights.loaded import LoadedModel


class Blends:
    """Mixtures of a model's two decoders; safe to call from several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._latest: tuple[float, Synthesis] | None = None
        self._lock = threading.Lock()

    def at(self, realism: float) -> Synthesis:
        """g_s with a share of the perceptual decoder's weights: 0 is the fidelity decoder itself.

        Raises:
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
        """
        model = self._model
        if realism == 0:
            return model.g_s
        if not model.realism:
            raise ModelNotFound(f"model {model.name!r} has no perceptual decoder, which realism needs")
        # The last mixture is kept: all files of a batch are decoded alike.
        with self._lock:
            if self._latest is None or self._latest[0] != realism:
                try:
                    arrays = mixed(model.transforms, model.realism, realism)
                    self._latest = realism, Synthesis(model.ops, arrays)
                except (KeyError, ValueError) as error:
                    raise ModelNotFound(f"{model.name}: unusable perceptual decoder: {error}") from error
            return self._latest[1]


def mixed(transforms: Arrays, realism: Arrays, share: float) -> Arrays:
    """Arrays of g_s with a share of the perceptual decoder's weights, rounded to integers again.

    The same on every machine. Activations get the larger of both decoders' steps.
    """
    first = {n: a for n, a in transforms.items() if n.startswith("g_s.") or n == "log_gain"}
    second = first | realism
    if share == 1:
        return second
    reals, tuned = to_reals(first), to_reals(second)
    lerped = {name: real * (1 - share) + tuned[name] * share for name, real in reals.items()}
    larger = {n: np.maximum(a, second[n]) for n, a in first.items() if n.endswith((".step", ".scale"))}
    steps = {name: array for name, array in larger.items() if name.endswith(".step")}
    # Scales of neither decoder let sums of 32 bits overflow.
    least = {name.removesuffix(".scale"): array for name, array in larger.items()}
    return to_integers(lerped, steps, least)
