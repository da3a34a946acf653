"""One picture in a process that has done nothing before: ACTION SOURCE MODEL, for `benchmarks.cold`.

It says on stderr when each phase begins, between the lines that `python -X importtime` writes there.
"""

import sys
import time


def phase(name: str) -> None:
    """Say that a phase begins."""
    print(f"phase: {name} {time.perf_counter()}", file=sys.stderr, flush=True)


def main() -> int:
    """Compress or decompress a file, keeping the result in memory; returns the exit status."""
    action, source, model = sys.argv[1:]
    phase("load")
    import vqcodec  # noqa: PLC0415  this is under the clock

    codec = vqcodec.load(model, device="cpu")
    phase("picture")
    if action == "compress":
        codec.compress(source)
    else:
        codec.decompress(source)
    phase("end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
