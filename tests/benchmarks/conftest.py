"""Fixtures of the benchmarks' tests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two noisy gradients, 48x32 and 33x40."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(7)
    for name, height, width in (("a.png", 32, 48), ("b.png", 40, 33)):
        ramp = np.linspace(40, 200, height * width * 3).reshape(height, width, 3)
        noise = random.normal(0, 8, ramp.shape)
        Image.fromarray((ramp + noise).clip(0, 255).astype(np.uint8)).save(folder / name)
    return folder
