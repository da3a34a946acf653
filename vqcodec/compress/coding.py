"""A picture to a file, as `Codec.compress` is asked: prepared, coded at the level that fits, written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vqcodec.bitstream import Written
from vqcodec.compress.aims import reaching, within
from vqcodec.compress.dial import busyness, level_from_quality
from vqcodec.compress.options import CompressOptions
from vqcodec.compress.picture_encoder import PictureEncoder
from vqcodec.compress.preparing import Prepared, labels, prepare
from vqcodec.image.picture import PictureSource

if TYPE_CHECKING:
    from vqcodec.codec import Codec


def code(codec: Codec, image: PictureSource | Prepared, options: CompressOptions) -> tuple[Written, Prepared]:
    """The file, and what was read of the picture; raises what `Codec.compress` does."""
    ready = image
    if not isinstance(ready, Prepared):
        ready = prepare(ready, options.metadata, options.limits, options.strip_gps, options.allow_partial)
    picture = ready.picture
    if options.label:
        ready = replace(ready, chunks=(*labels(codec.model), *ready.chunks))
    tuned = codec if options.tune is None else codec.tuned(options.tune)
    coding = PictureEncoder(
        tuned.encoder,
        tuned.decoder,
        ready,
        options.tile,
        options.effort,
        options.progress,
        options.drawn,
    )
    if options.lossless:
        return coding.file(coding.lossless()), ready
    most = options.most_bytes(picture.width, picture.height)
    if most is not None:
        return within(coding, most), ready
    if options.psnr is not None:
        return coding.file(reaching(coding, options.psnr)), ready
    level = level_from_quality(options.dial, busyness(picture.pixels))
    return coding.file(coding.encode(level)), ready
