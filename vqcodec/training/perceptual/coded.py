"""What files hold of training pictures: latents and fidelity decoder's pictures, by the codec itself.

In integers and by effort 1's search, as users get them; on a CPU in a tenth of the training model's time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqcodec.codec import Codec
from vqcodec.compress.search import SCALE
from vqcodec.loading import load
from vqcodec.model.dial import quality_of, tune_of
from vqcodec.types import LEVEL_MAX, TUNES


def on_levels(dial: Tensor) -> Tensor:
    """The dial (B,) rounded to the levels that files have."""
    return (dial * LEVEL_MAX).round() / LEVEL_MAX


class CodedLatents:
    """Codes and decodes pictures with one model."""

    def __init__(self, path: Path) -> None:
        """Load a weights file.

        Raises:
            ModelNotFound: it is none.
        """
        self._codec: Codec = load(str(path), device="cpu")

    def __call__(self, x: Tensor, dial: Tensor) -> tuple[Tensor, Tensor]:
        """y_hat (B, M, h, w), and the pictures (B, 3, H, W) in [0, 1] that the fidelity decoder makes of it.

        Args:
            x: pictures (B, 3, H, W) in [0, 1] of 8 bits, H and W multiples of 16.
            dial: (B,), on levels.
        """
        latents, pictures = [], []
        levels = (quality_of(dial) * LEVEL_MAX).round().int().tolist()
        tunes = [TUNES[int(number)] for number in tune_of(dial).tolist()]
        pixels = (x * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for picture, level, tune in zip(pixels, levels, tunes, strict=True):
            codec = self._codec.tuned(tune)
            height, width = picture.shape[:2]
            segments = codec.encode(np.ascontiguousarray(picture), level, 0).segments
            place = {"width": width, "height": height, "level": level, "tile": 0}
            latents.append(codec.decoder.latent(segments, **place))
            pictures.append(codec.decode(segments, **place))
        y_hat = torch.from_numpy(np.stack(latents)).to(x.device).permute(0, 3, 1, 2)
        decoded = torch.from_numpy(np.stack(pictures)).to(x.device).permute(0, 3, 1, 2)
        return y_hat.float() / SCALE, decoded.float() / 255
