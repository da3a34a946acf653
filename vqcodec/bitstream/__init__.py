"""The .vqc container, specified in FORMAT.md beside this file. Never imports torch."""

from vqcodec.bitstream.composing import Written, compose, write
from vqcodec.bitstream.container import Container, Probe, parse, probe
from vqcodec.bitstream.header import MAGIC, tile_count
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
    "unpack_alpha",
    "unpack_metadata",
    "write",
]
