"""All layers of a file put together: what the networks decode, with what is drawn on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vqcodec.decompress.drawn_grid import DrawnGrid
from vqcodec.image.extremes import snapped
from vqcodec.tiling import Place
from vqcodec.types import Header, Region, TileProgress

if TYPE_CHECKING:
    from vqcodec.decompress.latent_grid import Segments
    from vqcodec.decompress.tile_decoder import TileDecoder


def layered(
    decoder: TileDecoder | None,
    header: Header,
    segments: Segments,
    drawn: Sequence[bytes | None],
    whole: Sequence[bool],
    *,
    realism: float = 0.0,
    region: Region | None = None,
    progress: TileProgress | None = None,
) -> Iterator[tuple[Place, NDArray[np.uint8]]]:
    """Rectangles of a picture, or of a region of it, as they are decoded, each with its pixels (h, w, 3).

    Args:
        decoder: None if the networks have no part in the file.
        segments: [tile][layer], None where missing.
        drawn: of each tile, empty where it has none, None where missing; nothing without a drawn layer.
        whole: tiles that are drawn and nothing else.
        realism, region, progress: as of `TileDecoder.parts`.

    Raises:
        CorruptData, ModelNotFound: as `TileDecoder.parts` and `DrawnGrid`.
    """
    grid = None
    if header.drawn:
        grid = DrawnGrid(drawn, whole, width=header.width, height=header.height, tile=header.tile)
    if decoder is None:
        assert grid is not None
        return grid.alone(region, progress)
    parts = decoder.parts(
        [None if alone else layers for alone, layers in zip(whole, segments, strict=True)],
        width=header.width,
        height=header.height,
        level=header.level,
        tile=header.tile,
        realism=realism,
        region=region,
        progress=progress,
    )
    parts = ((place, snapped(pixels, header.ignorable)) for place, pixels in parts)
    return grid.over(parts, region) if grid else parts
