"""`ModelCache`: each model is loaded once, with the cache's options."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

from vqcodec import loading
from vqcodec.errors import ModelMismatch
from vqcodec.loading import ModelCache


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Name and options of every model that is loaded."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def load(model: Any, **options: Any) -> object:
        seen.append((str(model), options))
        return object()

    monkeypatch.setattr(loading, "load", load)
    return seen


def test_each_model_is_loaded_once_with_the_options(loaded):
    cache = ModelCache(device="cpu", batch_size=3)
    first, second = cache.get("first"), cache.get("second")
    assert cache.get("first") is first
    assert cache.get("second") is second
    assert loaded == [(name, {"device": "cpu", "batch_size": 3}) for name in ("first", "second")]


def test_a_pickled_cache_is_empty_and_has_the_options(loaded):
    cache = ModelCache(device="cpu")
    cache.get("first")
    pickle.loads(pickle.dumps(cache)).get("first")  # noqa: S301  bytes of our own
    assert loaded == [("first", {"device": "cpu"})] * 2


def test_a_file_is_decoded_by_the_named_model_or_an_installed_one(models, loaded, codec):
    cache = ModelCache()
    cache.for_file(codec.bitstream_id)
    cache.for_file("ff" * 8, "named")
    assert [name for name, _ in loaded] == [str(models / "default.safetensors"), "named"]
    with pytest.raises(ModelMismatch, match="needs model ffffffffffffffff"):
        cache.for_file("ff" * 8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_compresses_and_decompresses(tiny_weights):
    """In a process of its own, whose threads have worked before it forks."""
    script = f"""
import multiprocessing, numpy as np, vqcodec
codec = vqcodec.load({str(tiny_weights)!r})
pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
wanted = codec.compress(pixels, effort=3)
def child(queue):
    data = codec.compress(pixels, effort=3)
    queue.put((data == wanted, codec.decompress(data).size))
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,), daemon=True)
process.start()
try:
    print(queue.get(timeout=60))
finally:
    process.kill()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "(True, (96, 64))\n", done.stderr
