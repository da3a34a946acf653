"""Fuzz the container or whole decodes: `python -m benchmarks.robustness.fuzz container --runs 1000000`.

The driver "atheris" (an optional package, `pip install atheris`) is guided by the code that is covered;
"random" damages the seeds again and again, which needs nothing, and is what tests run. In seven of eight
inputs checksums are put right after the damage. Inputs that are findings are kept in the folder --findings.
Environment: VQCODEC_ENGINE and VQCODEC_ISA choose the engine; the C engine may be built with sanitisers.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.processes import program

TARGETS = ("container", "decode")
MOST_BYTES = 2048
UNREPAIRED = 8
"""One in so many inputs keeps its wrong checksums."""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=0, help="stop after these, too")
    parser.add_argument("--driver", choices=("atheris", "random"), default="atheris")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--any-segment", action="store_true", help="decode segments that are not canonical")
    parser.add_argument("--corpus", type=Path, help="more seeds; atheris adds what it finds")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _under_atheris(options)
        return
    begun = time.perf_counter()
    run = _atheris if options.driver == "atheris" else random_runs
    found = run(options) | {"seconds": round(time.perf_counter() - begun, 1)}
    found = {"target": options.target, "driver": options.driver} | found
    print(json.dumps(found) if options.json else "\n".join(f"{k:14} {v}" for k, v in found.items()))
    # A run that was killed, or never began, is no clean one.
    sys.exit(1 if found["findings"] or found.get("exit") else 0)


def random_runs(options: argparse.Namespace) -> dict[str, Any]:
    """Damage seeds at random; every finding is kept, and told on stderr."""
    from benchmarks.robustness import samples, targets  # noqa: PLC0415  atheris instruments imports

    codec = samples.load()
    target = targets.container if options.target == "container" else targets.decoding(codec)
    pool = [data for data in samples.seeds(codec).values() if _fits(options, data)]
    if options.corpus is not None:
        pool += [path.read_bytes() for path in sorted(options.corpus.iterdir())]
    source, outcomes, findings = random.Random(options.seed), collections.Counter[str](), 0
    until = time.monotonic() + (options.seconds or float("inf"))
    with targets.any_segment(options.any_segment):
        while outcomes.total() < options.runs and time.monotonic() < until:
            data = mutated(source.choice(pool), source, bytes.fromhex(codec.bitstream_id))
            try:
                outcomes[target(data)] += 1
            except Exception:  # noqa: BLE001  each is a finding
                outcomes["finding"] += 1
                findings += 1
                options.findings.mkdir(parents=True, exist_ok=True)
                (options.findings / f"{options.target}-{findings}").write_bytes(data)
                traceback.print_exc()
    return {"executions": outcomes.total(), "findings": findings, "outcomes": dict(outcomes)}


def _fits(options: argparse.Namespace, data: bytes) -> bool:
    from benchmarks.robustness import targets  # noqa: PLC0415  as above

    return options.target == "container" or targets.small(data)


def mutated(data: bytes, source: random.Random, bitstream_id: bytes) -> bytes:
    """One to four damages, after which checksums are mostly put right."""
    from benchmarks.robustness.damages import damaged, repaired  # noqa: PLC0415  as above

    for _ in range(source.randint(1, 4)):
        data = damaged(data, source)[:MOST_BYTES]
    return repaired(data, bitstream_id) if source.randrange(UNREPAIRED) else data


def _atheris(options: argparse.Namespace) -> dict[str, Any]:
    """Run atheris in a process of its own, for it never returns, and read its statistics."""
    options.findings.mkdir(parents=True, exist_ok=True)
    before = set(options.findings.iterdir())
    with tempfile.TemporaryDirectory() as folder:
        command = program("benchmarks.robustness.fuzz", *sys.argv[1:], "--child", folder)
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    runs = re.findall(r"^Done (\d+) ", done.stderr, re.M)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    findings = len(set(options.findings.iterdir()) - before)
    if not runs or findings or done.returncode:
        print(done.stderr[-6000:], file=sys.stderr)
    edges, features, corpus = map(int, covered[-1]) if covered else (0, 0, 0)
    return {
        "executions": int(runs[-1]) if runs else 0,
        "edges": edges,
        "features": features,
        "corpus": corpus,
        "findings": findings,
        "exit": done.returncode if runs else done.returncode or 1,
    }


def _under_atheris(options: argparse.Namespace) -> None:
    import atheris  # noqa: PLC0415  optional

    with atheris.instrument_imports(include=["vqcodec"]):
        from benchmarks.robustness import samples, targets  # noqa: PLC0415  as above
        from benchmarks.robustness.damages import damaged, repaired  # noqa: PLC0415

    codec = samples.load()
    target = targets.container if options.target == "container" else targets.decoding(codec)
    model = bytes.fromhex(codec.bitstream_id)
    for name, data in samples.seeds(codec).items():
        if _fits(options, data):
            (options.child / name).write_bytes(data)
    folders = [str(folder) for folder in (options.corpus, options.child) if folder is not None]

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        source = random.Random(seed)
        for _ in range(source.randint(1, 3)):
            whole = damaged(data, source) if source.randrange(2) else atheris.Mutate(data, len(data) or most)
            data = whole[:most]
        return repaired(data, model) if source.randrange(UNREPAIRED) else data

    words = [
        *(f"-atheris_runs={options.runs}", f"-max_len={MOST_BYTES}", f"-seed={options.seed}"),
        *(f"-artifact_prefix={options.findings}/", "-rss_limit_mb=4096"),
        *([f"-max_total_time={options.seconds}"] if options.seconds else []),
    ]
    with targets.any_segment(options.any_segment):
        atheris.Setup([sys.argv[0], *words, *folders], target, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
