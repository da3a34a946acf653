"""Many files at once: planning outputs, going on after failures."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vqcodec
from vqcodec.batch.jobs import INPUT_SUFFIXES, LINKS, FileResult, Job, plan
from vqcodec.batch.run import run_jobs
from vqcodec.errors import UnsupportedImage
from vqcodec.types import ImageInfo


@pytest.fixture
def tree(tmp_path: Path, pixels) -> Path:
    """in/{a.png, b.txt, broken.jpg, sub/{c.JPG, a.png}}"""
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    image = Image.fromarray(pixels)
    image.save(root / "a.png")
    (root / "b.txt").write_text("text")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff garbage")
    image.save(root / "sub" / "c.JPG")
    image.save(root / "sub" / "a.png")
    return root


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_outputs_mirror_the_tree_and_a_bad_file_stops_nothing(codec, tree, tmp_path):
    seen: list[FileResult] = []
    report = vqcodec.compress_batch([tree], tmp_path / "out", codec=codec, quality=100, progress=seen.append)
    assert names(tmp_path / "out") == ["a.vqc", "sub/a.vqc", "sub/c.vqc"]
    assert seen == list(report.results)
    assert [str(result.source) for result in report.failed] == [str(tree / "broken.jpg")]
    assert isinstance(report.failed[0].error, UnsupportedImage)
    assert [result.info.quality for result in report.done if result.info] == [100.0] * 3

    back = vqcodec.decompress_batch([tmp_path / "out"], tmp_path / "back", codec=codec, suffix=".webp")
    assert not back.failed
    assert names(tmp_path / "back") == ["a.webp", "sub/a.webp", "sub/c.webp"]
    with Image.open(tree / "a.png") as original, Image.open(tmp_path / "back" / "a.webp") as decoded:
        assert np.array_equal(np.asarray(decoded), np.asarray(original))


def test_existing_outputs_fail_or_are_skipped_or_overwritten(codec, tree):
    vqcodec.compress_batch([tree / "a.png"], codec=codec)
    stamp = (tree / "a.vqc").read_bytes()
    failed = vqcodec.compress_batch([tree / "a.png"], codec=codec, quality=10)
    assert isinstance(failed.failed[0].error, FileExistsError)
    assert failed.failed[0].error.strerror == "exists already"  # what to do about it, each interface tells
    skipped = vqcodec.compress_batch([tree / "a.png"], codec=codec, quality=10, skip_existing=True)
    assert len(skipped.skipped) == 1
    assert (tree / "a.vqc").read_bytes() == stamp
    done = vqcodec.compress_batch([tree / "a.png"], codec=codec, quality=10, overwrite=True)
    assert len(done.done) == 1
    assert (tree / "a.vqc").read_bytes() != stamp


def test_on_error_raise_stops(codec, tree, tmp_path):
    with pytest.raises(UnsupportedImage):
        vqcodec.compress_batch([tree], tmp_path / "out", codec=codec, on_error="raise")
    assert names(tmp_path / "out") == ["a.vqc"]
    with pytest.raises(ValueError, match="on_error"):
        vqcodec.compress_batch([tree], tmp_path / "out", codec=codec, on_error="ignore")


def test_bad_options_are_not_a_failure_of_each_file(codec, tree, tmp_path):
    with pytest.raises(ValueError, match="quality"):
        vqcodec.compress_batch([tree], tmp_path / "out", codec=codec, quality=500)


def test_options_are_checked_also_where_no_file_is_left_to_be_coded(codec, tree):
    vqcodec.compress_batch([tree / "a.png"], codec=codec)
    with pytest.raises(TypeError, match="'nonsense'"):
        vqcodec.compress_batch([tree / "a.png"], codec=codec, nonsense=1)
    with pytest.raises(ValueError, match="quality"):
        vqcodec.compress_batch([], codec=codec, quality=500)


def test_decompressing_knows_its_options_where_no_file_is_left(codec, tree):
    vqcodec.compress_batch([tree / "a.png"], codec=codec)
    wrong: Any
    for name in ("reallism", "source"):
        wrong = {name: 1}
        with pytest.raises(TypeError, match=rf"^decompress\(\) got an unexpected keyword argument '{name}'$"):
            vqcodec.decompress_batch([tree / "a.vqc"], codec=codec, **wrong)
    allowed: Any = {"region": (0, 0, 4, 4), "preserve": True, "picture_format": "png", "skip_existing": True}
    assert len(vqcodec.decompress_batch([tree / "a.vqc"], codec=codec, **allowed).skipped) == 1


def test_missing_file_is_reported(codec, tmp_path):
    report = vqcodec.compress_batch([tmp_path / "none.png"], tmp_path / "out", codec=codec)
    error = report.failed[0].error
    assert isinstance(error, FileNotFoundError)
    assert error.filename == str(tmp_path / "none.png")  # and not the folder that was not made for it
    assert names(tmp_path) == []


def test_never_overwrites_its_own_source(codec, tree):
    (tree / "a.png").rename(tree / "a.vqc")
    report = vqcodec.compress_batch([tree / "a.vqc"], codec=codec, overwrite=True)
    assert [result.output for result in report.done] == [tree / "a.vqc.vqc"]
    link = tree / "linked.vqc"
    link.hardlink_to(tree / "a.vqc")
    (tree / "linked.png").hardlink_to(link)
    same = vqcodec.compress_batch([tree / "linked.png"], codec=codec, overwrite=True)
    assert isinstance(same.failed[0].error, FileExistsError)
    assert "own source" in str(same.failed[0].error)


def test_links_to_folders_are_not_followed(tree):
    (tree / "sub" / "again").symlink_to(tree, target_is_directory=True)
    (tree / "linked.png").symlink_to(tree / "a.png")
    jobs = plan([tree], None, ".vqc", recursive=True, suffixes=(".png",))
    found = [str(job.source.relative_to(tree)) for job in jobs if job.source]
    assert found == ["a.png", "linked.png", "sub/a.png"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory")])
def test_memory_that_one_file_lacks_fails_that_file_only(tmp_path, error):
    def work(job: Job) -> ImageInfo:
        if job.source == Path("b"):
            raise error
        return ImageInfo(4, 3, "RGB", 50.0, 6, "00" * 8)

    report = run_jobs([Job(Path(name), tmp_path / name) for name in "abc"], work)
    assert [str(result.source) for result in report.done] == ["a", "c"]
    assert [result.error for result in report.failed] == [error]


def test_strip_gps_reaches_every_file(codec, tmp_path, pixels):
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5)})
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif.tobytes())
    for strip in (False, True):
        vqcodec.compress_batch([tmp_path / "a.png"], codec=codec, strip_gps=strip, overwrite=True)
        found = codec.decompress(tmp_path / "a.vqc").getexif()
        assert found[0x010F] == "Acme"
        assert bool(found.get_ifd(0x8825)) != strip


def test_of_files_with_one_output_the_first_is_done_and_the_others_fail(codec, tree, tmp_path):
    (tree / "sub" / "c.png").write_bytes((tree / "a.png").read_bytes())
    report = vqcodec.compress_batch([tree], tmp_path / "out", codec=codec)
    assert names(tmp_path / "out") == ["a.vqc", "sub/a.vqc", "sub/c.vqc"]
    failed = {result.source: result.error for result in report.failed}
    assert set(failed) == {tree / "broken.jpg", tree / "sub" / "c.png"}
    output = tmp_path / "out" / "sub" / "c.vqc"
    assert f"would become {output}, as {tree / 'sub' / 'c.JPG'} does" in str(failed[tree / "sub" / "c.png"])
    flat = vqcodec.compress_batch([tree / "a.png", tree / "sub" / "a.png"], tmp_path / "flat", codec=codec)
    assert [result.source for result in flat.done] == [tree / "a.png"]
    assert isinstance(flat.failed[0].error, FileExistsError)


def test_a_file_named_twice_is_converted_once(codec, tree, tmp_path):
    again = tree / "sub" / ".." / "a.png"
    report = vqcodec.compress_batch([tree / "a.png", again, tree / "a.png"], codec=codec)
    assert [result.source for result in report.results] == [tree / "a.png"]


def test_a_folder_that_cannot_be_read_fails_alone(codec, tree, tmp_path, monkeypatch):
    scandir = os.scandir

    def closed(folder: Path) -> Iterator[os.DirEntry[str]]:
        if Path(folder).name == "sub":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    report = vqcodec.compress_batch([tree], tmp_path / "out", codec=codec)
    assert [result.source for result in report.done] == [tree / "a.png"]
    assert tree / "sub" in [result.source for result in report.failed]


def test_every_suffix_of_jpeg_is_found_and_replaced_and_others_are_counted(tree):
    for name in ("d.jfif", "e.JPE", "f.mpo", "g.heic", "h.vqc", ".hidden"):
        (tree / name).write_bytes(b"")
    (tree / "i.png").symlink_to(tree / "nowhere")
    (tree / "j.png").symlink_to(tree)
    left_out: Counter[str] = Counter()
    jobs = plan([tree], None, ".vqc", recursive=True, suffixes=INPUT_SUFFIXES, left_out=left_out)
    outputs = [job.output.name for job in jobs if job.output]
    assert outputs == ["a.vqc", "broken.vqc", "d.vqc", "e.vqc", "f.vqc", "i.vqc", "a.vqc", "c.vqc"]
    assert left_out == {".txt": 1, ".heic": 1, LINKS: 1}


def test_folders_fail_unless_recursive(codec, tree):
    report = vqcodec.compress_batch([tree, tree / "a.png"], codec=codec, recursive=False)
    assert isinstance(report.failed[0].error, IsADirectoryError)
    assert [result.source for result in report.done] == [tree / "a.png"]


@pytest.mark.parametrize("kind", [str, Path])
def test_one_path_alone_is_one_path(codec, tree, tmp_path, kind):
    """A text is no list of paths of a character each, of which "/" is a folder with all there is."""
    report = vqcodec.compress_batch(kind(tree / "sub"), kind(tmp_path / "out"), codec=codec)
    assert {result.source for result in report.results} == {*(tree / "sub").iterdir()}
    back = vqcodec.decompress_batch(kind(tmp_path / "out"), codec=codec)
    assert len(back.done) == len(report.done) > 0


def test_plan_names_the_outputs():
    def outputs(*paths: str, into: str | None = None) -> list[str]:
        jobs = plan(paths, into, ".vqc", recursive=False, suffixes=(".png", ".jpg"))
        return [str(job.output) for job in jobs]

    assert outputs("x/a.png", "b.JPG", "c", "photo.2024") == ["x/a.vqc", "b.vqc", "c.vqc", "photo.2024.vqc"]
    assert outputs("x/a.png", "/y/b.jpg", into="out") == ["out/a.vqc", "out/b.vqc"]
