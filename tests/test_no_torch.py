"""With the engine in C, compressing and decompressing do without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.make_golden import WEIGHTS
from vqcodec.native.choice import built

WEIGHTS_FILE = Path(__file__).parent / "golden" / WEIGHTS
CODE = """
import sys
import numpy as np
import vqcodec
codec = vqcodec.load(sys.argv[1])
for drawn in (True, False):
    data = codec.compress(np.zeros((40, 50, 3), np.uint8), quality=30, drawn=drawn)
    codec.decompress(data)
print("torch" in sys.modules)
codec.compress(np.zeros((16, 16, 3), np.uint8), effort=2, drawn=False)
print("torch" in sys.modules)
"""


@pytest.mark.skipif(any(built(name) is None for name in ("_kernels", "_entropy")), reason="no C engine")
def test_only_searches_by_gradient_import_torch(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "VQCODEC_ENGINE"}
    command = [sys.executable, "-c", CODE, str(WEIGHTS_FILE)]
    # In a checkout its package, without the engine, would hide the installed one.
    done = subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]
