"""Exactness: `python -m benchmarks.robustness.matrix [--files 200]`, one table of all that must agree.

Files: golden ones and fresh ones of many sizes, modes, qualities, tile settings and both tunes, by a tiny
model with two tunes and both decoders, and by the packaged model; given .vqc files, too, decode with the
packaged one. Settings: engines, instruction sets, 1 to 3 threads, a batch against single calls, a graphics
card where there is one, and other versions of libraries with --versions, each in a new virtual environment
("numpy==1.26.4", or several separated by spaces; torch is optional for the engine in C).

Every setting encodes every picture and decodes every file, which the first setting encoded. Files of effort 1
must be the same bytes, so that it does not matter who encoded; where searches of higher effort give others,
these are decoded by the first setting and by the one that made them. Indices and pixels must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, environment, instruction_sets, program

THREADS = (1, 2, 3)
BASE = "C, what there is, 1 thread"
RUNTIME = ("constriction~=0.5.0", "pillow>=11.3", "safetensors>=0.5", "click>=8.1")
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Prescott"}
"""Holds torch and numpy to the oldest instructions."""


@dataclass(frozen=True)
class Setting:
    """How a process codes: the interpreter, its environment, and words for `benchmarks.robustness.coder`."""

    python: str = sys.executable
    changes: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()


def settings(quick: bool = False) -> dict[str, Setting]:
    """Those of this machine, by name; the first is what others are compared with."""
    found = {BASE: Setting(changes=environment(1))}
    names = [name for name in instruction_sets() if not quick or name != "portable"]
    for name in names:
        for count in (2,) if quick else THREADS:
            found[f"C, {name}, {count} threads"] = Setting(changes=environment(count, name))
    for count in (2,) if quick else THREADS:
        found[f"torch, {count} threads"] = Setting(changes=environment(count, "torch"))
    if not quick:
        found["torch, oldest instructions"] = Setting(changes=environment(1, "torch") | PLAIN)
        found["batch of 2 workers"] = Setting(changes=environment(2), words=("--batch",))
        if _card():
            found["graphics card"] = Setting(changes=environment(1), words=("--device", "cuda"))
    return found


def other_versions(folder: Path, requirements: str) -> Setting:
    """A new virtual environment with these versions of libraries, which runs our sources.

    Raises:
        subprocess.CalledProcessError: they do not install.
    """
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = requirements.split()
    more = [] if any(word.startswith("numpy") for word in wanted) else ["numpy"]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted, *more, *RUNTIME], check=True)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    engine = "torch" if any(word.startswith("torch") for word in wanted) else ""
    return Setting(str(python), environment(1, engine) | {"PYTHONPATH": path})


def code(setting: Setting, job: Path, out: Path) -> dict[str, Any]:
    """What `benchmarks.robustness.coder` finds in this setting.

    Raises:
        subprocess.CalledProcessError: it failed; its message is on stderr.
    """
    command = program("benchmarks.robustness.coder", str(job), str(out), *setting.words)
    command[0] = setting.python
    done = subprocess.run(command, env={**setting.changes}, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def run(job: dict[str, Any], tried: Mapping[str, Setting]) -> Iterator[dict[str, Any]]:
    """A row for each setting: files whose bytes, indices and pixels are those of the first one."""
    with tempfile.TemporaryDirectory() as place:
        folder, first = Path(place), next(iter(tried))
        (folder / "job.json").write_text(json.dumps(job))
        base: dict[str, Any] = {}
        for number, (name, setting) in enumerate(tried.items()):
            own = folder / str(number)
            own.mkdir()
            (folder / "job.json").write_text(json.dumps(job | {"decode": str(folder / "0")}))
            found = code(setting, folder / "job.json", own)
            base = base or found
            row = compared(base, found)
            if others := row.pop("others"):
                # Both ways: what this setting made otherwise is decoded by the first.
                again = job | {"decode": str(own), "only": others, "encode": False}
                (folder / "job.json").write_text(json.dumps(again))
                there = code(tried[first], folder / "job.json", own)["decoded"]
                here = code(setting, folder / "job.json", own)["decoded"]
                row["wrong"] += [key for key in others if there[key] != here[key]]
            yield {"setting": name, "engine": found["engine"], **row}


def compared(base: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of what agrees, and the names of what does not."""
    wanted, decoded = base["decoded"], found["decoded"]
    wrong = [key for key in wanted if decoded.get(key) != wanted[key]]
    others = [key for key, digest in found["encoded"].items() if base["encoded"][key] != digest]
    # Searches by gradients may end elsewhere; plain encodes may not.
    wrong += [f"{key} encoded otherwise" for key in others if "effort" not in key]
    # Nor may any be missing but searches where torch is.
    missing = set(base["encoded"]) - set(found["encoded"])
    wrong += [f"{key} not encoded" for key in sorted(missing) if "effort" not in key]
    count = len(found["encoded"])
    counts = {"decoded": len(decoded), "encoded": count, "bytes": count - len(others)}
    return counts | {"wrong": wrong, "others": others}


def _card() -> bool:
    try:
        import torch  # noqa: PLC0415  optional here
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.matrix", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="more .vqc files of the packaged model")
    parser.add_argument("--count", type=int, default=200, help="fresh pictures")
    parser.add_argument("--versions", action="append", default=[], metavar="REQUIREMENTS")
    parser.add_argument("--quick", action="store_true", help="fewer settings")
    parser.add_argument("--only", default="", metavar="PATTERN", help="settings whose names it matches")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    job = {"count": options.count, "files": [str(path.resolve()) for path in options.files]}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        tried = {
            name: setting
            for name, setting in settings(options.quick).items()
            if name == BASE or re.search(options.only, name)
        }
        for number, words in enumerate(options.versions):
            tried[words] = other_versions(Path(folder) / str(number), words)
        for row in run(job, tried):
            wrong += len(row["wrong"])
            print(json.dumps(row) if options.json else _line(row), flush=True)
    sys.exit(1 if wrong else 0)


def _line(row: Mapping[str, Any]) -> str:
    counts = f"{row['decoded']:4} decoded {row['bytes']:4} of {row['encoded']} encoded to the same bytes"
    return f"{row['setting']:34} {row['engine']:20} {counts}  {', '.join(row['wrong'][:5]) or 'ok'}"


if __name__ == "__main__":
    main()
