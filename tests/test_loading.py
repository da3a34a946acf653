"""`ModelCache`: each model is loaded once, with the cache's options."""

from __future__ import annotations

import pickle
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
