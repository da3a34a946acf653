"""Pictures as tensors, for programs that train on or look at them.

    pixels = vqcodec.torch.decode("photo.vqc")                     # (3, H, W) uint8
    batch = vqcodec.torch.decode_batch(paths, device="cuda")       # (N, 3, H, W), on the card

On a CPU the engine in C decodes. On a CUDA device torch runs the networks, of all pictures of a batch at
once, and pixels stay there; the entropy coder runs on the CPU, in a thread for each picture.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vqcodec.bitstream import Container, parse
from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.bitstream.partial import read_file
from vqcodec.decompress.picture_decoder import checked_realism
from vqcodec.devices import check_device, resolve_device
from vqcodec.errors import ModelMismatch, ModelNotFound
from vqcodec.files import Source
from vqcodec.loading import ModelCache
from vqcodec.types import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from vqcodec.engine.synthesis import Synthesis
    from vqcodec.weights.loaded import LoadedModel

__all__ = ["decode", "decode_batch"]

Model = str | os.PathLike[str] | None


def decode(
    source: Source,
    *,
    device: str | torch.device = "cpu",
    model: Model = None,
    realism: float = 0.0,
    limits: Limits = DEFAULT_LIMITS,
) -> Tensor:
    """Pixels (3, H, W) uint8, red first, of a .vqc file, on a device.

    They are the pixels of `Codec.decompress`: gray has three equal channels, alpha is left out, and a colour
    profile is not applied.

    Args:
        source: a path, bytes or a binary file.
        device: "cpu", "cuda" or "cuda:N".
        model: name or weights file; the installed one that the file names unless given.
        realism: 0 to 1, as for `Codec.decompress`.

    Raises:
        OSError, FormatError, ModelMismatch, ModelNotFound: as `Codec.decompress`.
        ValueError: another kind of device.
    """
    return decode_batch([source], device=device, model=model, realism=realism, limits=limits)[0]


def decode_batch(
    sources: Source | Sequence[Source],
    *,
    device: str | torch.device = "cpu",
    model: Model = None,
    realism: float = 0.0,
    limits: Limits = DEFAULT_LIMITS,
) -> Tensor:
    """Pixels (N, 3, H, W) uint8 of .vqc files of one size; arguments and errors are those of `decode`.

    Raises:
        ValueError: there are no files, or their sizes differ.
    """
    name, realism = str(device), checked_realism(realism)
    if check_device(name)[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu, cuda or cuda:N, not {name!r}")
    files = [read_file(source, limits) for source in _listed(sources)]
    containers = [parse(data, limits) for data in files]
    sizes = {(found.header.width, found.header.height) for found in containers}
    if len(sizes) != 1:
        raise ValueError(f"pictures of one size are wanted, not of {len(sizes)}")
    if name == "cpu":
        return torch.stack([_on_cpu(data, model, realism, limits) for data in files])
    if resolve_device(name)[1]:
        raise ValueError(f"device {name} is not available")
    groups: dict[tuple[bytes, str], list[int]] = {}
    for number, found in enumerate(containers):
        groups.setdefault((found.header.bitstream_id, found.header.tune), []).append(number)
    pixels = [torch.empty(0)] * len(files)
    for (needed, _), numbers in groups.items():
        if needed == NO_MODEL:
            decoded = [_on_cpu(files[number], model, realism, limits).to(name) for number in numbers]
        else:
            decoded = list(_card(name).decode([containers[number] for number in numbers], model, realism))
        for number, picture in zip(numbers, decoded, strict=True):
            pixels[number] = picture
    return torch.stack(pixels)


def _listed(sources: Source | Sequence[Source]) -> list[Source]:
    """One source alone is a batch of one, and no sequence of characters or bytes."""
    if isinstance(sources, Sequence) and not isinstance(sources, (str, bytes, bytearray, memoryview)):
        return list(sources)
    return [sources]


def _on_cpu(data: bytes, model: Model, realism: float, limits: Limits) -> Tensor:
    """Pixels (3, H, W) of a file, by whichever engine there is."""
    codec = _models().for_file(parse(data, limits).header.bitstream_id.hex(), model)
    # The profile is kept, and so not applied.
    image = codec.decompress(data, metadata="icc", realism=realism, limits=limits)
    pixels = np.array(image.convert("RGB"))  # writable, unlike the image's own
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@functools.cache
def _models() -> ModelCache:
    return ModelCache(device="cpu")


class Card:
    """Decoders of models on one device, whose results stay there; threads may share it."""

    def __init__(self, device: str) -> None:
        """Nothing is sent yet."""
        self._device = device
        self._decoders: dict[tuple[bytes, str], tuple[float, Synthesis]] = {}
        self._lock = threading.Lock()

    def decode(self, containers: Sequence[Container], model: Model, realism: float) -> Tensor:
        """Pixels (B, 3, H, W) of files of one size, model and tune.

        Raises:
            CorruptData, ModelMismatch, ModelNotFound: see `vqcodec.torch.decode`.
        """
        from vqcodec.decompress.on_device import decode_together  # noqa: PLC0415  only for devices

        header = containers[0].header
        codec = _models().for_file(header.bitstream_id.hex(), model).tuned(header.tune)
        if codec.model.bitstream_id != header.bitstream_id:
            raise ModelMismatch(f"the files need model {header.bitstream_id.hex()}, not {codec.name!r}")
        return decode_together(codec.model.coder, self._decoder(codec.model, realism), containers)

    def _decoder(self, model: LoadedModel, realism: float) -> Synthesis:
        from vqcodec.decompress.blending import mixed  # noqa: PLC0415  only for devices
        from vqcodec.engine.synthesis import Synthesis  # noqa: PLC0415
        from vqcodec.engine.torch_ops import TorchOps  # noqa: PLC0415

        if realism and not model.realism:
            raise ModelNotFound(f"model {model.name!r} has no perceptual decoder, which realism needs")
        key = model.decoder_id, model.tune
        with self._lock:
            latest = self._decoders.get(key)
            if latest is None or latest[0] != realism:
                arrays = mixed(model.transforms, model.realism, realism) if realism else model.transforms
                latest = realism, Synthesis(TorchOps(self._device, stays=True), arrays)
                self._decoders[key] = latest
            return latest[1]


_card = functools.cache(Card)
