"""Model names -> weight files, and what a weight file says about itself. Never imports torch.

A model is one safetensors file. Its name is the file's stem; names are looked up in the folders of
VQCODEC_MODELS (separated like PATH), in the user's own, then among the package's weights. Only the JSON
header is read here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vqcodec.errors import ModelNotFound
from vqcodec.files import data_home

SEARCH_PATH = "VQCODEC_MODELS"
DEFAULT_MODEL = "default"
SUFFIX = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_HEADER_MAX = 100 * 2**20
"""The safetensors format's own bound on its header, in bytes."""
_KEPT = 64
"""Descriptions of models that are kept."""


@dataclass(frozen=True)
class ModelInfo:
    """One installed model. The ids are 16 hex digits, or empty if the file does not state them."""

    name: str
    path: Path
    file_bytes: int
    bitstream_id: str
    decoder_id: str
    metadata: dict[str, str] = field(default_factory=dict)


def user_folder() -> Path:
    """Where models are installed for this user: `vqcodec/models` in XDG_DATA_HOME, or in ~/.local/share.

    Raises:
        OSError: the user has no home.
    """
    return data_home() / "vqcodec" / "models"


def install_path(name: str) -> Path:
    """Where a model called `name` is installed for this user; its folder need not exist.

    Raises:
        ValueError: -m would take the name for an option or a path, or a file could not carry it.
        OSError: the user has no home.
    """
    if not _NAME.fullmatch(name) or name.endswith(SUFFIX):
        raise ValueError(f"{name!r} cannot be a model's name: up to 64 letters, digits, '.', '_' and '-' can")
    return user_folder() / (name + SUFFIX)


def model_folders() -> list[Path]:
    """Folders searched for models, first match wins; those not there or closed are included."""
    folders = [Path(entry) for entry in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if entry]
    with contextlib.suppress(OSError):  # who has no home has the package's models
        folders.append(user_folder())
    return [*folders, Path(__file__).parent]


def find_model(model: str | os.PathLike[str] = DEFAULT_MODEL) -> Path:
    """Resolve a model's name, or the path of a weight file, to a path.

    Text counts as a path when it ends in .safetensors or holds a directory separator, otherwise as a name.

    Raises:
        ModelNotFound: there is no such file, or no model of that name on the search path.
    """
    text = os.fspath(model)
    if not isinstance(model, str) or text.endswith(SUFFIX) or "/" in text or os.sep in text:
        if Path(text).is_file():
            return Path(text)
        raise ModelNotFound(f"no weight file at {text}")
    for folder in model_folders():
        path = folder / (text + SUFFIX)
        if os.path.isfile(path):  # noqa: PTH113  pathlib's fails where a folder is closed
            return path
    if Path(text).is_file():
        raise ModelNotFound(f"{text} is no weight file: those end in {SUFFIX}")
    names = ", ".join(info.name for info in list_models()) or "none"
    raise ModelNotFound(f"no model named {text!r}; installed: {names}")


def describe_model(path: str | os.PathLike[str]) -> ModelInfo:
    """Read name, fingerprints and notes from a weight file's header.

    Raises:
        ModelNotFound: the file cannot be read, or is not a safetensors file.
    """
    path = Path(path)
    try:
        now = path.stat()
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error.strerror or error}") from error
    info = _described(path, now.st_size, (now.st_mtime_ns, now.st_ino))
    return replace(info, metadata=dict(info.metadata))


@functools.lru_cache(maxsize=_KEPT)
def _described(path: Path, size: int, state: tuple[int, int]) -> ModelInfo:
    """The same, once for each state (time of change, inode) of a file: its header takes milliseconds."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_HEADER_MAX, size - 8):
                raise ModelNotFound(f"{path} is not a safetensors file")
            header: Any = json.loads(file.read(length))
    except OSError as error:
        raise ModelNotFound(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelNotFound(f"{path} is not a safetensors file") from error
    notes = header.get("__metadata__") if isinstance(header, dict) else None
    metadata = {str(key): str(value) for key, value in notes.items()} if isinstance(notes, dict) else {}
    return ModelInfo(
        name=path.stem,
        path=path,
        file_bytes=size,
        bitstream_id=metadata.get("bitstream_id", ""),
        decoder_id=metadata.get("decoder_id", ""),
        metadata=metadata,
    )


def list_models() -> list[ModelInfo]:
    """All models on the search path, in its order; unreadable files and shadowed names are left out."""
    found: dict[str, ModelInfo] = {}
    for folder in model_folders():
        try:
            paths = sorted(folder.glob("*" + SUFFIX))
        except OSError:
            continue
        for path in paths:
            if path.stem in found:
                continue
            try:
                found[path.stem] = describe_model(path)
            except ModelNotFound:
                continue
    return list(found.values())


def find_by_id(bitstream_id: bytes) -> ModelInfo | None:
    """The first installed model that decodes files with this `bitstream_id`, or None."""
    wanted = bitstream_id.hex()
    return next((info for info in list_models() if info.bitstream_id == wanted), None)
