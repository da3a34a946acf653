"""Files that know how much of them was read."""

from __future__ import annotations

import io


class Counting(io.BytesIO):
    """A file that knows how much was read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data
