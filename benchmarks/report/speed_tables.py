"""Tables of a result file of `benchmarks.speed`, as rows of cells with the head first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.codecs import VQCODEC

Runs = Sequence[dict[str, Any]]
Rows = list[list[str]]
TIMES = ("encode_s", "decode_s")
ON_CPU = ("search", "prior", "coder")
"""Parts of the time that no card takes over: choice of codewords, integer prior, range coder."""
LIMITED = {
    "": "by itself",
    "portable": "C, no special instructions",
    "neon": "C, NEON",
    "avx2": "C, AVX2",
    "avxvnni": "C, AVX-VNNI",
    "avx512vnni": "C, AVX-512 VNNI",
    "amx": "C, AMX",
    "torch": "torch",
}
"""What is shown for an engine."""


def plain(runs: Runs) -> list[dict[str, Any]]:
    """The runs with the engine that is taken by itself, and beside nothing else."""
    return [run for run in runs if not run.get("engine") and not run.get("beside")]


def of_all_codecs(runs: Runs) -> Rows:
    """Times in process; behind each time of another codec, how many times as long vqcodec takes."""
    rows = [["codec", "device", "threads", "MP", "bpp", "encode s", "decode s", "peak MiB", "load s"]]
    # Of several devices the first, the CPU, is compared.
    ours = {(f["threads"], f["pixels"]): f for f in reversed(plain(runs)) if f["codec"] == VQCODEC}
    for f in plain(runs):
        own = None if f["codec"].startswith(VQCODEC) else ours.get((f["threads"], f["pixels"]))
        times = [f"{f[key]:.3g}{_ratio(own[key] / f[key]) if own else ''}" for key in TIMES]
        sizes = [f["device"], str(f["threads"]), f"{f['pixels'] / 1e6:.3g}", f"{f['bpp']:.3f}"]
        rows.append([f["codec"], *sizes, *times, str(f["peak_mib"]), f"{f['load_s']:.2f}"])
    return rows


def of_parts(runs: Runs) -> Rows:
    """Where vqcodec's time goes, in seconds."""
    rows = [["device", "engine", "threads", "MP", "encode", "decode", "PNG read", "PNG write"]]
    for f in runs:
        if f.get("encode_parts_s") and not f.get("beside"):
            split = [
                ", ".join(f"{part} {seconds:.3g}" for part, seconds in f[key].items())
                for key in ("encode_parts_s", "decode_parts_s")
            ]
            png = [f"{f[key]:.3g}" for key in ("png_read_s", "png_write_s")]
            engine = LIMITED[f.get("engine", "")]
            rows.append([f["device"], engine, str(f["threads"]), f"{f['pixels'] / 1e6:.3g}", *split, *png])
    return rows


def of_cards(runs: Runs) -> Rows:
    """vqcodec on graphics cards; the share of the time that goes into what stays on the CPU."""
    rows = [
        ["card", "threads", "MP", "encode MP/s", "CPU's share", "decode MP/s", "CPU's share", "card's MiB"]
    ]
    for f in runs:
        if f.get("card"):
            speeds = []
            for action in ("encode", "decode"):
                parts = f[f"{action}_parts_s"]
                share = sum(parts.get(part, 0.0) for part in ON_CPU) / sum(parts.values())
                speeds += [f"{f['pixels'] / 1e6 / f[f'{action}_s']:.3g}", f"{share:.0%}"]
            sizes = [f["card"], str(f["threads"]), f"{f['pixels'] / 1e6:.3g}"]
            rows.append([*sizes, *speeds, f"{f['card_peak_mib']:.0f}"])
    return rows


def of_engines(runs: Runs) -> Rows:
    """vqcodec held to an engine or to an instruction set, at the first size."""
    rows = [["engine", "threads", "encode s", "decode s", "peak MiB"]]
    for f in _at_first_size(runs):
        if not f.get("beside"):
            times = [f"{f[key]:.3g}" for key in TIMES]
            taken = f" ({f['runs_on']})" if f.get("runs_on") and not f.get("engine") else ""
            name = LIMITED[f.get("engine", "")] + taken
            rows.append([name, str(f["threads"]), *times, f"{f['peak_mib']:.0f}"])
    return rows


def of_neighbours(runs: Runs) -> Rows:
    """vqcodec beside a busy process, at the first size; in brackets, how many times the quiet time."""
    rows = [["beside", "threads", "encode s", "decode s"]]
    shown = [f for f in _at_first_size(runs) if not f.get("engine")]
    quiet = {f["threads"]: f for f in reversed(shown) if not f.get("beside")}
    for f in shown:
        own = quiet.get(f["threads"]) if f.get("beside") else None
        times = [f"{f[key]:.3g}{_ratio(f[key] / own[key]) if own else ''}" for key in TIMES]
        name = f"a loop of {f['beside']}" if f.get("beside") else "nothing"
        rows.append([name, str(f["threads"]), *times])
    return rows


def of_cold(entries: Runs) -> Rows:
    """The first picture of a process."""
    parts = ("python_s", "import_s", "load_s", "picture_s", "wall_s")
    head = ["first picture", "threads", "Python", "imports", "loading", "the picture", "in all, s"]
    return [head, *([e["action"], str(e["threads"]), *(f"{e[part]:.3f}" for part in parts)] for e in entries)]


def of_commands(entries: Runs) -> Rows:
    """Whole processes."""
    rows = [["process", "bytes", "wall s", "processor s"]]
    for entry in entries:
        times = [f"{entry[key]:.3f}" for key in ("wall_s", "cpu_s")]
        rows.append([entry["process"], f"{entry['bytes']:,}" if "bytes" in entry else "", *times])
    return rows


def all_tables(result: dict[str, Any]) -> list[tuple[str, Rows]]:
    """All of a result that hold something, each with a line that explains it.

    Raises:
        KeyError: it is none.
    """
    runs = result["runs"]
    tables = [
        (
            "In process, weights loaded, fresh processes; in brackets, how many times as long we take.",
            of_all_codecs(runs),
        )
    ]
    if any(run.get("encode_parts_s") for run in runs):
        tables.append(("Where vqcodec's time goes, in seconds.", of_parts(runs)))
    if any(run.get("card") for run in runs):
        tables.append(("vqcodec on a graphics card; the CPU's share is the entropy coder's.", of_cards(runs)))
    if any(run.get("engine") for run in runs):
        tables.append(("vqcodec held to an engine or an instruction set.", of_engines(runs)))
    if any(run.get("beside") for run in runs):
        tables.append(
            ("vqcodec beside a busy process; in brackets, times the quiet time.", of_neighbours(runs))
        )
    if "cold" in result:
        tables.append(("The first picture of a process, in seconds.", of_cold(result["cold"])))
    if "commands" in result:
        tables.append(("Whole processes, from the start to the file.", of_commands(result["commands"])))
    return tables


def _at_first_size(runs: Runs) -> Runs:
    """vqcodec's on the CPU, at effort 1 and the first size that was measured."""
    return [
        f for f in runs if f["codec"] == VQCODEC and f["device"] == "cpu" and f["pixels"] == runs[0]["pixels"]
    ]


def _ratio(times: float) -> str:
    return f" (x{times:.3g})"
