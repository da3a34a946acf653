"""Convolutions and the elementwise steps around them, in C."""

def isa() -> str:
    """The instruction set in use: "portable", "avx2", "avxvnni" or "avx512vnni"."""

def choose_isa(name: str) -> str:
    """Use `name`, or the best below it that this CPU has, which is returned; ValueError for other names."""
