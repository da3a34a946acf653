"""PyTorch datasets over .vqc files, alone in folders or in tar shards, decoded in the loader's own workers.

    from torch.utils.data import DataLoader
    from vqcodec.datasets import VqcDataset, VqcShards

    shards = VqcShards(sorted(glob("coded/*.tar")), transform=augment, shuffle=1000)
    loader = DataLoader(shards, batch_size=64, num_workers=8)

Every process loads the model for itself when it decodes its first picture, and a worker works on one thread;
so it does not matter whether workers are forked or spawned, nor whether the parent has decoded before. They
decode on the CPU: on a graphics card forked workers could not.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from vqcodec.errors import FormatError, UnsupportedImage
from vqcodec.files import PathLike, files_below, several
from vqcodec.loading import ModelCache
from vqcodec.probing import probe
from vqcodec.shards import Member, begins_sample, members, samples

__all__ = ["VqcDataset", "VqcShards", "to_tensor"]

Transform = Callable[[Image.Image], Any]
Sample = dict[str, Any]
"""By names: "__key__", "image" (what the transform makes of it), and by suffix the bytes of what else a shard
has of the sample."""

T = TypeVar("T")
_SUFFIX = "vqc"
_MAPPED = 64
"""Shards that a process keeps open: each takes a file descriptor, of which there are often 1024."""


def to_tensor(image: Image.Image) -> torch.Tensor:
    """A picture as uint8 (channels, height, width): the transform unless another is given."""
    pixels = np.array(image)
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


class _Decoder:
    """Files to what a transform makes of their pictures, in whichever process it is used."""

    def __init__(self, transform: Transform, model: str | None, options: dict[str, Any]) -> None:
        self._transform, self._model, self._options = transform, model, options
        self._process = -1

    def __call__(self, data: bytes) -> Any:
        if self._process != os.getpid():  # also after a fork: the parent's has as many threads as the parent
            if get_worker_info() is not None:
                os.environ["OMP_NUM_THREADS"] = "1"  # as the loader does with torch's own
            self._models, self._process = ModelCache(device="cpu"), os.getpid()
        codec = self._models.for_file(probe(data).bitstream_id, self._model)
        return self._transform(codec.decompress(data, **self._options))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_models": None, "_process": -1}


@dataclass(frozen=True)
class _Place:
    """Where a .vqc file lies: all of a file, or a part of a tar shard; and its other parts, by suffix."""

    path: str
    key: str
    offset: int = 0
    size: int = -1
    beside: tuple[tuple[str, int, int], ...] = ()


class VqcDataset(Dataset[Sample]):
    """Random access to the .vqc files in folders, lists and tar shards of this machine.

    Making it reads the shards' headers, no data. An item is a `Sample`; it raises `VQCodecError` where the
    file is damaged, and OSError where it cannot be read.
    """

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike],
        *,
        transform: Transform = to_tensor,
        model: str | None = None,
        **options: Any,
    ) -> None:
        """Find all files.

        Args:
            paths: .vqc files, folders of them (searched through), and tar shards.
            transform: of the decoded PIL image.
            model: None = the installed one that a file needs.
            options: those of `Codec.decompress`, such as preview=1 for the coarse layer alone.

        Raises:
            OSError: one cannot be read.
            CorruptData: a shard is no tar file.
        """
        self._places = [place for path in several(paths) for place in _places(Path(path))]
        self._decode = _Decoder(transform, model, options)
        self._mapped: dict[str, mmap.mmap] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        place = self._places[index]
        if place.size < 0:
            data, beside = Path(place.path).read_bytes(), {}
        else:
            shard = self._shard(place.path)
            data = shard[place.offset : place.offset + place.size]
            beside = {suffix: shard[offset : offset + size] for suffix, offset, size in place.beside}
        with _named(place.path if place.size < 0 else f"{place.path}: {place.key}"):
            return {"__key__": place.key, **beside, "image": self._decode(data)}

    def _shard(self, path: str) -> mmap.mmap:
        """A shard's bytes, which need no position that processes could share."""
        shard = self._mapped.pop(path, None)
        if shard is None:
            with Path(path).open("rb") as file:
                shard = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._mapped[path] = shard  # the last one used is the last
        if len(self._mapped) > _MAPPED:
            self._mapped.pop(next(iter(self._mapped))).close()
        return shard

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}


