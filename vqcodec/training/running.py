"""What every training run needs: device, budget, main loop, orderly interruption."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from vqcodec.files import check_folder
from vqcodec.training.config import RunConfig
from vqcodec.training.data import Crops
from vqcodec.training.ranks import Ranks, RanksError
from vqcodec.training.stored import open_pictures

C = TypeVar("C", bound=RunConfig)


class Run(Generic[C]):
    """Device, budget and main loop of a run; subclasses hold what is trained.

    Attributes:
        step, seconds: how much of the budget is used.
        pictures: how many crops are cut from; 0 until they are read.
        ranks: this process and those it trains with.
    """

    def __init__(self, config: C, ranks: Ranks | None = None) -> None:
        """Set the process up; one alone unless `ranks` are given.

        Raises:
            RanksError: the batch cannot be shared by the ranks, or there are fewer cards than ranks.
        """
        self.config, self.ranks = config, ranks or Ranks()
        for batch in self.batches():
            if not 1 <= self.ranks.count * config.accumulate <= max(batch, 1):
                how = f"{self.ranks.count} ranks in {config.accumulate} parts each"
                raise RanksError(f"a batch of {batch} cannot be shared by {how}")
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = torch.device(self.ranks.device(config.device))
        bf16 = faster_in_bfloat16(self.device) if config.bf16 is None else config.bf16
        self.bf16 = bool(self.ranks.follow([bf16])[0])
        self.out = Path(config.out)
        self.step, self.seconds, self.pictures = 0, 0.0, 0

    def batches(self) -> tuple[int, ...]:
        """Pictures of a step, of all ranks: there has to be one for every part of every rank."""
        return (self.config.batch,)

    def progress(self) -> float:
        """Share of the budget used, 0..1: the larger one where time and steps are both bounded."""
        minutes, steps = self.config.minutes, self.config.steps
        used = (self.seconds / (60 * minutes) if minutes else 0.0, self.step / steps if steps else 0.0)
        return min(max(used), 1.0)

    def warm_up(self) -> float:
        """Factor on the learning rate that rises linearly to 1 over the first steps."""
        return min(1.0, (self.step + 1) / max(self.config.warmup, 1))

    def open(self, workers: int, *sides: int, tunes: int = 1) -> Crops:
        """Read the pictures that crops of these sides are cut from, and make the output folder."""
        # The shortcut needs float32: TensorFloat-32 keeps 10 bits, of means of hundreds of steps.
        torch.backends.cudnn.allow_tf32 = False
        # A run has few shapes, so trying algorithms for each pays.
        torch.backends.cudnn.benchmark = True
        check_folder(self.out)  # when all is trained it would be too late
        seen = sys.stderr.isatty() and self.ranks.main
        pictures = open_pictures(self.config.data, min(sides), self.config.cache, self.ranks, seen)
        self.pictures = len(pictures)
        crops = Crops(pictures, self.config.seed, self.step, workers, tunes)
        for side in sides:
            crops.reach(side)
        self.out.mkdir(parents=True, exist_ok=True)
        return crops

    def repeat(
        self,
        advance: Callable[[float], dict[str, float]],
        report: Callable[[dict[str, Any]], None],
        save: Callable[[], None],
    ) -> None:
        """Take steps until the budget is used up or the run is interrupted.

        Args:
            advance: takes a step at this share of the budget; returns figures for the log.
            report: takes an entry of the log, called every `log_every` steps.
            save: writes the state, called every `save_minutes` and at the end, by the first rank alone.

        Raises:
            OSError: the state cannot be written at the end.
        """
        saved = time.monotonic()
        with stop_event() as stop:
            while True:
                self.seconds, stopped = self.ranks.agree(self.seconds, stop.is_set())
                if (progress := self.progress()) >= 1 or stopped:
                    break
                begun = time.monotonic()
                figures = advance(progress)
                self.seconds += time.monotonic() - begun
                if self.step % self.config.log_every == 0:
                    used = {"seconds": round(self.seconds, 1), "progress": round(progress, 4)}
                    report({"step": self.step} | used | {"pictures": self.pictures} | figures)
                if self.ranks.main and time.monotonic() - saved > 60 * self.config.save_minutes:
                    try:
                        save()
                    except OSError as error:  # a disk that is full now may have room the next time
                        print(f"no state saved, the run goes on: {error}", file=sys.stderr)
                    saved = time.monotonic()
            if self.ranks.main:
                save()

    def write(self, name: str, entry: dict[str, Any], shown: object) -> None:
        """Append an entry to the log of this name in `out`, on the first rank."""
        if self.ranks.main:
            try:
                write_entry(self.out / name, entry, shown)
            except OSError as error:
                print(f"an entry is missing in the log: {error}", file=sys.stderr)


@contextlib.contextmanager
def stop_event() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set within the block, so that the current step ends and is saved."""
    stop, before = threading.Event(), {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interruptible(program: str) -> Iterator[None]:
    """Ends the program within in a line on Ctrl-C, where no step is under way that could end first."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


@contextlib.contextmanager
def tiny_floats_as_zero() -> Iterator[None]:
    """Treat denormal numbers as 0 within the block: a CPU takes a hundred times as long for one."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        # torch cannot tell how it was; off is what a process starts with.
        torch.set_flush_denormal(False)


def write_entry(path: Path, entry: dict[str, Any], shown: object) -> None:
    """Append an entry to a log, as a line of JSON; `shown` goes to the terminal if there is one."""
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    if sys.stderr.isatty():
        print(f"\r{100 * entry['progress']:5.1f} % {shown}", end="", file=sys.stderr, flush=True)


def faster_in_bfloat16(device: torch.device) -> bool:
    """Does a convolution like those of the transforms take less time in bfloat16 than in float32?

    Timed, since processors without bfloat16 units compute it all the same.
    """
    if device.type != "cpu":
        return True
    x = torch.zeros(1, 128, 32, 32).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(128, 128, 3, 3).contiguous(memory_format=torch.channels_last)

    def seconds(kind: torch.dtype) -> float:
        a, b = x.to(kind), weight.to(kind)
        return min(timeit.repeat(lambda: nn.functional.conv2d(a, b, padding=1), number=1, repeat=4))

    return seconds(torch.bfloat16) < seconds(torch.float32)
