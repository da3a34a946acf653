"""What a worker makes of its units: files, shards, what is there already, and what a dead worker left."""

from __future__ import annotations

import errno
import io
import os
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing, of the extra vqcodec[ray]")

import pyarrow as pa
import pyarrow.parquet as pq

from tests.cluster.conftest import turn_round
from vqcodec.cluster.locations import locate
from vqcodec.cluster.task import Task
from vqcodec.cluster.units import Picture, Unit
from vqcodec.cluster.worker import Worker
from vqcodec.errors import CorruptData, UnsupportedImage
from vqcodec.shards import samples

HERE = locate([])[0]


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    """A worker limits the threads of its process, which here is ours."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


@pytest.fixture
def task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    started = HERE.now(str(tmp_path / "out"), "run-")
    return Task(turn_round, HERE, HERE, "run", started, inputs=(".png", ".jpg"))


def later(task: Task) -> Task:
    """A run that begins when all that is there is from before."""
    time.sleep(0.02)  # file systems' clocks tick by milliseconds
    return replace(task, started=HERE.now(str(Path.cwd()), "run-"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def unit(folder: Path, **files: bytes) -> Unit:
    pictures = []
    for name, data in files.items():
        (folder / f"{name}.png").write_bytes(data)
        pictures.append(Picture(str(folder / f"{name}.png"), str(folder / "out" / f"{name}.vqc"), len(data)))
    return Unit(5, tuple(pictures))


def test_files_one_by_one_and_a_failure_fails_alone(task, tmp_path):
    work = unit(tmp_path, a=b"abc", b=b"bad", c=b"xyz")
    missing = Picture(str(tmp_path / "none.png"), str(tmp_path / "out/none.vqc"))
    planned = Picture("d.png", "d.vqc", problem=FileExistsError(errno.EEXIST, "would become another"))
    results = Worker(task).do(replace(work, pictures=(*work.pictures, missing, planned)))
    assert [type(result.error) for result in results] == [
        *(type(None), UnsupportedImage, type(None)),
        *(FileNotFoundError, FileExistsError),
    ]
    assert (tmp_path / "out/a.vqc").read_bytes() == b"cba"
    assert names(tmp_path / "out") == ["a.vqc", "c.vqc"]
    assert results[0].info is not None
    assert results[0].info.seconds is not None


def test_outputs_that_were_there_before(task, tmp_path):
    work = unit(tmp_path, a=b"abc")
    old = tmp_path / "out/a.vqc"
    old.write_bytes(b"old")
    task = later(task)
    (result,) = Worker(task).do(work)
    assert isinstance(result.error, FileExistsError)
    assert Worker(replace(task, skip_existing=True)).do(work)[0].skipped
    assert old.read_bytes() == b"old"
    (result,) = Worker(replace(task, overwrite=True)).do(work)
    assert result.info is not None
    assert old.read_bytes() == b"cba"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_dead_worker_has_finished_is_not_done_again(task, tmp_path, overwrite, small_vqc):
    work = unit(tmp_path, a=b"abc")
    (tmp_path / "out/a.vqc").write_bytes(small_vqc)
    (result,) = Worker(replace(task, overwrite=overwrite)).do(work, again=True)
    assert result.error is None
    assert result.info is not None
    assert result.info.file_bytes == len(small_vqc)
    assert (tmp_path / "out/a.vqc").read_bytes() == small_vqc


def test_times_of_sources_can_be_kept_and_what_is_finished_still_counts(task, tmp_path, small_vqc):
    work = unit(tmp_path, a=small_vqc[::-1])
    os.utime(tmp_path / "a.png", ns=(0, 10**18))
    worker = Worker(replace(task, preserve=True))
    assert [worker.do(work, again=again)[0].error for again in (False, True)] == [None, None]
    assert (tmp_path / "out/a.vqc").stat().st_mtime_ns == 10**18


def test_what_a_dead_worker_left_half_written_is_removed(task, tmp_path):
    work = unit(tmp_path, a=b"abc")
    mine, other = (tmp_path / f"out/.run-{number}-0123.vqcodec.tmp" for number in (5, 50))
    for path in (mine, other):
        path.write_bytes(b"half")
    Worker(task).do(work)
    assert mine.exists()
    Worker(replace(task, overwrite=True)).do(work, again=True)
    assert not mine.exists()
    assert other.exists()


def test_a_programming_error_is_raised(task, tmp_path):
    with pytest.raises(TypeError, match="a bug"):
        Worker(task).do(unit(tmp_path, a=b"bug"))


def test_a_tar_shard_to_a_tar_shard(task, tar, tmp_path):
    shard = tar("in.tar", {"x/1.png": b"one", "x/1.cls": b"7", "x/2.png": b"bad", "x/3.txt": b"alone"})
    output = tmp_path / "out/in.tar"
    work = Unit(1, shard=str(shard), output=str(output))
    results = Worker(replace(task, layout="tar")).do(work)
    assert [(str(result.source), type(result.error)) for result in results] == [
        (f"{shard}#x/1", type(None)),
        (f"{shard}#x/2", UnsupportedImage),
        (f"{shard}#x/3", UnsupportedImage),
    ]
    with output.open("rb") as file:
        assert [(sample.key, sample.parts) for sample in samples(file)] == [
            ("x/1", {"vqc": b"eno", "cls": b"7"})
        ]
    before = output.read_bytes()
    task = later(task)
    assert Worker(replace(task, layout="tar", skip_existing=True)).do(work)[0].skipped
    Worker(replace(task, layout="tar", overwrite=True)).do(work)
    assert output.read_bytes() == before


def test_a_cut_shard_fails_whole_and_writes_nothing(task, tar, tmp_path):
    shard = tar("in.tar", {f"{number}.png": b"one" * 400 for number in range(9)})
    shard.write_bytes(shard.read_bytes()[:5000])
    results = Worker(replace(task, layout="tar")).do(
        Unit(1, shard=str(shard), output=str(tmp_path / "out/in.tar"))
    )
    assert [type(result.error) for result in results] == [CorruptData]
    assert names(tmp_path / "out") == []


def test_a_shard_to_files_stays_in_its_folder(task, tar, tmp_path):
    shard = tar("in.tar", {"a/1.png": b"one", "../../evil.png": b"two", "2.png": b"three"})
    results = Worker(task).do(Unit(1, shard=str(shard), output=str(tmp_path / "out/in")))
    assert [type(result.error) for result in results] == [type(None), UnsupportedImage, type(None)]
    assert (tmp_path / "out/in/a/1.vqc").read_bytes() == b"eno"
    assert not (tmp_path / "evil.vqc").exists()


def test_a_table_keeps_its_rows_and_columns(task, tmp_path):
    path = tmp_path / "in.parquet"
    rows = [
        {"image": {"bytes": data, "path": f"{n}.png"}, "label": n} for n, data in enumerate([b"ab", b"bad"])
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    output = tmp_path / "out/in.parquet"
    results = Worker(replace(task, layout="parquet")).do(Unit(1, shard=str(path), output=str(output)))
    assert [type(result.error) for result in results] == [type(None), UnsupportedImage]
    assert pq.read_table(output).to_pylist() == [
        {"image": {"bytes": b"ba", "path": "0.vqc"}, "label": 0},
        {"image": {"bytes": None, "path": "1.vqc"}, "label": 1},
    ]


def test_a_table_in_memory_to_a_tar_shard(task, tmp_path):
    table = pa.table({"__key__": ["k"], "jpg": [b"abc"], "words": ["a b"]})
    output = tmp_path / "out/000000.tar"
    (result,) = Worker(replace(task, layout="tar")).do(Unit(0, table=table, output=str(output)))
    assert result.error is None
    with output.open("rb") as file:
        assert [sample.parts for sample in samples(file)] == [{"vqc": b"cba", "json": b'{"words": "a b"}'}]


def test_files_to_a_parquet_shard_whose_first_rows_all_fail(task, tmp_path):
    work = unit(tmp_path, a=b"bad", b=b"abc")
    inside = tuple(replace(picture, output=Path(picture.source).stem) for picture in work.pictures)
    output = tmp_path / "out/0.parquet"
    Worker(replace(task, layout="parquet")).do(Unit(0, inside, output=str(output)))
    assert pq.read_table(output).to_pylist() == [
        {"__key__": "a", "vqc": None},
        {"__key__": "b", "vqc": b"cba"},
    ]


@pytest.mark.parametrize("layout", ["tar", "parquet"])
def test_a_file_that_is_no_shard_fails(task, tmp_path, layout):
    path = tmp_path / f"in.{layout}"
    path.write_bytes(b"nothing" * 100)
    (result,) = Worker(replace(task, layout=layout)).do(
        Unit(0, shard=str(path), output=str(tmp_path / f"out/in.{layout}"))
    )
    assert isinstance(result.error, (UnsupportedImage, CorruptData))
    assert names(tmp_path / "out") == []


def test_rows_without_names_are_numbered_through(task, tmp_path):
    pq.write_table(pa.table({"image": [b"%d" % number for number in range(600)]}), tmp_path / "in.parquet")
    work = Unit(1, shard=str(tmp_path / "in.parquet"), output=str(tmp_path / "out/in"))
    results = Worker(task).do(work)
    assert all(result.info is not None for result in results)
    assert len(names(tmp_path / "out/in")) == len(results) == 600
    assert (tmp_path / "out/in/000000345.vqc").read_bytes() == b"543"


def test_of_samples_with_one_name_the_first_becomes_the_file(task, tar, tmp_path):
    shard = tar("in.tar", {"a.png": b"one", "b.png": b"two", "a.jpg": b"three"})
    results = Worker(task).do(Unit(1, shard=str(shard), output=str(tmp_path / "out/in")))
    assert [result.error is None for result in results] == [True, True, False]
    assert "would become" in str(results[2].error)
    assert (tmp_path / "out/in/a.vqc").read_bytes() == b"eno"


def test_names_with_dots_are_samples_of_their_own_in_a_tar_shard(task, tmp_path):
    rows = [{"bytes": b"one", "path": "a.b/x.1.png"}, {"bytes": b"two", "path": "a.b/x.2.png"}]
    work = Unit(0, table=pa.table({"image": rows}), output=str(tmp_path / "out/0.tar"))
    results = Worker(replace(task, layout="tar")).do(work)
    assert [str(result.output).rpartition("#")[2] for result in results] == ["a.b/x_1", "a.b/x_2"]
    with (tmp_path / "out/0.tar").open("rb") as file:
        found = [(sample.key, sample.parts) for sample in samples(file)]
    assert found == [("a.b/x_1", {"vqc": b"eno"}), ("a.b/x_2", {"vqc": b"owt"})]


def test_rows_whose_names_are_only_slashes_go_by_their_number(task, tmp_path):
    rows = [{"bytes": b"one", "path": "/"}, {"bytes": b"two", "path": "a.png"}]
    results = Worker(task).do(Unit(0, table=pa.table({"image": rows}), output=str(tmp_path / "out")))
    assert [result.error for result in results] == [None, None]
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["000000000.vqc", "a.vqc"]


def test_what_stands_beside_later_samples_of_a_tar_shard_stays_in_parquet(task, tar, tmp_path):
    shard = tar("in.tar", {"a.png": b"one", "b.png": b"two", "b.cls": b"7"})
    work = Unit(0, shard=str(shard), output=str(tmp_path / "out/in.parquet"))
    Worker(replace(task, layout="parquet")).do(work)
    assert pq.read_table(tmp_path / "out/in.parquet").to_pylist() == [
        {"__key__": "a", "vqc": b"eno", "cls": None},
        {"__key__": "b", "vqc": b"owt", "cls": b"7"},
    ]


def test_links_in_a_tar_shard_fail_by_themselves(task, tmp_path):
    with tarfile.open(tmp_path / "in.tar", "w") as shard:
        for name, kind in (
            ("a.png", tarfile.REGTYPE),
            ("b.png", tarfile.LNKTYPE),
            ("b.cls", tarfile.SYMTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, "a.png", 3 * (kind == tarfile.REGTYPE)
            shard.addfile(member, io.BytesIO(b"one"))
    work = Unit(1, shard=str(tmp_path / "in.tar"), output=str(tmp_path / "out/in.tar"))
    done, failed = Worker(replace(task, layout="tar")).do(work)
    assert done.error is None
    assert str(failed.source).endswith("in.tar#b")
    assert "b.png is a link" in str(failed.error)
