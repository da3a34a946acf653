"""What tests of the page do with it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.web.browsing import SAMPLE

DONE = "document.getElementById('status').textContent.startsWith('Decoded')"
WIDTH, HEIGHT = SAMPLE


def show_sample(page):
    page.click("#sample")
    page.wait_for_function(DONE)


def upload(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def png(x) -> bytes:
    file = io.BytesIO()
    Image.fromarray(x).save(file, "PNG")
    return file.getvalue()


def stage(page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB"), np.int64)


def said_size(data: bytes) -> str:
    return f"{len(data):,} B".replace(",", "\u202f") if len(data) < 10_000 else f"{len(data) / 1000:.0f} kB"
