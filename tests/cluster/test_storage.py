"""Reading and writing here, on servers that speak S3 and GCS, and through fsspec: whole files or none."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing, of the extra vqcodec[ray]")

from pyarrow import fs

from vqcodec.cluster.finding import matching
from vqcodec.cluster.locations import locate
from vqcodec.cluster.storage import Storage


@pytest.fixture(params=["local", "s3", "gs", "memory"])
def place(request, tmp_path) -> tuple[Storage, str]:
    """A storage, and an empty folder in it."""
    if request.param == "local":
        uri = str(tmp_path)
    elif request.param == "s3":
        uri = request.getfixturevalue("s3")("storage-test").format(tmp_path.name)
    elif request.param == "gs":
        uri = request.getfixturevalue("gs").format(tmp_path.name)
    else:
        pytest.importorskip("fsspec", reason="fsspec is missing, of the extra vqcodec[ray]")
        uri = f"memory://{tmp_path.name}"
    storage, (path,) = locate([uri])
    return storage, path


def test_what_is_written_is_read(place):
    storage, folder = place
    path = f"{folder}/a/b.bin"
    assert storage.modified([path]) == [None]
    storage.make_parents(path)
    started = storage.now(folder, "run-")
    storage.write(path, b"one")
    storage.write(path, b"two", tag="run-")
    assert storage.read(path) == b"two"
    with storage.writing(f"{folder}/a/c.bin", "run-") as file:
        file.write(b"three")
        file.seek(0)
    with storage.open(f"{folder}/a/c.bin") as opened:
        assert (opened.read(2), opened.read()) == (b"th", b"ree")
    assert [(Path(name).name, size) for name, size in storage.files(folder)] == [("b.bin", 3), ("c.bin", 5)]
    (changed,) = storage.modified([path])
    if storage.scheme == "memory://":  # it tells no times: nothing is newer than a run
        assert (changed, started) == (0, sys.maxsize)
    else:
        assert changed is not None
        assert changed >= started


def test_a_block_that_fails_leaves_nothing(place):
    storage, folder = place
    storage.make_parents(f"{folder}/a.bin")
    with pytest.raises(ZeroDivisionError), storage.writing(f"{folder}/a.bin", "run-") as file:
        file.write(b"half" * (1 // len(b"")))
    assert storage.modified([f"{folder}/a.bin"]) == [None]
    if storage.local:
        assert list(Path(folder).iterdir()) == []


def test_a_small_file_is_one_request_to_s3(s3):
    storage, (path,) = locate([s3("request-test").format("a.bin")])
    storage.write(path, b"data")
    with storage.filesystem.open_input_stream(path) as stream:
        assert b"-" not in stream.metadata()["ETag"]  # as those of files in parts have


def test_what_is_missing_in_s3_costs_no_listing(s3, caplog):
    storage, (path,) = locate([s3("listing-test").format("a.bin")])
    caplog.set_level("INFO", "werkzeug")
    caplog.clear()
    assert storage.modified([path, ""]) == [None, None]
    assert [record.getMessage().count("HEAD") for record in caplog.records] == [1]


def test_a_missing_file_is_told_at_once(place):
    storage, folder = place
    with pytest.raises(FileNotFoundError):
        storage.read(f"{folder}/none")


def test_patterns_name_what_is_there(place):
    storage, folder = place
    for name in ("0.tar", "1.tar", "2.txt"):
        storage.make_parents(f"{folder}/{name}")
        storage.write(f"{folder}/{name}", b"data")
    assert [Path(path).name for path in matching(storage, f"{folder}/*.tar")] == ["0.tar", "1.tar"]
    assert matching(storage, f"{folder}/3.tar") == [f"{folder}/3.tar"]


def test_other_machines_are_asked_again(monkeypatch):
    monkeypatch.setattr("vqcodec.cluster.storage.time.sleep", lambda _: None)
    asked = []

    class Flaky(fs.FileSystemHandler):
        """Fails twice, then reads."""

        def open_input_stream(self, path):
            asked.append(path)
            if len(asked) < 3:
                raise OSError(errno.ECONNRESET, "reset")
            return fs.LocalFileSystem().open_input_stream(path)

        def get_type_name(self):
            return "flaky"

        def __getattr__(self, name):
            raise NotImplementedError(name)

    for name in Flaky.__abstractmethods__:
        setattr(Flaky, name, lambda self, *args: None)
    Flaky.__abstractmethods__ = frozenset()
    flaky = fs.PyFileSystem(Flaky())
    assert Storage(flaky, "flaky://", retries=2).read(__file__) == Path(__file__).read_bytes()
    asked.clear()
    with pytest.raises(OSError, match="reset"):
        Storage(flaky, "flaky://", retries=1).read(__file__)


def test_sources_in_two_storages_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one storage"):
        locate([str(tmp_path), "s3://bucket/a?region=us-east-1"])
    with pytest.raises(ValueError, match="nonsense://a"):
        locate(["nonsense://a"])


def test_a_file_system_can_be_given(tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is missing, of the extra vqcodec[ray]")
    storage, (path,) = locate(["/x/a.bin"], fsspec.filesystem("memory"))
    storage.make_parents(path)
    storage.write(path, b"data")
    assert fsspec.filesystem("memory").cat("/x/a.bin") == b"data"
