"""ARM's kernels, compiled and emulated on other processors; on ARM the engine's own tests try them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "vqcodec" / "native"
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
MISSING = [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)}")
def test_arms_sums_are_those_of_plain_c(tmp_path):
    program = tmp_path / "convolutions"
    sources = [NATIVE / f"{name}.c" for name in ("conv", "conv_portable", "conv_neon", "isa")]
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-static"]
    command = [COMPILER, *flags, HERE / "arm_convolutions.c", *sources, "-o", program]
    subprocess.run(command, check=True, timeout=120)
    found = subprocess.run([EMULATOR, program], capture_output=True, text=True, timeout=120)
    assert (found.returncode, found.stdout) == (0, "")
