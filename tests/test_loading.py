"""`ModelCache`: each model is loaded once, with the cache's options."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeModel, codec_of
from tests.tiny import picture
from vqcodec import loading
from vqcodec.errors import LimitExceeded, ModelMismatch
from vqcodec.loading import ModelCache
from vqcodec.thumbnails import Thumbnailer
from vqcodec.types import Limits


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


def test_a_pickled_codec_loads_its_file_once(tiny_weights, monkeypatch):
    monkeypatch.chdir(tiny_weights.parent)
    codec = loading.load(Path(tiny_weights.name), device="cpu").tuned("psnr")
    monkeypatch.chdir("/")
    sent = pickle.dumps(codec.compress)  # as a pool of processes sends a method
    first, second = (pickle.loads(sent) for _ in range(2))  # noqa: S301  bytes of our own
    assert first.__self__ is second.__self__
    assert first.__self__ is not codec
    assert first.__self__.tune == "psnr"
    assert first(picture(64, 64)) == codec.compress(picture(64, 64))


def test_copies_of_a_codec_are_itself(tiny_codec):
    assert copy.deepcopy({"codec": tiny_codec})["codec"] is tiny_codec
    with pytest.raises(TypeError, match=r"only a codec from vqcodec\.load"):
        pickle.dumps(codec_of(FakeModel()))


def test_a_thumbnailer_can_be_sent(installed_tiny, tiny_codec):
    maker = pickle.loads(pickle.dumps(Thumbnailer(Limits(side=100))))  # noqa: S301
    assert maker.make(tiny_codec.compress(picture(64, 64)), 16).size == (16, 16)
    with pytest.raises(LimitExceeded):
        maker.make(tiny_codec.compress(picture(64, 128)), 16)


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
