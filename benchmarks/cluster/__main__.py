"""A job on Ray nodes of this machine: faults, and speed against the batch of one machine.

    python -m benchmarks.cluster --count 2000 --side 96 --out cluster.json
    python -m benchmarks.cluster --only killed interrupted

Crops of pictures, the same ones in every run, are compressed by a loop in one process; then by Ray nodes of
which a worker and then a node are killed, with a full disk on one of them (root, Linux), and by the command
line, which is interrupted and run again. Whatever happens, the files must be the loop's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.batch import cut_crops
from benchmarks.cluster import faults, speed
from benchmarks.processes import ROOT, figures_of, installed, machine
from benchmarks.report.results import dump

SCHEMA = 2
NONE_OF = (
    *("missing", "unexpected", "different"),
    *("rows_twice", "of_these_written_again", "half_written_left"),
)
"""What there must be none of."""
FAULTS = frozenset({"killed", "full_disk", "interrupted"})
PARTS = ("killed", "full_disk", "interrupted", "speed", "dispatch")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """The parts that were asked for, each told and written when it is done, beside those of earlier runs."""
    held = json.loads(args.out.read_text(encoding="utf-8")) if args.out and args.out.exists() else {}
    result: dict[str, Any] = {**held, "schema": SCHEMA}
    here = {"machine": machine(args.cores) | {"ray": installed("ray")}}

    def keep(part: str, figures: dict[str, Any]) -> None:
        settings = {} if part == "dispatch" else {"count": args.count, "side": args.side}
        result[part] = here | settings | figures
        print(part, json.dumps(result[part], indent=1), flush=True)
        if args.out:
            args.out.write_text(dump(result), encoding="utf-8")

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        photos, expected = root / "photos", root / "expected"
        photos.mkdir()
        cut_crops(args.data, photos, args.count, args.side)
        if FAULTS & set(args.only):
            words = ["compress", "loop", str(photos), str(expected), "--model", args.model, "--threads", "1"]
            figures_of("benchmarks.batch", words, 1)
        if "speed" in args.only:
            keep("speed", speed.compare(photos, root, args.model, args.cores, args.repeats))
        for number in range(faults.BAD):
            (photos / f"bad{number}.png").write_bytes(b"no picture")
        for part in PARTS:
            if part in FAULTS & set(args.only):
                keep(part, getattr(faults, part)(photos, expected, root))
        if "dispatch" in args.only:
            words = ["dispatch", str(root), "--units", "1000"]
            keep("dispatch", figures_of("benchmarks.cluster", words, 1))
    return result


def problems(result: dict[str, Any]) -> list[str]:
    """What is not as it must be, a line each."""
    found = []
    for part in sorted(FAULTS):
        figures = result.get(part, {})
        found += [f"{part}: {name} {figures[name]}" for name in NONE_OF if figures.get(name)]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one piece of it as its own child; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--cores", type=int, default=2, help="of the speed runs")
    if words and words[0] in ("one", "dispatch"):
        parser.add_argument("piece")
        if words[0] == "one":
            parser.add_argument("way")
            parser.add_argument("source", type=Path)
        parser.add_argument("target", type=Path)
        parser.add_argument("--units", type=int, default=1000)
        args = parser.parse_args(words)
        if args.piece == "one":
            figures: Any = speed.one(args.way, args.source, args.target, args.model, args.cores)
        else:
            figures = speed.dispatch(args.target, args.units, 64)
        print(json.dumps(figures))
        return 0
    parser.add_argument("--data", type=Path, default=ROOT / "vqcodec/samples", help="pictures to cut from")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=2, help="of the speed runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, metavar="JSON")
    args = parser.parse_args(words)
    result = run(args)
    wrong = problems(result)
    print("\n".join(wrong) or "all files are the loop's", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
