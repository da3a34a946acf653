"""A child made by fork goes on with a codec that its parent has loaded, and used, on several threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.make_golden import WEIGHTS

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """if True:
    import os, signal, sys
    import numpy as np
    import vqcodec
    from PIL import Image

    weights, effort = sys.argv[1], int(sys.argv[2])
    codec = vqcodec.load(weights, device="cpu")
    ramp = np.arange(80 * 112 * 3).reshape(80, 112, 3) // 120 % 256
    picture = Image.fromarray(ramp.astype(np.uint8))
    data = codec.compress(picture, effort=effort)
    pixels = codec.decompress(data).tobytes()
    if os.fork() == 0:
        signal.alarm(100)  # what hangs ends, too
        same = codec.compress(picture, effort=effort) == data and codec.decompress(data).tobytes() == pixels
        os._exit(0 if same else 3)
    assert codec.decompress(data).tobytes() == pixels
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere libraries themselves may not take forks")
@pytest.mark.parametrize(
    ("engine", "effort"),
    [
        ("", 1),
        pytest.param("", 2, marks=pytest.mark.slow),
        pytest.param("torch", 1, marks=pytest.mark.slow),
    ],
)
def test_a_child_goes_on_with_a_codec_in_use(tmp_path, engine, effort):
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        SCRIPT,
        str(ROOT / "tests/golden" / WEIGHTS),
        str(effort),
    ]
    changes = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "VQCODEC_ENGINE": engine}
    done = subprocess.run(
        command, env=os.environ | changes, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")
