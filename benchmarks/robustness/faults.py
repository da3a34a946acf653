"""What befalls commands: `python -m benchmarks.robustness.faults [--kills 20]`.

    full         the disk is full when the result is written
    killed       SIGKILL at random moments of compress, decompress and a batch
    held         SIGKILL or SIGTERM when the result is written, and has not got its name
    changing     the input is cut, replaced or removed while it is read
    read-only    the folder of the result may not be written
    memory       none is left for one item of a batch
    worker       a worker process of a batch is killed

After each, every file under a result's name is whole or as it was, the others of a batch are done, and the
exit code tells. A process that is killed may leave a hidden `.*.vqcodec.tmp` behind, and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.processes import environment
from benchmarks.robustness import samples
from benchmarks.robustness.room import LEFT, Room, mounted

HOLD = "import pathlib, time; pathlib.Path.replace = lambda *_: time.sleep(100)"
"""Run before a command, keeps a result that is written from getting its name."""
LIMITS_MB = (200, 300, 400, 500, 700, 1000, 1500)
Row = dict[str, Any]


def row(check: str, what: str, ok: bool, told: object = "") -> Row:
    """A line of the table."""
    return {"check": check, "what": what, "told": str(told).strip(), "ok": ok}


def disk_full(room: Room) -> Iterator[Row]:
    """By the limit on a file's size, which any user can set; and on a full disk where we may mount one."""

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    for words in (("decompress", "1.vqc", "-o", "out.png"), ("compress", "1.png", "-o", "out.vqc")):
        target = room.folder / words[-1]
        target.write_bytes(room.old)
        # Python would keep what it compiles meanwhile, cut at 100 bytes.
        uncompiled = environment(1) | {"PYTHONDONTWRITEBYTECODE": "1"}
        code, told = room.run(*words, "-f", preexec_fn=little, env=uncompiled)
        clean = target.read_bytes() == room.old and not room.left() and len(told.splitlines()) == 1
        yield row("full", f"{words[0]}, by RLIMIT_FSIZE", code == 1 and clean, told)
    with mounted(room.folder / "disk", "size=16k") as there:
        if there:
            code, told = room.run("decompress", "1.vqc", "0.vqc", "2.vqc", "--output-dir", "disk")
            done = sorted(path.name for path in (room.folder / "disk").iterdir())
            clean = code == 1 and done == ["0.png", "2.png"] and "No space left" in told
            yield row("full", "a batch on a file system of 16 kB", clean, told)


def killed(room: Room, kills: int, seed: int) -> Iterator[Row]:
    """Kill commands at random moments of the time that they take."""
    source = random.Random(seed)
    for words, results in (
        (("compress", "1.png", "-o", "out.vqc", "-f"), ["out.vqc"]),
        (("decompress", "1.vqc", "-o", "out.png", "-f"), ["out.png"]),
        (
            ("decompress", "0.vqc", "1.vqc", "2.vqc", "--output-dir", "out", "-f", "-j", "2"),
            ["out/0.png", "out/1.png", "out/2.png"],
        ),
    ):
        begun, workers = time.monotonic(), "-j" in words
        code, told = room.run(*words)
        takes = time.monotonic() - begun
        bad, left = [told] if code else [], 0
        for _ in range(kills):
            for name in results:
                (room.folder / name).write_bytes(room.old)
            process = room.command(*words)
            time.sleep(source.uniform(0.3, 1.1) * takes)
            process.kill()
            process.communicate()
            time.sleep(0.1 * takes if workers else 0)  # they end after their parent
            for name in results:
                try:
                    room.whole(room.folder / name)
                except Exception as error:  # noqa: BLE001  whatever a half-written file gives
                    bad.append(f"{name}: {error}")
            left += len(room.left())
        what = f"{words[0]}{' in workers' * workers}, {kills} times"
        yield row("killed", what, not bad, bad or f"{left} temporary files left")


