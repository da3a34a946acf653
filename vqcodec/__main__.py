"""`python -m vqcodec` is the `vqcodec` command."""

import sys

from vqcodec_cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
