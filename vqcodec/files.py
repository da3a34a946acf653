"""Reading sources and writing results: a file appears complete under its name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias

PathLike: TypeAlias = "str | os.PathLike[str]"
Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"


def data_home() -> Path:
    """Where a user's programs keep their data: XDG_DATA_HOME, or else ~/.local/share.

    Raises:
        OSError: the user has no home, as some in containers.
    """
    given = Path(os.environ.get("XDG_DATA_HOME", ""))
    if given.is_absolute():
        return given
    try:
        return Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise OSError("this user has no home folder; set HOME or XDG_DATA_HOME") from error


def several(paths: PathLike | Iterable[PathLike]) -> list[PathLike]:
    """Paths as a list; one alone is a path too, also as text, whose characters are none."""
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


def files_below(folder: PathLike) -> Iterator[Path]:
    """Files in a folder and its folders, also those that links lead to, each folder once; in no order.

    Links that lead nowhere are among them, pipes and devices are not.
    """
    seen, waiting = set(), [os.fspath(folder)]
    while waiting:
        name = waiting.pop()
        try:
            found, entries = Path(name).stat(), listed(name)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        yield from (path for path, folder in entries if not folder)
        # In the order of their names: of several links the same one leads there everywhere.
        waiting += [os.fspath(path) for path, folder in reversed(entries) if folder]


def listed(folder: PathLike) -> list[tuple[Path, bool]]:
    """What is in a folder by name, without pipes and devices, and whether it is, or leads to, a folder.

    Raises:
        OSError: it cannot be read.
    """
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        # Of most files the listing tells; on a network disk each question takes its time.
        plain = entry.is_file(follow_symlinks=False)
        leads = entry.is_dir(follow_symlinks=False) or (not plain and is_folder(path))
        if plain or leads or is_file(path):
            found.append((path, leads))
    return found


def is_folder(path: Path) -> bool:
    """Whether it is one, or a link to one; not where that cannot be known, which is told at its turn."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether it is one, or a link that leads nowhere, or not to be known, which is told at its turn."""
    try:
        return path.is_file() or not path.exists()
    except OSError:
        return True


def read_source(source: Source) -> bytes:
    """All bytes of a path, a bytes-like object or a binary file object (from its position on).

    Raises:
        OSError: the file cannot be read.
        TypeError: the source is none of the three.
    """
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if hasattr(source, "read"):
        data = source.read()
        if isinstance(data, bytes):
            return data
    raise TypeError(f"expected a path, bytes or a binary file object, not {type(source).__name__}")


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write to an open file, also to an unbuffered one, which may take a part at a time."""
    view = memoryview(data)
    while len(view):
        written: int | None = file.write(view)
        if written is None:  # what is no file of Python's own may tell nothing
            return
        view = view[written:]


TEMPORARY = ".vqcodec.tmp"
"""How the names of files end that are being written."""


def write_atomic(path: PathLike, data: bytes, like: os.stat_result | None = None, tag: str = "") -> None:
    """Write a file completely, or leave what was there. Links are followed.

    Anything that is not a regular file (a pipe, /dev/null) is written in place: replacing it would turn a
    device into a file. A file that is replaced hands on its permissions, and its owner where that may be.

    Args:
        like: what `os.stat` tells of a file whose permissions and time of change the new one gets.
        tag: begins the temporary file's name, so that what a killed process leaves can be found.

    Raises:
        OSError: the directory or file cannot be written; it names the file or its folder.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        try:
            target.write_bytes(data)
        except OSError as error:  # of a device that is full it would tell no name
            raise OSError(error.errno, error.strerror, str(path)) from error
        return
    check_writable(target)
    target = _followed(target)
    before = target.stat() if target.exists() else None
    wanted = like or before
    # Never more open than it will be; of a new file, the process's umask decides.
    mode = 0o666 if wanted is None else stat.S_IMODE(wanted.st_mode) & 0o777
    temporary = target.parent / f".{tag}{os.urandom(8).hex()}{TEMPORARY}"
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
        if wanted is not None:
            _hand_on(temporary, before, mode)
        if like is not None:
            os.utime(temporary, ns=(like.st_atime_ns, like.st_mtime_ns))
        temporary.replace(target)
    except OSError as error:
        _remove(temporary)
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:  # also Ctrl-C: no half-written file may stay
        _remove(temporary)
        raise


def exists_already(path: PathLike) -> FileExistsError:
    """The error for an output that is there and is not to be replaced."""
    return FileExistsError(errno.EEXIST, "exists already", os.fspath(path))


def check_writable(path: PathLike) -> None:
    """Find out before the work whether a file can be written there.

    Raises:
        OSError: it is a folder, or its folder is missing, no folder, or closed; the message names that. Or it
            is a link that leads to itself.
    """
    target = Path(path)
    if target.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.exists() and not target.is_file():
        return
    _check_folder((_followed(target) if target.is_symlink() else target).parent)


def check_folder(folder: PathLike) -> None:
    """Find out whether files can be written in a folder, which may be still to be made.

    Raises:
        OSError: it is none, or closed, or one above it is; the message names that.
    """
    path = Path(folder)
    while not path.exists() and not path.is_symlink() and path != path.parent:
        path = path.parent
    _check_folder(path)


def _check_folder(folder: Path) -> None:
    code = 0
    if not folder.exists():
        code = errno.ENOENT
    elif not folder.is_dir():
        code = errno.ENOTDIR
    elif not os.access(folder, os.W_OK | os.X_OK):
        code = errno.EACCES
    if code:
        raise OSError(code, os.strerror(code), str(folder))


def _followed(path: Path) -> Path:
    """Where links lead."""
    try:
        return path.resolve()
    except RuntimeError as error:  # in a circle, as Python before 3.13 tells it
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
    except FileNotFoundError as error:  # the current folder was removed
        raise OSError(error.errno, error.strerror, str(path)) from error


def _hand_on(path: Path, before: os.stat_result | None, mode: int) -> None:
    """Give a file the owner of the one that it replaces, as far as that is allowed, and a mode."""
    if before is not None and hasattr(os, "chown"):
        for owner, group in ((-1, before.st_gid), (before.st_uid, -1)):
            with contextlib.suppress(OSError):
                os.chown(path, owner, group)
    path.chmod(mode)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def begins_with(path: PathLike, start: bytes) -> bool:
    """Whether it is a regular file with these first bytes."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(len(start)) == start


def same_file(first: PathLike, second: PathLike) -> bool:
    """Whether both paths exist and name one file."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False
