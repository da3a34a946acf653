"""Where the program starts: thumbnails by a short way, everything else by `vqcodec_cli.main`.

File managers start a process for each file. Imports and weights take longer than a thumbnail, so the short
way imports next to nothing where a process that made one before still waits (`vqcodec_cli.lingering`).
"""

from __future__ import annotations

import sys

_COMMAND = "thumbnail"
_URI = "--uri"
_INTERRUPTED = 130
"""As in `vqcodec_cli.ui`, whose import it may have been that was interrupted."""


def main() -> int:
    """Run the command line and return the exit code."""
    try:
        return _run()
    except KeyboardInterrupt:  # before `vqcodec_cli.main` is there to meet it
        if sys.stderr is not None:
            sys.stderr.write("vqcodec: interrupted\n")
        return _INTERRUPTED


def _run() -> int:
    words = sys.argv[1:]
    if words[:1] == [_COMMAND]:
        rest = words[1:]
        uri = None
        if rest[:1] == [_URI] and len(rest) > 1:
            uri, rest = rest[1], rest[2:]
        # Any other form, and help, is for click; so are errors, for their words and exit codes.
        if len(rest) == 3 and not any(word.startswith("-") for word in rest[:2]) and rest[2].isdecimal():
            from vqcodec_cli.lingering import make  # noqa: PLC0415  little, but only for this command

            if make(rest[0], rest[1], int(rest[2]), uri):
                return 0
    from vqcodec_cli.main import main as whole  # noqa: PLC0415  imports everything

    return whole()


if __name__ == "__main__":
    sys.exit(main())
