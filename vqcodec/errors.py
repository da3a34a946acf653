"""Every error a user of vqcodec can meet, as one tree.

VQCodecError
|-- FormatError                the bytes are not a usable .vqc file
|   |-- CorruptData            damaged: checksum, structure or entropy decoding does not hold
|   |-- Truncated              the file ends before its own end
|   |-- UnsupportedVersion     valid, but needs a newer decoder (version, critical flag or chunk)
|   `-- LimitExceeded          announces more pixels, tiles or metadata than the limits allow
|-- TargetTooSmall             even the lowest quality needs more bytes than asked for
|-- TargetTooHigh              even the highest quality falls short of the PSNR asked for
|-- UnsuitableOption           not for this picture: a region outside of it, tiles too small for it
|-- UnsupportedImage           an input picture that is refused, or cannot be read
`-- ModelError
    |-- ModelNotFound          no weights of that name or at that path, or unreadable ones
    `-- ModelMismatch          the file was written with other codebooks or tables
"""

from __future__ import annotations


class VQCodecError(Exception):
    """Base of all errors raised on purpose by vqcodec; `str(error)` is one line for people."""


class FormatError(VQCodecError):
    """The data is not a valid or supported .vqc file."""


class CorruptData(FormatError):
    """A checksum, a structural rule or the entropy decoder says the data is damaged."""


class Truncated(FormatError):
    """The data ends early."""


class UnsupportedVersion(FormatError):
    """The file needs a decoder that knows more than this one."""


class LimitExceeded(FormatError):
    """The file announces more than the configured limits allow."""


class TargetTooSmall(VQCodecError):
    """The smallest file this picture can become is larger than the size asked for."""


class TargetTooHigh(VQCodecError):
    """The best file this picture can become falls short of the PSNR asked for."""


class UnsuitableOption(VQCodecError, ValueError):
    """An option that is valid, but not for this picture: a region outside of it, too many tiles."""


class UnsupportedImage(VQCodecError):
    """The input picture cannot be read or is of a kind that is refused."""


class ModelError(VQCodecError):
    """Something is wrong with the model weights."""


class ModelNotFound(ModelError):
    """No such model, or its file cannot be read."""


class ModelMismatch(ModelError):
    """The file was written with another model's codebooks and tables."""
