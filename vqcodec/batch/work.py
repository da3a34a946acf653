"""What is done to one picture of a batch, bytes to bytes, by whichever worker has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vqcodec.types import Compared, ImageInfo, Limits
from vqcodec.weights import zoo

if TYPE_CHECKING:
    from vqcodec.codec import Codec
    from vqcodec.loading import ModelCache

Comparison = Literal["", "psnr", "all"]
_NO_LIMITS = Limits(0, 0, 0, 0)


@dataclass(frozen=True)
class CompressWork:
    """Picture file -> .vqc file. Survives pickling; each process loads the model itself, at the first call.

    Attributes:
        options: those of `Codec.compress`.
        compare: decode again and compare with the original: by nothing, PSNR, or MS-SSIM as well.
    """

    models: ModelCache
    model: str = zoo.DEFAULT_MODEL
    options: dict[str, Any] = field(default_factory=dict)
    compare: Comparison = ""

    def __call__(self, data: bytes) -> tuple[bytes, ImageInfo]:
        """Raises what `Codec.compress` and `vqcodec.load` raise."""
        codec = self.models.get(self.model)
        coded, info = codec.compress_with_info(data, **self.options)
        return coded, self._compared(codec, data, coded, info) if self.compare else info

    def _compared(self, codec: Codec, data: bytes, coded: bytes, info: ImageInfo) -> Compared:
        # Keep the start of the command line quick.
        from vqcodec.image.picture import pixels_of  # noqa: PLC0415
        from vqcodec.metrics.rate_distortion import psnr  # noqa: PLC0415
        from vqcodec.metrics.structural import SMALLEST, ms_ssim  # noqa: PLC0415

        names = ("metadata", "limits", "allow_partial")
        reading = {name: self.options[name] for name in names if name in self.options}
        original = codec.prepare(data, **reading).picture.pixels
        decoded = pixels_of(codec.decompress(coded, limits=_NO_LIMITS))
        structural = self.compare == "all" and min(original.shape[:2]) >= SMALLEST
        alike = ms_ssim(original, decoded) if structural else None
        return Compared(**vars(info), psnr=psnr(original, decoded), ms_ssim=alike)


@dataclass(frozen=True)
class DecompressWork:
    """.vqc file -> picture file of Pillow format `kind`; the rest as `CompressWork`.

    Attributes:
        model: None = the installed one that the file needs.
        options: those of `Codec.decompress`.
    """

    models: ModelCache
    kind: str
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, data: Any) -> tuple[bytes, ImageInfo]:
        """Of a path no more is read than needed; raises what `Codec.decompress` and `vqcodec.load` raise."""
        from vqcodec.probing import probe  # noqa: PLC0415  imports numpy

        limits = {"limits": self.options["limits"]} if "limits" in self.options else {}
        found = probe(data, **limits)
        return self.models.for_file(found.bitstream_id, self.model).transcode(data, self.kind, **self.options)
