"""The judges of a rate-distortion run beside PSNR: figures of two pictures of one size, by name.

ms_ssim       pytorch-msssim, RGB; rises to 1
ssimulacra2   as libjxl defines it (vqcodec.metrics.ssimulacra2); rises to 100
butteraugli   3-norm, by libjxl's program; falls to 0
cvvdp         ColorVideoVDP, in JOD; rises to 10
lpips         LPIPS on AlexNet; falls to 0
dists         DISTS; falls to 0

A judge loads what it needs when it is made, and says then what is missing and how to get it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from benchmarks import butteraugli
from benchmarks.anchors import Pixels
from benchmarks.processes import installed
from benchmarks.similarity import ms_ssim, ssimulacra2

Judge = Callable[[Pixels, Pixels], float]
"""Takes the original first; both uint8 RGB (H, W, 3)."""


# torch comes with the first judge that needs it: a worker's share of the cores must be set before.
def _butteraugli() -> Judge:
    butteraugli.program()
    return butteraugli.butteraugli


def _cvvdp() -> Judge:
    from benchmarks.colour_vdp import ColourVdp  # noqa: PLC0415

    return ColourVdp()


def _lpips() -> Judge:
    from benchmarks import deep_distances  # noqa: PLC0415

    return deep_distances.lpips()


def _dists() -> Judge:
    from benchmarks import deep_distances  # noqa: PLC0415

    return deep_distances.dists()


_MAKERS: dict[str, Callable[[], Judge]] = {
    "ms_ssim": lambda: ms_ssim,
    "ssimulacra2": lambda: ssimulacra2,
    "butteraugli": _butteraugli,
    "cvvdp": _cvvdp,
    "lpips": _lpips,
    "dists": _dists,
}
_DEFINITIONS: dict[str, Callable[[], str]] = {
    "ms_ssim": lambda: "pytorch-msssim, RGB, range 255",
    "ssimulacra2": lambda: "libjxl's definition, vqcodec.metrics.ssimulacra2",
    "butteraugli": lambda: f"3-norm, 80 nits, {butteraugli.version()}",
    "cvvdp": lambda: f"JOD, standard_4k, cvvdp {installed('cvvdp')}",
    "lpips": lambda: "version 0.1, AlexNet, vqcodec.metrics.perceptual",
    "dists": lambda: "vqcodec.metrics.perceptual",
}
NAMES = tuple(_MAKERS)


@functools.cache
def judge(name: str) -> Judge:
    """The judge of that name, loaded once in a process.

    Raises:
        ModelNotFound, ImportError, FileNotFoundError: it lacks something; the message says how to get it.
    """
    return _MAKERS[name]()


def definition(name: str) -> str:
    """What its figures are, and by which version: those of another definition are not comparable."""
    return _DEFINITIONS[name]()
