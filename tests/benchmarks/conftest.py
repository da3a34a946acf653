"""Makes `benchmarks` importable: it is not installed, and must not hide the installed vqcodec."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
