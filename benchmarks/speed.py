"""Time and memory that a picture takes: vqcodec and the other codecs side by side, at about one file size.

    python -m benchmarks.speed --image photo.png --bpp 0.5 --sides 256 4096 --threads 1 2 --out speed.json
    python -m benchmarks.speed --image photo.png --codecs vqcodec --sides 3464 --devices cuda --out card.json

In process: every figure comes from a fresh process with its own thread count, see `benchmarks.in_process`. At
the first size vqcodec is also measured with other engines (--engines) and beside a busy process (--beside).
The parts of its time are those of one more call, see `benchmarks.parts`.

Whole processes (--commands): commands that read a file and write one, with everything that starting takes,
see `benchmarks.commands`; and what of it is imports and loading, see `benchmarks.cold`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vqcodec
from benchmarks import codecs, cold, commands, hyperprior, neighbours
from benchmarks.in_process import Case, Question, make
from benchmarks.processes import (
    ENGINES,
    INSTRUCTION_SETS,
    ROOT,
    figures_of,
    installed,
    instruction_sets,
    machine,
)
from benchmarks.report import speed_tables
from benchmarks.report.curves import table
from benchmarks.report.results import dump

SCHEMA = 3


def cases(args: argparse.Namespace) -> list[Case]:
    """What is to be measured, in this order; what this machine cannot do is named on stderr and left out."""
    own = codecs.VQCODEC
    found = [device for device in vqcodec.features()["devices"] if device != "mps"]
    devices = [device for device in args.devices or found if device.partition(":")[0] in found]
    for device in args.devices or []:
        if device not in devices:
            _leave_out(device, "this machine, or its torch, has no such device")
    result = [
        Case(name, threads, side, device)
        for side in args.sides
        for threads in args.threads
        for name in args.codecs
        # Whose networks want gigabytes for large pictures.
        if name != hyperprior.NAME or side == args.sides[0]
        for device in (devices if name.startswith(own) else ["cpu"])
    ]
    side = args.sides[0]
    for engine in args.engines:
        if engine in INSTRUCTION_SETS and engine not in instruction_sets():
            _leave_out(engine, "this processor has no such instructions")
        elif engine == "torch" and installed("torch") is None:
            _leave_out(engine, "torch is not installed")
        else:
            result += [Case(own, threads, side, engine=engine) for threads in args.threads]
    for beside in args.beside:
        if neighbours.available(beside):
            result += [Case(own, threads, side, beside=beside) for threads in args.threads]
        else:
            _leave_out(f"beside {beside}", "it is not installed")
    return result


def _leave_out(row: str, reason: str) -> None:
    print(f"speed: {row}: {reason}, the row is left out", file=sys.stderr)


def in_fresh_process(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of a case.

    Raises:
        subprocess.CalledProcessError: it failed; its own message is on stderr.
    """
    question = Question(case, str(args.image.resolve()), args.model, args.bpp, args.repeats)
    with neighbours.busy(case.beside):
        return figures_of("benchmarks.in_process", [question.to_json()], case.threads, case.engine)


def kept(path: Path, settings: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """What a result file holds, without the runs of other versions or weights.

    Raises:
        ValueError: it is of another schema or of other settings.
    """
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if result.get("schema") != SCHEMA:
        raise ValueError(f"{path} is of another schema than {SCHEMA}")
    if result.get("settings") != settings:
        raise ValueError(f"{path} was measured by other settings; use another --out")
    versions = {name: make(name, args.model).versions for name in args.codecs}
    result["runs"] = [r for r in result["runs"] if versions.get(r["codec"]) in (None, r["versions"])]
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="speed", description=__doc__.split("\n", 1)[0])
    sample = ROOT / "vqcodec" / "samples" / "dog.png"
    names = (*codecs.CODEC_NAMES, hyperprior.NAME)
    parser.add_argument("--image", type=Path, default=sample, help="a lossless picture")
    parser.add_argument(
        "--codecs", nargs="+", default=[*codecs.DEFAULT_NAMES, hyperprior.NAME], choices=names
    )
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--bpp", type=float, default=0.5, help="rate at which codecs are compared")
    parser.add_argument("--sides", nargs="+", type=int, default=[0], help="squares; 0 = the picture as it is")
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--devices", nargs="+", help="for vqcodec; default: cpu, and cuda where present")
    parser.add_argument(
        "--engines", nargs="*", default=[], choices=[e for e in ENGINES if e], help="of vqcodec, as well"
    )
    parser.add_argument(
        "--beside", nargs="*", default=[], choices=neighbours.NEIGHBOURS, help="vqcodec beside a busy process"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--commands", action="store_true", help="time whole processes as well")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the figures here as well")
    parser.add_argument("--resume", action="store_true", help="keep what --out holds already, and add to it")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    args = _parser().parse_args(argv)
    if hyperprior.NAME in args.codecs and not hyperprior.available():
        _leave_out(hyperprior.NAME, "CompressAI is not installed")
        args.codecs = [name for name in args.codecs if name != hyperprior.NAME]
    digest = hashlib.sha256(args.image.read_bytes()).hexdigest()
    settings = {"image_sha256": digest, "bpp": args.bpp, "repeats": args.repeats}
    result: dict[str, Any] = {"schema": SCHEMA, "machine": machine(max(args.threads)), "settings": settings}
    result["runs"] = []
    if args.resume and args.out and args.out.exists():
        try:
            result |= kept(args.out, settings, args)
        except ValueError as error:
            print(f"speed: {error}", file=sys.stderr)
            return 1
    runs: list[dict[str, Any]] = result["runs"]

    def save() -> None:
        """At once, so that an interrupted run has something to show."""
        if args.out:
            args.out.write_text(dump(result), encoding="utf-8")

    wanted = cases(args)
    if not wanted:
        print("speed: nothing is left to measure", file=sys.stderr)
        return 1
    try:
        for number, case in enumerate(wanted, 1):
            if any(asdict(case).items() <= run.items() for run in runs):
                continue
            if sys.stderr.isatty():
                print(f"\r\x1b[K{number}/{len(wanted)} {case}", end="", file=sys.stderr, flush=True)
            runs.append(in_fresh_process(case, args))
            save()
        if args.commands:
            threads = max(args.threads)
            result["commands"] = commands.run(args.image, args.model, threads, args.repeats)
            result["cold"] = cold.run(args.image, args.model, threads, args.repeats)
            save()
    except subprocess.CalledProcessError as error:  # its own message is on stderr already
        print(f"speed: a measurement ended with status {error.returncode}", file=sys.stderr)
        return 1
    for _, rows in speed_tables.all_tables(result):
        print(table(rows))
    save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