class VqcShards(IterableDataset[Sample]):
    """The samples of tar shards, read from their beginning to their end: of any size, from anywhere.

    Shards are dealt to the ranks of torch.distributed, and within one to the loader's workers, in turn: give
    several times as many shards as there are workers.
    """

    def __init__(
        self,
        shards: PathLike | Iterable[PathLike],
        *,
        transform: Transform = to_tensor,
        model: str | None = None,
        shuffle: int = 0,
        seed: int = 0,
        opener: Callable[[str], IO[bytes]] | None = None,
        skip_damaged: bool = False,
        **options: Any,
    ) -> None:
        """As `VqcDataset`, and:

        Args:
            shards: paths, or whatever `opener` opens; or one of them.
            shuffle: samples that wait (not decoded) until chance takes one of them; 0 = in the shards' order.
                The order of the shards is then drawn as well.
            seed: of the drawing; `set_epoch` gives every epoch another.
            opener: of a shard, for reading: for example `fsspec.open(name, "rb").open()` for object stores.
            skip_damaged: leave out samples without a .vqc file, files that are damaged, and what follows
                damage in a shard, with a warning; a model that is not there is an error all the same.
        """
        self._shards = [os.fspath(shard) for shard in several(shards)]
        self._decode = _Decoder(transform, model, options)
        self._shuffle, self._seed = shuffle, seed
        # Shared, so that workers which outlive an epoch learn of the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._opener, self._skip_damaged = opener, skip_damaged
        self._ranks: tuple[int, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ranks": _ranks()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._epoch.share_memory_()  # a copy's is its own

    def set_epoch(self, epoch: int) -> None:
        """Draw another order, the same one on all ranks; to be called before the loader is iterated."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[Sample]:
        """Raises what `VqcDataset` raises."""
        raw = self._raw()
        for name, sample in _shuffled(raw, self._shuffle, self._chance("samples")) if self._shuffle else raw:
            data = sample.pop(_SUFFIX)
            try:
                with _named(f"{name}: {sample['__key__']}"):
                    image = self._decode(data)
                yield {**sample, "image": image}
            except FormatError:
                if not self._skip_damaged:
                    raise

    def _raw(self) -> Iterator[tuple[str, Sample]]:
        """Samples that are not decoded yet, each with the name of its shard."""
        shards = list(self._shards)
        if self._shuffle:
            self._chance("shards").shuffle(shards)
        place, of = self._share()
        for name in shards[place::of]:
            links: list[str] = []
            try:
                with (self._opener or _open)(name) as file, _named(name):
                    for sample in samples(file, links):
                        if _SUFFIX in sample.parts:
                            yield name, {"__key__": sample.key, **sample.parts}
                        elif not self._skip_damaged:
                            raise UnsupportedImage(f"{name}: no .vqc in sample {sample.key}")
            except FormatError as error:
                if not self._skip_damaged:
                    raise
                warnings.warn(f"{error}; the rest of it is left out", stacklevel=2)
            _warn_of(links, name)

    def _chance(self, what: str) -> random.Random:
        # The order of the shards is one for all workers; that of samples each worker's own.
        own = self._share()[0] if what == "samples" else 0
        return random.Random(f"{self._seed} {int(self._epoch)} {what} {own}")

    def _share(self) -> tuple[int, int]:
        """The number of this reader among all ranks and workers, and how many there are."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        # A worker that was spawned is in no group itself: its parent was when it sent the dataset.
        sent = None if info is None else self._ranks
        rank, ranks = _ranks() or sent or (0, 1)
        return rank * workers + worker, ranks * workers


def _ranks() -> tuple[int, int] | None:
    """This process's rank and the number of ranks, by torch.distributed or torchrun; None without them."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    return (int(os.environ.get("RANK", "0")), ranks) if ranks > 1 else None


def _shuffled(items: Iterator[T], size: int, chance: random.Random) -> Iterator[T]:
    waiting: list[T] = []
    for item in items:
        waiting.append(item)
        if len(waiting) > size:
            place = chance.randrange(len(waiting))
            waiting[place], waiting[-1] = waiting[-1], waiting[place]
            yield waiting.pop()
    chance.shuffle(waiting)
    yield from waiting


def _places(path: Path) -> Iterator[_Place]:
    if path.is_dir():
        for file in sorted(file for file in files_below(path) if file.suffix.lower() == f".{_SUFFIX}"):
            yield _Place(str(file), file.relative_to(path).with_suffix("").as_posix())
    elif path.suffix.lower() == ".tar":
        with path.open("rb") as shard:
            links: list[str] = []
            with _named(str(path)):
                parts = [member for member, _ in members(shard, links)]
        _warn_of(links, str(path))
        for sample in _by_sample(parts):
            beside = tuple((part.suffix, part.offset, part.size) for part in sample if part.suffix != _SUFFIX)
            for part in sample:
                if part.suffix == _SUFFIX:
                    yield _Place(str(path), part.key, part.offset, part.size, beside)
    else:
        path.stat()  # what is not there is told now, and not by a worker later
        yield _Place(str(path), path.stem)


def _by_sample(parts: list[Member]) -> list[list[Member]]:
    found: list[list[Member]] = []
    for part in parts:
        if not found or begins_sample(part, found[-1][0].key, [other.suffix for other in found[-1]]):
            found.append([])
        found[-1].append(part)
    return found


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Begins what is said of damage within with a name: a set has millions of files."""
    try:
        yield
    except FormatError as error:
        raise type(error)(f"{name}: {error}") from error


def _warn_of(links: list[str], name: str) -> None:
    """Tells of links in a shard that are called like .vqc files."""
    if links := [link for link in links if link.lower().endswith(f".{_SUFFIX}")]:
        warnings.warn(f"{name}: {links[0]}: links are not followed, of {len(links)}", stacklevel=3)


def _open(name: str) -> IO[bytes]:
    return Path(name).open("rb")
