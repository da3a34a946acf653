"""Thumbnails for callers that start a process for each: the first stays a moment and serves those after it.

    make --ask--> a process that waits --> done
      or, where nobody waits,
    make --> done, and a child waits for some seconds after the last request

Requests go through a socket in the user's own XDG_RUNTIME_DIR; without that folder, or in a sandbox that ends
with its program, every process works alone. VQCODEC_LINGER tells the seconds; 0 is to work alone. Imported
before anything else, so it imports little itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqcodec.thumbnails import Thumbnailer

SECONDS = 10.0
"""How long a process waits for another request, unless the environment tells."""
VARIABLE = "VQCODEC_LINGER"
ANSWER_SECONDS = 120.0
_MODELS = ("VQCODEC_MODELS", "XDG_DATA_HOME", "HOME")
_LONGEST = 1 << 20
"""Bytes of a request: three paths."""


def make(source: str, target: str, size: int, uri: str | None) -> bool:
    """Write a thumbnail as `write_thumbnail` does; False where somebody else has to find out why not."""
    try:
        request = json.dumps([str(Path(source).absolute()), str(Path(target).absolute()), size, uri])
    except OSError:  # the folder that this process is in was removed
        return False
    path = address()
    if path is not None and (answer := _ask(path, request)) is not None:
        return answer
    from vqcodec.thumbnails import Thumbnailer  # noqa: PLC0415  not needed by those who only ask
    from vqcodec_cli.signals import orderly_end  # noqa: PLC0415

    thumbnailer = Thumbnailer()
    with orderly_end():
        made = _work(thumbnailer, request)
    # Several may have begun at once, and one of them waits already.
    if made and path is not None and not _waits(path) and os.fork() == 0:
        try:
            _serve(thumbnailer, path)
        finally:
            os._exit(0)
    return made


def address() -> Path | None:
    """Path of the socket; None where processes are not to wait."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if not hasattr(os, "fork") or not folder.is_absolute() or _seconds() <= 0:
        return None
    try:
        found = folder.stat()
    except OSError:
        return None
    # Nobody else may ask, or answer.
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        return None
    os.umask(mask := os.umask(0o077))
    # What another installation does, or with other models or permissions, is its own business.
    key = repr([__file__, mask, *(os.environ.get(name) for name in _MODELS)])
    return folder / f"vqcodec-{zlib.crc32(key.encode()):08x}"


def _seconds() -> float:
    try:
        return float(os.environ.get(VARIABLE, SECONDS))
    except ValueError:
        return SECONDS


def _ask(path: Path, request: str) -> bool | None:
    """The answer of a process that waits; None if there is none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ANSWER_SECONDS)
        line.connect(str(path))
        line.sendall(request.encode() + b"\n")
        if answer := line.recv(1):
            return answer == b"1"
    return None


def _waits(path: Path) -> bool:
    """Whether a process waits there."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        return True
    return False


def _work(thumbnailer: Thumbnailer, request: str) -> bool:
    from vqcodec_cli.thumbnail_file import write_thumbnail  # noqa: PLC0415  not needed by those who only ask

    try:
        write_thumbnail(thumbnailer, *json.loads(request))
    except Exception:  # noqa: BLE001  told by the one who asked, who meets it again
        return False
    return True


def _serve(thumbnailer: Thumbnailer, path: Path) -> None:
    """Answer requests until none came for a while; in a process that nobody waits for."""
    import socketserver  # noqa: PLC0415  not needed by those who only ask

    os.setsid()
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # who reads our output to its end must not wait for us
        os.dup2(nowhere, number)

    class Answer(socketserver.StreamRequestHandler):
        timeout = ANSWER_SECONDS

        def handle(self) -> None:
            if request := self.rfile.readline(_LONGEST).decode():
                self.wfile.write(b"1" if _work(thumbnailer, request) else b"0")

    class Server(socketserver.ThreadingUnixStreamServer):
        timeout = _seconds()
        request_queue_size = 64
        waited = False

        def handle_timeout(self) -> None:
            self.waited = True

    temporary = path.with_name(
        f".vqc-{os.getpid()}"
    )  # addresses of sockets have about a hundred bytes at most
    with Server(str(temporary), Answer) as server:
        temporary.replace(path)  # over what a killed process left, too
        own = path.stat().st_ino
        while not server.waited:
            server.handle_request()
        with contextlib.suppress(OSError):
            if path.stat().st_ino == own:
                path.unlink()
