"""Reading and writing the single fields a .vqc file is made of.

A `Cursor` walks over the bytes and is the only place that reads them, so every field is bounds-checked in one
spot and every error names the field and its offset. Integers are unsigned and little-endian; lengths and
sizes are varints (LEB128: seven bits a byte, low bits first, top bit = more follow) in their shortest form,
because a second spelling of one number would give one picture two files.
"""

from __future__ import annotations

from vqcodec.errors import CorruptData, Truncated

VARINT_MAX = 2**32 - 1
VARINT_BYTES = 5


def where(name: str, offset: int, what: str) -> str:
    """Return the one-line message of all container errors: which field, at which offset, what is wrong."""
    return f"{name} at offset {offset}: {what}"


def encode_varint(value: int) -> bytes:
    """Return the shortest LEB128 form of `value`, 1 to 5 bytes.

    Raises:
        ValueError: value is outside 0..2**32 - 1.
    """
    if not 0 <= value <= VARINT_MAX:
        raise ValueError(f"a varint holds 0..{VARINT_MAX}, not {value}")
    out = bytearray()
    while value >= 0x80:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


class Cursor:
    """A position in a byte string; every read checks the end of the data first.

    Attributes:
        data: the whole byte string.
        offset: index of the next byte to read.
    """

    def __init__(self, data: memoryview, offset: int = 0) -> None:
        self.data = data
        self.offset = offset

    @property
    def left(self) -> int:
        """Bytes from here to the end of the data."""
        return len(self.data) - self.offset

    def require(self, size: int, name: str) -> None:
        """Check, without reading or allocating, that `size` more bytes exist.

        Raises:
            Truncated: they do not.
        """
        if size > self.left:
            what = f"needs {size} more bytes but the data ends after {self.left}"
            raise Truncated(where(name, self.offset, what))

    def take(self, size: int, name: str) -> memoryview:
        """Return the next `size` bytes as a view and step over them.

        Raises:
            Truncated: the data ends before.
        """
        self.require(size, name)
        start = self.offset
        self.offset += size
        return self.data[start : self.offset]

    def uint(self, size: int, name: str) -> int:
        """Read an unsigned little-endian integer of `size` bytes.

        Raises:
            Truncated: the data ends before.
        """
        return int.from_bytes(self.take(size, name), "little")

    def varint(self, name: str) -> int:
        """Read a varint, 0..2**32 - 1.

        Raises:
            CorruptData: longer than five bytes, above 2**32 - 1, or not in its shortest form.
            Truncated: the data ends inside it.
        """
        start = self.offset
        value = 0
        for index in range(VARINT_BYTES):
            byte = self.uint(1, name)
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise CorruptData(where(name, start, "the varint is not in its shortest form"))
                if value > VARINT_MAX:
                    raise CorruptData(where(name, start, f"the varint is above {VARINT_MAX}"))
                return value
        raise CorruptData(where(name, start, f"the varint is longer than {VARINT_BYTES} bytes"))
