"""The byte half of vqcodec: the .vqc container, specified in FORMAT.md beside this file. Never imports torch.

* fields: single fields - integers, varints, bounds
* header: the fixed header and its limits
* chunks: metadata, alpha and other chunks around the picture
* payloads: what is inside metadata and alpha chunks
* container: the whole file - write, parse, probe
* partial: the beginning of a file on disk
"""

from vqcodec.bitstream.container import MAGIC, Container, Probe, parse, probe, write
from vqcodec.bitstream.header import tile_count, tile_grid
from vqcodec.bitstream.payloads import pack_alpha, pack_metadata, unpack_alpha, unpack_metadata

__all__ = [
    "MAGIC",
    "Container",
    "Probe",
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
