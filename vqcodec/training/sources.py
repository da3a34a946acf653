"""What a training run can start from."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from vqcodec.errors import ModelNotFound
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.evaluate import load_state
from vqcodec.training.state import read_metadata
from vqcodec.weights.checkpoint import FORMATS, load_weights
from vqcodec.weights.restore import restore
from vqcodec.weights.zoo import find_model


def load_start(source: str) -> VQVAE:
    """The model to start training from: a training state, a weights file, or the name of a model.

    Raises:
        ModelNotFound: there is none.
    """
    path = Path(source)
    try:
        if path.is_file() and read_metadata(path).get("format") not in FORMATS:
            return load_state(path)[0]
    except (SafetensorError, KeyError) as error:
        raise ModelNotFound(f"{source}: neither a training state nor a weights file: {error}") from error
    return restore(load_weights(find_model(source)))
