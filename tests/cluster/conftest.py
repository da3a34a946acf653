"""Work without a codec, for the parts around it."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vqcodec.errors import UnsupportedImage
from vqcodec.types import ImageInfo


def turn_round(data: bytes) -> tuple[bytes, ImageInfo]:
    """Bytes from last to first, in place of a codec; some of them are no pictures, or worse."""
    if data == b"bad":
        raise UnsupportedImage("no picture")
    if data == b"bug":
        raise TypeError("a bug")
    if data == b"deadly":
        os._exit(9)
    return data[::-1], ImageInfo(4, 2, "RGB", 50.0, len(data), "0123456789abcdef", level=120)


@pytest.fixture
def tar(tmp_path: Path) -> Callable[[str, dict[str, bytes]], Path]:
    """Writes a tar file of these members."""

    def write(name: str, members: dict[str, bytes]) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w") as file:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture
def small_vqc() -> bytes:
    """A .vqc file."""
    return (Path(__file__).parents[1] / "golden/dot.vqc").read_bytes()


@pytest.fixture(scope="session")
def s3() -> Iterator[Callable[[str], str]]:
    """A server that speaks S3, on this machine: from a bucket's name to a URI of that bucket, made."""
    server_module = pytest.importorskip("moto.server", reason="moto[server] is missing, of the extra dev")
    fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is missing, of the extra vqcodec[ray]")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()

    def bucket(name: str) -> str:
        options = f"endpoint_override={host}:{port}&scheme=http&allow_bucket_creation=true&region=us-east-1"
        uri = f"s3://key:secret@{name}?{options}"
        filesystem, path = fs.FileSystem.from_uri(uri)
        filesystem.create_dir(path)
        return f"s3://key:secret@{name}/{{}}?{options}"

    try:
        yield bucket
    finally:
        server.stop()


@pytest.fixture(scope="session")
def gs() -> Iterator[str]:
    """A server that speaks Google Cloud Storage, on this machine: a URI in its bucket, with {}."""
    emulator = pytest.importorskip(
        "gcp_storage_emulator.server", reason="gcp-storage-emulator is missing, of the extra dev"
    )
    pytest.importorskip("pyarrow.fs", reason="pyarrow is missing, of the extra vqcodec[ray]")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket"):
        yield f"gs://anonymous@bucket/{{}}?endpoint_override=127.0.0.1:{port}&scheme=http"