def held(room: Room, way: signal.Signals) -> Row:
    """End a command that has written everything, just before the result gets its name."""
    (room.folder / "out.png").write_bytes(room.old)
    process = room.command("decompress", "1.vqc", "-o", "out.png", "-f", before=HOLD)
    until = time.monotonic() + 60
    while not list(room.folder.glob(f".*{LEFT}")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(way)
    process.communicate()
    kept = (room.folder / "out.png").read_bytes() == room.old
    left, ended = room.left(), process.returncode
    # Only what cannot be caught may leave a file behind.
    fair = (len(left), ended) == ((1, -way) if way == signal.SIGKILL else (0, 143))
    code, _ = room.run("decompress", "1.vqc", "-o", "out.png", "-f")
    told = f"exit code {ended}, {len(left)} temporary files left, and the next try ends with {code}"
    return row("held", f"{way.name} before the result has its name", kept and fair and code == 0, told)


def changing(room: Room, command: str, tries: int, seed: int) -> Row:
    """Replace, cut and remove the input again and again while commands read it."""
    kind, result = (".png", "moved.vqc") if command == "compress" else (".vqc", "moved.png")
    source, path = random.Random(seed), room.folder / f"moving{kind}"
    data, counts, bad = (room.folder / f"1{kind}").read_bytes(), {0: 0, 1: 0, 3: 0}, []
    for _ in range(tries):
        path.write_bytes(data)
        process = room.command(command, path.name, "-o", result, "-f")
        while process.poll() is None:
            cut = source.randrange(len(data))
            time.sleep(0.001)
            if source.randrange(10) == 0:
                path.unlink(missing_ok=True)
            with path.open("wb") as file:
                file.write(data[:cut])
                file.flush()
                file.write(data[cut:] if source.randrange(2) else b"")
        told = process.communicate()[1]
        if process.returncode in counts and len(told.splitlines()) == 1:
            counts[process.returncode] += 1
        else:
            bad.append(told)
        room.whole(room.folder / result)
    path.unlink(missing_ok=True)
    return row(
        "changing",
        f"{command}, {tries} times",
        not bad and not room.left(),
        bad or f"by exit code: {counts}",
    )


def read_only(room: Room) -> Row:
    """A folder that may be read only; root may write everywhere but on a file system that is read-only."""
    folder, root = room.folder / "closed", os.geteuid() == 0
    with mounted(folder, "ro") if root else contextlib.nullcontext(True) as there:
        if not root:
            folder.mkdir()
            folder.chmod(0o555)
        elif not there:
            return row("read-only", "not tried: root, and no right to mount", True)
        code, told = room.run("decompress", "0.vqc", "2.vqc", "--output-dir", "closed")
        told_twice = told.count("Read-only file system") + told.count("Permission denied") == 2
        ok = code == 1 and told_twice and not list(folder.iterdir())
        return row("read-only", "two files into a closed folder", ok, told)


def memory(room: Room) -> Row:
    """A limit on the address space under which small pictures can be decoded and a large one cannot."""
    (room.folder / "huge.vqc").write_bytes(room.codec.compress(Image.new("RGB", (8000, 8000), "teal")))
    told = ""
    for megabytes in LIMITS_MB:

        def little(size: int = megabytes << 20) -> None:
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

        files = ("0.vqc", "huge.vqc", "2.vqc")
        code, told = room.run("decompress", *files, "--output-dir", "memory", "-f", preexec_fn=little)
        done = sorted(path.name for path in (room.folder / "memory").glob("*"))
        if done == ["0.png", "2.png"]:
            ok = code == 1 and "huge.vqc: out of memory" in told and not room.left()
            return row("memory", f"one of three, limit {megabytes} MB", ok, told)
    return row("memory", "no limit found between small and large pictures", False, told)


def worker(room: Room) -> Row:
    """Kill one of two workers as soon as there is one."""
    files = ("1.png", "0.png", "2.png")
    process = room.command("compress", *files, "--output-dir", "worker", "-f", "-j", "2")
    hit, until = False, time.monotonic() + 60
    while not hit and process.poll() is None and time.monotonic() < until:
        time.sleep(0.5)  # a worker that does not even start is another error
        for child in _children(process.pid):
            if b"spawn_main" in _words(child):
                os.kill(child, signal.SIGKILL)
                hit = True
                break
    told = process.communicate()[1]
    done = sorted(path.name for path in (room.folder / "worker").glob("*"))
    ok = hit and process.returncode == 1 and len(done) >= 2 and "its worker process died" in told
    return row("worker", "one of two killed", ok, f"{done} {told}")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _words(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one check")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    checks: dict[str, Callable[[Room], Iterator[Row]]] = {
        "full": disk_full,
        "killed": lambda room: killed(room, options.kills, options.seed),
        "held": lambda room: (held(room, way) for way in (signal.SIGKILL, signal.SIGTERM)),
        "changing": lambda room: (
            changing(room, command, options.kills, options.seed) for command in ("compress", "decompress")
        ),
        "read-only": lambda room: iter([read_only(room)]),
        "memory": lambda room: iter([memory(room)]),
        "worker": lambda room: iter([worker(room)]),
    }
    codec, ok = samples.load(), True
    for name, check in checks.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                for found in check(Room(Path(folder), codec)):
                    ok &= found["ok"]
                    print(json.dumps(found) if options.json else _line(found), flush=True)
    sys.exit(0 if ok else 1)


def _line(found: Row) -> str:
    told = " | ".join(found["told"].splitlines())
    return f"{'ok' if found['ok'] else 'WRONG':6} {found['check']:10} {found['what']:40} {told}"


if __name__ == "__main__":
    main()
