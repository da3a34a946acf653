"""Small pictures of .vqc files, for file managers: made for little, and started quickly.

A thumbnail costs its entropy decoding and, unless it is nearly as large as the picture, no networks. What
takes long to import (the encoder, plugins of Pillow) stays away until a file needs it.
"""

from __future__ import annotations

import numbers
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream.container import Container, parse
from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.bitstream.partial import read_file
from vqcodec.bitstream.payloads import unpack_metadata, well_known
from vqcodec.decompress.reduced import FACTORS, reduced
from vqcodec.errors import ModelMismatch
from vqcodec.files import Source
from vqcodec.image.alpha import alpha_plane
from vqcodec.types import DEFAULT_LIMITS, Header, Limits, check_kind
from vqcodec.weights import zoo

if TYPE_CHECKING:
    from vqcodec.weights.loaded import LoadedModel

SIZE_MAX = 4096
_SRGB = ("sRGB", "Gray, sRGB curve")


class Thumbnailer:
    """Makes thumbnails with the models that are installed, which it keeps; threads may share it."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Nothing is loaded yet; `limits` are checked before anything is allocated."""
        self._limits = limits
        self._models: dict[tuple[bytes, str], LoadedModel] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Thumbnailer, (self._limits,)

    def make(self, source: Source, size: int) -> Image.Image:
        """A picture that fits a square of `size` pixels, of mode L, LA, RGB or RGBA, in sRGB.

        Pictures that are smaller come as they are. Pixels are upright in every .vqc file. Where the result is
        at most half as large as the picture, it is approximate: made without the networks of g_s.

        Raises:
            OSError: the file cannot be read.
            FormatError: not a .vqc file, damaged, cut short, over the limits, or too new.
            ModelMismatch, ModelNotFound: no installed model decodes the file, or it cannot be loaded.
            TypeError, ValueError: `size` is no whole number from 1 to `SIZE_MAX`.
        """
        check_kind("size", size, numbers.Integral, "whole number")
        if not 1 <= size <= SIZE_MAX:
            raise ValueError(f"a thumbnail's size is from 1 to {SIZE_MAX} pixels, not {size}")
        container = parse(read_file(source, self._limits), self._limits)
        header = container.header
        shrink = max(header.width, header.height) / size
        if header.drawn or shrink < min(FACTORS):
            factor, pixels = 1, self._whole(container)
        else:
            factor = next(f for f in FACTORS if f <= shrink)
            model, geometry = self._model(header), _geometry(header)
            pixels = reduced(
                model.coder, model.g_s, container.segments, factor, **geometry, level=header.level
            )
        image = self._image(container, pixels, factor)
        if shrink <= 1:
            return image
        wanted = max(1, round(header.width / shrink)), max(1, round(header.height / shrink))
        # Of the last row and column a part may lie outside of the picture.
        box = (0, 0, header.width / factor, header.height / factor)
        return image.resize(wanted, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)

    def _whole(self, container: Container) -> NDArray[np.uint8]:
        """All pixels, as `Codec.decompress` gives them."""
        header, geometry, drawn = container.header, _geometry(container.header), None
        if header.drawn:
            from vqcodec.decompress.drawn_grid import DrawnGrid  # noqa: PLC0415  imports plugins of Pillow

            drawn = DrawnGrid(container.drawn, container.drawn_whole, **geometry)
        if drawn is not None and header.bitstream_id == NO_MODEL:
            parts = drawn.alone(None)
        else:
            from vqcodec.decompress.tile_decoder import TileDecoder  # noqa: PLC0415  as little as is needed

            alone = zip(container.drawn_whole, container.segments, strict=True)
            segments = [None if whole else layers for whole, layers in alone]
            level: dict[str, Any] = {"level": header.level, **geometry}
            parts = TileDecoder(self._model(header)).parts(segments, **level)
            parts = drawn.over(parts, None) if drawn is not None else parts
        result = np.empty((header.height, header.width, 3), np.uint8)
        for place, pixels in parts:
            result[place] = pixels
        return result

    def _model(self, header: Header) -> LoadedModel:
        """The installed model that decodes a file."""
        from vqcodec.weights.loaded import LoadedModel  # noqa: PLC0415  not for files that need none

        key = header.bitstream_id, header.tune
        with self._lock:
            if key not in self._models:
                info = zoo.find_by_id(header.bitstream_id)
                if info is None:
                    raise ModelMismatch(f"the file needs model {key[0].hex()}, which is not installed")
                self._models[key] = LoadedModel.load(info.path, tune=header.tune)
            return self._models[key]

    def _image(self, container: Container, pixels: NDArray[np.uint8], factor: int) -> Image.Image:
        """A picture of pixels (h, w, 3) that are reduced by `factor`, with the file's alpha, in sRGB."""
        header = container.header
        chunks = {chunk.type: chunk for chunk in container.chunks}
        if header.gray and not header.neutral:
            image = Image.fromarray(np.rint(pixels.mean(2)).astype(np.uint8))
        else:
            image = Image.fromarray(pixels)
        if "iCCP" in chunks and well_known(chunks["iCCP"]) not in _SRGB:
            from vqcodec.image.colour import to_srgb  # noqa: PLC0415  imports plugins of Pillow

            image = to_srgb(image, unpack_metadata(chunks["iCCP"], self._limits), [])
        if header.alpha:
            alpha = Image.fromarray(alpha_plane(chunks["ALPH"], header))
            image.putalpha(alpha.reduce(factor) if factor > 1 else alpha)
        return image


def _geometry(header: Header) -> dict[str, int]:
    return {"width": header.width, "height": header.height, "tile": header.tile}
