"""The .vqc container, specified in FORMAT.md beside this file. Never imports torch."""

from vqcodec.bitstream.container import MAGIC, Container, Probe, Written, compose, parse, probe, write
from vqcodec.bitstream.header import tile_count, tile_grid
from vqcodec.bitstream.payloads import pack_alpha, pack_metadata, unpack_alpha, unpack_metadata

__all__ = [
    "MAGIC",
    "Container",
    "Probe",
    "Written",
    "compose",
    "pack_alpha",
    "pack_metadata",
    "parse",
    "probe",
    "tile_count",
    "tile_grid",
    "unpack_alpha",
    "unpack_metadata",
    "write",
]
