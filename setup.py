"""The C extensions; everything else about the package is in pyproject.toml.

They are optional: where they cannot be compiled, the package is installed without them, and numpy does their
work.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLAGS = [
    "-std=c11",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
]
# A fused multiply-add rounds once where the format asks for twice: pixels would depend on the machine.
FLAGS.append("-ffp-contract=off")
SHARED = [
    "arrays",
    "isa",
    "pool",
    "conv",
    "conv_portable",
    "conv_avx2",
    "conv_avxvnni",
    "conv_avx512vnni",
    "conv_amx",
    "conv_neon",
]
MODULES = {
    "_kernels": [
        *("kernels_module", "kernels_maps", "kernels_picture", "kernels_restore", "kernels_layers"),
        *("held", "conv_layer", "block", "convolve", "mend", "picture", "quantise", "restore"),
        *("rows", "rows_portable", "rows_avx2", "rows_avx512"),
    ],
    "_entropy": [
        *("entropy_module", "entropy_tables", "entropy_coders", "entropy_layers", "entropy_prior"),
        *("entropy_settle", "entropy_search", "views", "tables", "order", "certain"),
        *(
            "segments",
            "range_coder",
            "layer",
            "layer_run",
            "prior",
            "prior_step",
            "settle",
            "search",
            "offsets",
        ),
    ],
}


class BuildWithFlags(build_ext):
    """Adds flags for gcc and clang; other compilers get none, and may fail."""

    def build_extension(self, ext: Extension) -> None:
        """Compile one extension; VQCODEC_CFLAGS is for developers: -Werror, sanitizers."""
        if self.compiler.compiler_type in ("unix", "mingw32"):
            more = os.environ.get("VQCODEC_CFLAGS", "").split()
            ext.extra_compile_args = [*FLAGS, *more]
            ext.extra_link_args = (
                ["-pthread", "-lm", *more] if self.compiler.compiler_type == "unix" else more
            )
        super().build_extension(ext)


setup(
    ext_modules=[
        Extension(
            f"vqcodec.native.{name}",
            [f"vqcodec/native/{file}.c" for file in (*own, *SHARED)],
            depends=sorted(str(path) for path in Path("vqcodec/native").glob("*.h")),
            optional=True,
        )
        for name, own in MODULES.items()
    ],
    cmdclass={"build_ext": BuildWithFlags},
)
