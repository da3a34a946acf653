"""Samples in the order in which shards hold them, shared by ranks and workers."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import torch
from torch.utils.data import IterableDataset, get_worker_info

from vqcodec.datasets.decoding import SUFFIX, Decoder, Sample, Transform, named, to_tensor, warn_of_links
from vqcodec.errors import FormatError, UnsupportedImage
from vqcodec.files import PathLike, several
from vqcodec.shards import samples

T = TypeVar("T")


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
        self._decode = Decoder(transform, model, options)
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
            data = sample.pop(SUFFIX)
            try:
                with named(f"{name}: {sample['__key__']}"):
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
                with (self._opener or _open)(name) as file, named(name):
                    for sample in samples(file, links):
                        if SUFFIX in sample.parts:
                            yield name, {"__key__": sample.key, **sample.parts}
                        elif not self._skip_damaged:
                            raise UnsupportedImage(f"{name}: no .vqc in sample {sample.key}")
            except FormatError as error:
                if not self._skip_damaged:
                    raise
                warnings.warn(f"{error}; the rest of it is left out", stacklevel=2)
            warn_of_links(links, name)

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


def _open(name: str) -> IO[bytes]:
    return Path(name).open("rb")
