"""Atomic writes and sources."""

from __future__ import annotations

import errno
import functools
import io
import os
import re
import stat
from pathlib import Path

import pytest

from vqcodec.batch.jobs import plan
from vqcodec.files import check_folder, check_writable, files_below, read_source, same_file, write_atomic


def test_sources(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    for source in (path, str(path), b"abc", bytearray(b"abc"), memoryview(b"abc"), io.BytesIO(b"abc")):
        assert read_source(source) == b"abc"
    with pytest.raises(TypeError):
        read_source(io.StringIO("abc"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        read_source(7)  # type: ignore[arg-type]


def test_files_below_a_folder_are_found_through_links_and_once(tmp_path: Path):
    for name in ("photos/a.png", "photos/deep/b.png", "elsewhere/more/c.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    photos = tmp_path / "photos"
    (photos / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (photos / "more").symlink_to(tmp_path / "elsewhere" / "more", target_is_directory=True)
    (photos / "deep" / "back").symlink_to(photos, target_is_directory=True)  # in a circle
    (photos / "lost").symlink_to(tmp_path / "nowhere")
    if hasattr(os, "mkfifo"):  # who opens it waits for ever
        os.mkfifo(photos / "pipe.png")
    found = sorted(str(path.relative_to(photos)) for path in files_below(photos))
    assert found == ["a.png", "deep/b.png", "linked/more/c.png", "lost"]
    assert not list(files_below(tmp_path / "nowhere"))


def test_of_plain_files_the_listing_is_enough(tmp_path: Path, monkeypatch):
    """On a network disk every further question about a file takes its time."""
    for name in ("a.png", "deep/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    asked, stat_of = [], Path.stat

    def counted(path: Path, **options):
        asked.append(path.name)
        return stat_of(path, **options)

    monkeypatch.setattr(Path, "stat", counted)
    assert sorted(path.name for path in files_below(tmp_path)) == ["a.png", "b.png"]
    jobs = plan([tmp_path], None, ".vqc", recursive=True, suffixes=(".png",))
    assert [job.source.name for job in jobs if job.source] == ["a.png", "b.png"]
    assert not {"a.png", "b.png"} & set(asked)


def test_write_creates_and_replaces(tmp_path: Path):
    path = tmp_path / "out"
    old = os.umask(0o027)
    try:
        write_atomic(path, b"one")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch, error):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def fail(*_args):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(error)):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path, monkeypatch):
    path, replace = tmp_path / "out", Path.replace

    def late(temporary: Path, target: Path) -> Path:
        assert temporary.parent == tmp_path
        monkeypatch.undo()
        write_atomic(path, b"second")
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", late)
    write_atomic(path, b"first")
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], b"first")


def test_links_are_followed_and_devices_kept(tmp_path: Path):
    target = tmp_path / "target"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    write_atomic(os.devnull, b"gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path, b"x")
    with pytest.raises(OSError, match="No such file"):
        write_atomic(tmp_path / "no" / "out", b"x")


def test_a_file_that_is_replaced_hands_on_its_permissions(tmp_path: Path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_atomic(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o646)
    write_atomic(path, b"newer")
    assert stat.S_IMODE(path.stat().st_mode) == 0o646


def test_permissions_and_time_of_another_file(tmp_path: Path):
    like = tmp_path / "source"
    like.write_bytes(b"")
    like.chmod(0o604)
    os.utime(like, (1_000_000_000, 1_100_000_000))
    for name in ("new", "old"):
        path = tmp_path / name
        if name == "old":
            path.write_bytes(b"")
        write_atomic(path, b"x", like.stat())
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o604, 1_100_000_000)


def test_errors_name_the_file_or_its_folder_and_come_before_the_work(tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "closed")
    cases = {"no/out": "no", "file/out": "file", "closed/out": "closed", "closed": "closed"}
    for target, named in cases.items():
        for attempt in (check_writable, functools.partial(write_atomic, data=b"x")):
            with pytest.raises(OSError, match=re.escape(str(tmp_path / named)) + "'$"):
                attempt(tmp_path / target)
    for folder, named in {"closed": "closed", "closed/new/deep": "closed", "file/new": "file"}.items():
        with pytest.raises(OSError, match=re.escape(str(tmp_path / named)) + "'$"):
            check_folder(tmp_path / folder)
    check_folder(tmp_path / "new" / "deep")
    check_writable(tmp_path / "new")
    check_writable(os.devnull)

    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, "full", "temporary")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match=r"full: .*/new'$"):
        write_atomic(tmp_path / "new", b"x")


def test_a_name_in_a_folder_that_was_removed(tmp_path: Path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError, match=r"'new'$"):
        write_atomic("new", b"x")


def test_same_file(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"")
    os.link(path, tmp_path / "b")
    assert same_file(path, tmp_path / "b")
    assert not same_file(path, tmp_path / "c")


def test_a_link_to_itself_is_an_error_of_the_system(tmp_path: Path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    error: OSError | None = None
    try:
        write_atomic(loop, b"new")
    except OSError as raised:  # newer versions of Python replace the link
        error = raised
    assert error is None or (error.errno, error.filename) == (errno.ELOOP, str(loop))
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full_is_named():
    with pytest.raises(OSError, match=re.escape("'/dev/full'")):
        write_atomic("/dev/full", b"new")
