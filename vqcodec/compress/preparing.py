"""A picture of any kind -> pixels, and its metadata and alpha as chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vqcodec.bitstream import pack_metadata
from vqcodec.image.alpha import alpha_chunk
from vqcodec.image.metadata import CHUNK_TYPES, parse_kinds
from vqcodec.image.picture import Picture, PictureSource, load_picture
from vqcodec.types import DEFAULT_LIMITS, Chunk, Limits

if TYPE_CHECKING:
    from vqcodec.weights.loaded import LoadedModel

LABELS = ("mODL", "dECD")
"""Chunks that are about a model."""


@dataclass(frozen=True)
class Prepared:
    """A picture that was read, and its metadata and alpha as chunks: ready to be coded at any quality."""

    picture: Picture
    chunks: tuple[Chunk, ...]


def prepare(
    image: PictureSource,
    metadata: str | Iterable[str] = "all",
    limits: Limits = DEFAULT_LIMITS,
    strip_gps: bool = False,
    allow_partial: bool = False,
) -> Prepared:
    """Read a picture; arguments and errors are those of `Codec.prepare`."""
    kinds = parse_kinds(metadata)
    picture = load_picture(image, metadata=kinds, limits=limits, allow_partial=allow_partial)
    if strip_gps:
        stripped = picture.metadata.without_gps()
        unread = [f"{kind} block cannot be read, not kept" for kind in stripped.missing(picture.metadata)]
        picture = replace(picture, metadata=stripped, notes=(*picture.notes, *unread))
    blocks = [(kind, getattr(picture.metadata, block)) for block, kind in CHUNK_TYPES.items()]
    chunks = [pack_metadata(kind, raw) for kind, raw in blocks if raw]
    if picture.alpha is not None:
        chunks.append(alpha_chunk(picture.alpha))
    return Prepared(picture, tuple(chunks))


def labels(model: LoadedModel) -> tuple[Chunk, ...]:
    """The chunks that name a model and its decoder."""
    name = model.name.encode("utf-8")
    named = (Chunk("mODL", name),) if 0 < len(name) <= 64 else ()
    return (*named, Chunk("dECD", model.decoder_id))
