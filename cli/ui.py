"""What people see: lines and a progress bar on stderr, JSON on stdout; and the exit code of an error."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import click

from vqcodec.batch.run import BatchReport
from vqcodec.errors import FormatError, ModelError, UnsupportedImage
from vqcodec.types import ImageInfo

OPERATIONAL, BAD_DATA, BAD_MODEL, INTERRUPTED = 1, 3, 4, 130
_HINTS = {"exists already": " (use -f to overwrite)", "is a directory": " (use -r to search it)"}
"""What the command line adds to reasons of the library."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DELAY = 1.0
"""Seconds of work before the bar appears: what is over sooner needs none."""
_WIDTH = 30


class OutputError(Exception):
    """Our own standard output, its cause, cannot be written: no file is to blame."""


@contextlib.contextmanager
def standard_output() -> Iterator[TextIO]:
    """Our standard output, to write to.

    Raises:
        OutputError: it is closed, or was not written.
    """
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        yield sys.stdout
    except OSError as error:
        raise OutputError from error


class Bar:
    """`[######......] 12/40  0:34 left` on stderr; who prints a line clears it first and draws it again.

    Of a single file it counts the parts; of none it never shows.
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


class Reporter:
    """Writes to stderr, as much as -v and --quiet ask for; errors always."""

    def __init__(self) -> None:
        self.verbosity = 0
        self.quiet = False
        self.as_json = False
        self.bar = Bar(0)

    def part(self, done: int, parts: int) -> None:
        """So many parts of a file are done: of interest where it is the only one."""
        if self.bar.single:
            self.bar.part(done, parts)

    def line(self, text: str) -> None:
        """A summary line."""
        if not self.quiet:
            self._echo(_one_line(text), err=True)

    def json(self, found: dict[str, Any]) -> None:
        """A line of JSON on stdout."""
        self.show(json.dumps(found, allow_nan=False))

    def show(self, text: str) -> None:
        """A line of what was asked for, on stdout."""
        with standard_output():
            self._echo(_one_line(text), err=False)

    def note(self, label: str | None, text: str) -> None:
        """Something worth knowing that is no error."""
        self.line(_prefixed(label, f"note: {text}"))

    def detail(self, label: str | None, text: str) -> None:
        """Something only -v shows."""
        if self.verbosity:
            self.line(_prefixed(label, text))

    def error(self, label: str | None, reason: str) -> None:
        """One line `vqcodec: LABEL: reason`."""
        self._echo(_one_line(_prefixed(label, reason)), err=True)

    def failure(self, label: str | None, error: BaseException) -> None:
        """The line of an exception, after its traceback with -vv."""
        if self.verbosity >= 2:
            self._echo("".join(traceback.format_exception(error)).rstrip(), err=True)
        self.error(label, explain(error, label))

    def _echo(self, text: str, *, err: bool) -> None:
        self.bar.clear()
        click.echo(text, err=err)
        self.bar.draw()


def exit_code(error: BaseException) -> int:
    """The process's exit code for one error."""
    if isinstance(error, (FormatError, UnsupportedImage)):
        return BAD_DATA
    return BAD_MODEL if isinstance(error, ModelError) else OPERATIONAL


def explain(error: BaseException, label: str | None = None) -> str:
    """One line for people, without the file name when that is the label anyway."""
    if isinstance(error, OSError) and error.strerror:
        name = error.filename
        prefix = f"{name}: " if name is not None and str(name) != label else ""
        return prefix + error.strerror + _HINTS.get(error.strerror, "")
    if isinstance(error, MemoryError):
        return "out of memory"
    return " ".join(str(error).split()) or type(error).__name__


def info_object(info: ImageInfo) -> dict[str, Any]:
    """What --json tells about a file that is fine; infinite figures, which JSON lacks, become null."""
    fields = {"status": "ok", **asdict(info), "bpp": info.bpp}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}


def failed_object(error: BaseException, name: str) -> dict[str, Any]:
    """What --json tells about a file called `name` that is not."""
    return {"status": "failed", "error": explain(error, name), "code": exit_code(error)}


def finish(report: BatchReport, reporter: Reporter, planned: int) -> int:
    """Report the failures of a batch once more if there were several files, and return the exit code."""
    errors = [result.error for result in report.failed if result.error is not None]
    partial = any(result.info is not None and not result.info.complete for result in report.results)
    if planned > 1 and errors:
        names = ", ".join(label_of(result.source) for result in report.failed)
        reporter.error(None, f"{len(errors)} of {planned} files failed: {names}")
    if not errors:
        return BAD_DATA if partial else 0
    return combine([exit_code(error) for error in errors])


def combine(codes: Sequence[int]) -> int:
    """The exit code of several failures: their common one, or else the general 1; 0 without failures."""
    if not codes:
        return 0
    return codes[0] if len(set(codes)) == 1 else OPERATIONAL


def label_of(path: Path | str | None, stream: str = "<stdin>") -> str:
    """How messages name an input or output."""
    return stream if path is None else str(path)


def spaced(number: int) -> str:
    """Thousands apart: 18 433."""
    return f"{number:,}".replace(",", " ")


def tiles_of(info: ImageInfo) -> str:
    """The number of tiles, in words."""
    return "1 tile" if info.tiles == 1 else f"{info.tiles} tiles"


def drawn_part(info: ImageInfo, before: str = "") -> str:
    """What of a file is drawn, in words; nothing if nothing is."""
    if not info.drawn_bytes:
        return ""
    pixels = "part" if info.drawn_share is None else f"{100 * info.drawn_share:.0f} %"
    return f"{before}{spaced(info.drawn_bytes)} B for the {pixels} of the pixels that is drawn"


def summary(info: ImageInfo, source: str, target: str, seconds_label: str, extra: Sequence[str] = ()) -> str:
    """The line per file: names, size in pixels, quality, bytes, bits per pixel, seconds."""
    parts = [
        f"{source} -> {target}",
        f"{info.width}x{info.height}",
        f"q{info.quality:.0f}",
        f"{spaced(info.file_bytes)} B",
        f"{info.bpp:.3f} bpp",
        *extra,
    ]
    if info.seconds is not None:
        parts.append(f"{seconds_label} {info.seconds:.2f} s")
    return "  ".join(parts)


def _one_line(text: str) -> str:
    """The text with control characters as escapes: names of files may have them, and terminals obey them."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _prefixed(label: str | None, text: str) -> str:
    return f"vqcodec: {label}: {text}" if label else f"vqcodec: {text}"
