"""Files to samples, in whichever process that takes place; and what is said of damage on the way."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import get_worker_info

from vqcodec.errors import FormatError
from vqcodec.loading import ModelCache
from vqcodec.probing import probe

Transform = Callable[[Image.Image], Any]
Sample = dict[str, Any]
"""By names: "__key__", "image" (what the transform makes of it), and by suffix the bytes of what else a shard
has of the sample."""

SUFFIX = "vqc"


def to_tensor(image: Image.Image) -> torch.Tensor:
    """A picture as uint8 (channels, height, width): the transform unless another is given."""
    pixels = np.array(image)
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


class Decoder:
    """Files to what a transform makes of their pictures, in whichever process it is used."""

    def __init__(self, transform: Transform, model: str | None, options: dict[str, Any]) -> None:
        self._transform, self._model, self._options = transform, model, options
        self._process = -1

    def __call__(self, data: bytes) -> Any:
        """What the transform makes of the picture in a .vqc file; raises what `Codec.decompress` does."""
        if self._process != os.getpid():  # also after a fork: the parent's has as many threads as the parent
            if get_worker_info() is not None:
                os.environ["OMP_NUM_THREADS"] = "1"  # as the loader does with torch's own
            self._models, self._process = ModelCache(device="cpu"), os.getpid()
        codec = self._models.for_file(probe(data).bitstream_id, self._model)
        return self._transform(codec.decompress(data, **self._options))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_models": None, "_process": -1}


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Begins what is said of damage within with a name: a set has millions of files."""
    try:
        yield
    except FormatError as error:
        raise type(error)(f"{name}: {error}") from error


def warn_of_links(links: list[str], name: str) -> None:
    """Tells of links in a shard that are called like .vqc files."""
    if links := [link for link in links if link.lower().endswith(f".{SUFFIX}")]:
        warnings.warn(f"{name}: {links[0]}: links are not followed, of {len(links)}", stacklevel=3)
