"""A bar on the last line of a terminal that tells how many files are done, or how much of a single one."""

from __future__ import annotations

import sys
import time

DELAY = 1.0
"""Seconds of work before the bar appears: what is over sooner needs none."""
_WIDTH = 30


class Bar:
    """`[######......] 12/40  0:34 left` on stderr; who prints a line clears it first and draws it again.

    Of a single file it counts the parts.
    """

    def __init__(self, files: int) -> None:
        self.single = files == 1
        self._total = files
        self._done = 0
        self._begun = time.monotonic()
        self._columns = 0

    def step(self) -> None:
        """One file more is done; its line will draw the bar."""
        self._done += 1

    def part(self, done: int, parts: int) -> None:
        """So many parts of the single file are done."""
        if done <= self._done:  # the encoder tries another quality
            self._begun = time.monotonic() - DELAY
        self._done, self._total = done, parts
        self.draw()

    def draw(self) -> None:
        """Show the bar, unless it is too early or there is nothing left to wait for."""
        passed = time.monotonic() - self._begun
        if passed < DELAY or not 0 < self._done < self._total:
            return
        minutes, seconds = divmod(round(passed / self._done * (self._total - self._done)), 60)
        filled = "#" * (_WIDTH * self._done // self._total)
        text = f"[{filled:.<{_WIDTH}}] {self._done}/{self._total}  {minutes}:{seconds:02} left"
        sys.stderr.write("\r" + text.ljust(self._columns))
        self._columns = len(text)
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the bar off the screen, so that the line is free."""
        if self._columns:
            sys.stderr.write("\r" + " " * self._columns + "\r")
            sys.stderr.flush()
        self._columns = 0


def bar_for(files: int, *, wanted: bool) -> Bar | None:
    """A bar for `files` files, or None where nobody would see it."""
    return Bar(files) if wanted and files and sys.stderr.isatty() else None
