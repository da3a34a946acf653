"""ColorVideoVDP of still pictures by its authors' package: 10 for equal pictures, 1 less is one JOD worse.

Mantiuk et al., "ColorVideoVDP: a visual difference predictor for image, video and display distortions", 2024.
A JOD is a just objectionable difference: 75 % of people prefer the better of two pictures that lie one apart.

The package wants torchvision, which on PyPI fits one build of torch only, and what reads and writes videos.
A still picture needs one Gaussian blur of all that: stand-ins take the others' places while it is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.anchors import Pixels

DISPLAY = "standard_4k"
"""30 inches, 3840x2160, 200 cd/m2, seen from 0.75 m in an office: the package's own choice."""
_UNUSED = ("ffmpeg", "imageio", "imageio.v2", "torchvision", "torchvision.transforms", "tqdm")
"""What a still picture does not need, but for one layer."""


class GaussianBlur(nn.Module):
    """The one layer that the metric takes of torchvision.transforms: mirrored at the borders."""

    def __init__(self, kernel_size: int, sigma: float) -> None:
        """kernel_size: odd, in pixels, as is sigma."""
        super().__init__()
        x = torch.arange(kernel_size) - (kernel_size - 1) / 2
        taps = torch.exp(-0.5 * (x / sigma) ** 2)
        self.margin = kernel_size // 2
        self.register_buffer("kernel", torch.outer(taps, taps) / taps.sum() ** 2, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blur x (..., H, W)."""
        planes = x.reshape(-1, 1, *x.shape[-2:])
        padded = F.pad(planes, [self.margin] * 4, mode="reflect")
        return F.conv2d(padded, self.get_buffer("kernel")[None, None].to(x)).reshape(x.shape)


class ColourVdp:
    """The metric, loaded once."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            ImportError: the package is not installed; the message says how to get it.
        """
        self.metric = _metric_class()(display_name=DISPLAY, quiet=True, device=torch.device("cpu"))

    @torch.inference_mode()
    def __call__(self, original: Pixels, decoded: Pixels) -> float:
        """Quality of `decoded`, in JOD, both uint8 RGB (H, W, 3)."""
        jod, _ = self.metric.predict(decoded.copy(), original.copy(), dim_order="HWC")
        return float(jod)


def _metric_class() -> Any:
    found = importlib.util.find_spec("pycvvdp")
    if found is None or found.submodule_search_locations is None:
        raise ImportError("cvvdp needs the package of that name: pip install --no-deps cvvdp")
    # Its own first module would import what was learned, with more packages.
    package = ModuleType("pycvvdp")
    package.__path__ = list(found.submodule_search_locations)
    package.__file__ = found.origin
    stand_ins = {name: ModuleType(name) for name in _UNUSED}
    vars(stand_ins["torchvision.transforms"])["GaussianBlur"] = GaussianBlur
    vars(stand_ins["imageio"])["v2"] = stand_ins["imageio.v2"]
    vars(stand_ins["tqdm"])["tqdm"] = lambda steps, **_options: steps  # no progress bar
    real = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    search = list(sys.path)
    sys.modules |= {"pycvvdp": package, **stand_ins}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its sources have escapes that Python frowns on
            return importlib.import_module("pycvvdp.cvvdp_metric").cvvdp
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules |= real
        sys.path[:] = search  # it appends its own folder, in which modules are called interp and utils
