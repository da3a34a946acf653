"""Where files are, here or in an object store, by pyarrow's file systems; what is written appears whole.

Paths of this machine go by Python's own functions, whose errors say more.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from pyarrow import fs

from vqcodec.files import TEMPORARY, check_writable, write_atomic

T = TypeVar("T")
_WHOLE = ("s3", "gcs", "abfs")
"""Stores whose objects appear when they are complete; elsewhere a file is renamed when it is."""
_PIECE = 8 * 2**20
_AT_ONCE = 8


@dataclass(frozen=True)
class Storage:
    """A file system. Survives pickling.

    Attributes:
        filesystem: by pyarrow.
        scheme: what stands before paths in messages: "s3://", or nothing on this machine.
        retries: how often a failed access to what is not this machine's is repeated.
    """

    filesystem: fs.FileSystem
    scheme: str = ""
    retries: int = 3

    @property
    def local(self) -> bool:
        """Whether it is this machine's own."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def show(self, path: str) -> str:
        """A path as people write it."""
        return self.scheme + path

    def read(self, path: str) -> bytes:
        """All bytes of a file.

        Raises:
            OSError: it cannot be read, also after `retries`.
        """
        if self.local:
            return Path(path).read_bytes()

        def read() -> bytes:
            with self.filesystem.open_input_stream(path) as stream:
                data: bytes = stream.read()
                return data

        return self._again(read)

    def open(self, path: str) -> IO[bytes]:
        """A file to read from its beginning to its end.

        Raises:
            OSError: it cannot be opened.
        """
        if self.local:
            return Path(path).open("rb")
        stream = self._again(lambda: self.filesystem.open_input_stream(path, buffer_size=_PIECE))
        return io.BufferedReader(stream)

    def write(self, path: str, data: bytes, tag: str = "", like: os.stat_result | None = None) -> None:
        """Write a file completely, or leave what was there; makes no folder.

        Args:
            tag: begins the name of the temporary file, where one is needed.
            like: as for `write_atomic`, on this machine only.

        Raises:
            OSError: it cannot be written, also after `retries`.
        """
        if self.local:
            write_atomic(path, data, like, tag)
        else:
            self._again(lambda: self._write(path, [data], tag))

    @contextlib.contextmanager
    def writing(self, path: str, tag: str = "") -> Iterator[IO[bytes]]:
        """A file to write piece by piece, which appears under its name if the block ends without an error.

        Raises:
            OSError: it cannot be written.
        """
        if self.local:
            check_writable(path)
            temporary = Path(path).parent / f".{tag}{secrets.token_hex(8)}{TEMPORARY}"
            try:
                with temporary.open("xb") as file:
                    yield file
                temporary.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            return
        with tempfile.TemporaryFile() as spool:
            yield spool
            self._again(lambda: self._write(path, _pieces(spool), tag))

    def make_parents(self, path: str) -> None:
        """Make the folder of a file where folders exist."""
        if self.local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        elif not self._whole:
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        found = self._again(lambda: self.filesystem.get_file_info(path))
        return bool(found.type != fs.FileType.NotFound)

    def modified(self, paths: Sequence[str]) -> list[int | None]:
        """When files were last changed, in ns by the storage's clock; None for those that do not exist, and 0
        where the storage does not tell.
        """
        if self.local:
            return [_modified(path) for path in paths]
        if (
            self.filesystem.type_name == "s3"
        ):  # of what is missing, the call below would also ask for a listing
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                return list(pool.map(self._changed, paths))
        found = self._again(lambda: self.filesystem.get_file_info(list(paths)))
        return [(info.mtime_ns or 0) if info.type == fs.FileType.File else None for info in found]

    def now(self, folder: str, tag: str) -> int:
        """The time by the clock of a folder's storage, in ns; makes the folder.

        Where the storage tells no times, one that never comes: all that is there is from before.

        Raises:
            OSError: nothing can be written there.
        """
        path = f"{folder.rstrip('/')}/.{tag}clock{TEMPORARY}"
        self.make_parents(path)
        self.write(path, b"clock", tag)
        try:
            return self.modified([path])[0] or sys.maxsize
        finally:
            self.delete([path])

    def files(self, folder: str, recursive: bool = True) -> Iterator[tuple[str, int]]:
        """Paths and bytes of the files in a folder, folder by folder, each sorted; without hidden ones.

        Raises:
            OSError: it cannot be listed.
        """
        selector = fs.FileSelector(folder, recursive=recursive and self._whole)
        entries = self._again(lambda: self.filesystem.get_file_info(selector))
        for entry in sorted(entries, key=lambda entry: entry.path):
            if entry.base_name.startswith("."):
                continue
            if entry.type == fs.FileType.File:
                yield entry.path, entry.size
            elif recursive and not self._whole and entry.type == fs.FileType.Directory:
                yield from self.files(entry.path)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files, those that can be."""
        for path in paths:
            with contextlib.suppress(OSError):
                self.filesystem.delete_file(path)

    def remove_stale(self, folder: str, tag: str) -> None:
        """Remove what a killed process left half-written in a folder, by the beginning of its name."""
        if self.local:
            with contextlib.suppress(OSError):
                self.delete(str(path) for path in Path(folder).glob(f".{tag}*{TEMPORARY}"))

    @property
    def _whole(self) -> bool:
        kind = self.filesystem.type_name
        return kind in _WHOLE or (kind.startswith("py::fsspec+") and any(name in kind for name in _WHOLE))

    def _changed(self, path: str) -> int | None:
        """As `modified`, by one request to S3, which tells whole seconds."""
        if not path:
            return None

        def ask() -> Any:
            with self.filesystem.open_input_file(path) as file:
                return file.metadata() or {}

        try:
            told = self._again(ask).get("Last-Modified", b"1970-01-01T00:00:00Z")
        except FileNotFoundError:
            return None
        when = datetime.fromisoformat(told.decode().replace("Z", "+00:00"))
        return int(when.timestamp()) * 10**9

    def _write(self, path: str, pieces: Iterable[bytes], tag: str) -> None:
        folder, _, _ = path.rpartition("/")
        target = path if self._whole else f"{folder}/.{tag}{secrets.token_hex(8)}{TEMPORARY}"
        with self.filesystem.open_output_stream(target) as stream:
            for piece in pieces:
                stream.write(piece)
        if target != path:
            self.filesystem.move(target, path)

    def _again(self, access: Callable[[], T]) -> T:
        """Repeat what fails, with longer and longer pauses, unless it is sure to fail again."""
        pause = 0.25
        for _ in range(0 if self.local else self.retries):
            try:
                return access()
            except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError):
                raise
            except OSError:
                time.sleep(pause)
                pause *= 2
        return access()


def _pieces(spool: IO[bytes]) -> Iterator[bytes]:
    spool.seek(0)
    while piece := spool.read(_PIECE):
        yield piece


def _modified(path: str) -> int | None:
    try:
        found = os.stat(path)  # noqa: PTH116  half the time of pathlib's
    except OSError:
        return None
    # The later of both: `preserve` sets the first.
    return max(found.st_mtime_ns, found.st_ctime_ns) if stat.S_ISREG(found.st_mode) else None
