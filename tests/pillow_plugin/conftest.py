"""The plug-in with the fake codec behind it, and Pillow without it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vqcodec
from vqcodec import pillow_plugin

_REGISTRIES: tuple[dict[str, Any], ...] = (
    Image.OPEN,
    Image.SAVE,
    Image.MIME,
    Image.EXTENSION,
    Image.DECODERS,
)


@pytest.fixture
def clean_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pillow forgets the plugin again: other tests are about pictures it cannot open."""
    Image.init()
    before = [dict(registry) for registry in _REGISTRIES]
    monkeypatch.setattr(Image, "ID", Image.ID.copy())
    monkeypatch.setattr(pillow_plugin, "_registered", None)
    yield
    for registry, content in zip(_REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(content)


@pytest.fixture
def plugin(clean_pillow: None, models: Path) -> None:
    vqcodec.register_pillow_plugin()
