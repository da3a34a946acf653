"""From sources to units: names of outputs, shards that tell what is in them, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing, of the extra vqcodec[ray]")

import pyarrow as pa

from vqcodec.cluster import datasets
from vqcodec.cluster.planning import Plan, plan_dataset

SUFFIXES = (".png", ".jpg")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("b.png", "sub/a.jpg", "sub/a.png", "sub/x.y.png", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def facts(plan: Plan) -> list[tuple[str, int, bool]]:
    return sorted((str(picture.output), picture.size, picture.problem is None) for picture in plan.pictures)


def test_a_folder_is_mirrored(photos):
    left_out: Counter[str] = Counter()
    plan = plan_dataset(photos, "/out", ".vqc", SUFFIXES, left_out=left_out)
    found = {Path(picture.source).name: (picture.output, picture.problem) for picture in plan.pictures}
    assert {name: output for name, (output, problem) in found.items() if problem is None} == {
        "b.png": "/out/b.vqc",
        "a.jpg": "/out/sub/a.vqc",
        "x.y.png": "/out/sub/x.y.vqc",
    }
    assert isinstance(found["a.png"][1], FileExistsError)
    assert left_out == {".txt": 1}
    assert [picture.source for picture in plan.cut(1)[0].pictures] == [str(photos / "sub/x.y.png")]


def test_the_same_in_an_object_store(photos, s3):
    bucket = s3("planning-test")
    from vqcodec.cluster.locations import locate  # noqa: PLC0415  beside what it is for

    storage, (root,) = locate([bucket.format("photos")])
    for path in photos.rglob("*.*"):
        storage.write(f"{root}/{path.relative_to(photos)}", path.read_bytes())
    here = plan_dataset(photos, "/out", ".vqc", SUFFIXES)
    there = plan_dataset(bucket.format("photos"), "/out", ".vqc", SUFFIXES)
    assert sorted(
        (picture.output, picture.size, picture.problem is None) for picture in there.pictures
    ) == sorted((picture.output, picture.size, picture.problem is None) for picture in here.pictures)


def test_shards_of_files_are_named_after_what_is_in_them(photos):
    plan = plan_dataset(photos, "/out", ".vqc", SUFFIXES, layout="tar", per_shard=2)
    again = plan_dataset(photos, "/out", ".vqc", SUFFIXES, layout="tar", per_shard=2)
    assert [unit.output for unit in plan.units] == [unit.output for unit in again.units]
    assert [[picture.output for picture in unit.pictures] for unit in plan.units] == [
        ["b", "sub/a"],
        ["sub/a", "sub/x_y"],
    ]
    (photos / "a_new.png").write_bytes(b"new")
    other = plan_dataset(photos, "/out", ".vqc", SUFFIXES, layout="tar", per_shard=2)
    assert not {unit.output for unit in plan.units} & {unit.output for unit in other.units}


def test_shards_keep_their_names_and_the_largest_comes_first(tar, tmp_path):
    for name, size in (("a.tar", 10), ("b.tar", 90_000)):
        tar(name, {"1.png": b"x" * size})
    pattern = f"{tmp_path}/*.tar"
    plan = plan_dataset(pattern, "/out", ".vqc", SUFFIXES)
    assert [(Path(unit.shard).name, unit.output) for unit in plan.units] == [
        ("b.tar", "/out/b.tar"),
        ("a.tar", "/out/a.tar"),
    ]
    assert plan.layout == "tar"
    files = plan_dataset(pattern, "/out", ".vqc", SUFFIXES, layout="files")
    assert [unit.output for unit in files.units] == ["/out/b", "/out/a"]


def test_no_destination_is_the_folder_at_hand(tar):
    plan = plan_dataset(tar("a.tar", {"1.png": b"x"}), "", ".vqc", SUFFIXES)
    assert [unit.output for unit in plan.units] == ["./a.tar"]
    assert plan.folder == "."


def test_a_suffix_may_lack_its_dot(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "convert", lambda plan, *_: plan)
    plan: Any = datasets.decompress_dataset(tmp_path / "a.vqc", "/out", suffix="png")
    assert (plan.suffix, plan.pictures[0].output) == (".png", "/out/a.png")


def test_a_table_is_cut_in_rows(tmp_path):
    table = pa.table({"image": [b"a", b"b", b"c"]})
    plan = plan_dataset(table, tmp_path, ".vqc", SUFFIXES, per_shard=2)
    assert [(unit.table.num_rows, Path(unit.output).name) for unit in plan.units] == [
        (2, "000000.parquet"),
        (1, "000001.parquet"),
    ]


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        (["a.tar", "b.png"], {}, "cannot be mixed"),
        (["a.png"], {"layout": "zip"}, "layout must be"),
        (["a.png"], {"per_shard": 0}, "per_shard must be"),
        (["x/a.tar", "y/a.tar"], {}, "would become /out/a.tar"),
    ],
)
def test_what_makes_no_sense_is_refused(source, options, error):
    with pytest.raises(ValueError, match=error):
        plan_dataset(source, "/out", ".vqc", SUFFIXES, **options)


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no files ending in \.png, \.jpg"):
        plan_dataset(tmp_path, "/out", ".vqc", SUFFIXES)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "0.tar").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"shards in it are '.*/shards/\*\.tar'"):
        plan_dataset(tmp_path / "shards", "/out", ".vqc", SUFFIXES)
    with pytest.raises(FileNotFoundError, match="no such files"):
        plan_dataset(f"{tmp_path}/*.tar", "/out", ".vqc", SUFFIXES)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="no such files"):
        plan_dataset([f"{tmp_path}/*.png", f"{tmp_path}/typo*"], "/out", ".vqc", SUFFIXES)
    with pytest.raises(FileNotFoundError, match="no files are named"):
        plan_dataset([], "/out", ".vqc", SUFFIXES)


def test_brackets_in_names_that_are_there_are_no_patterns(tmp_path):
    folder = tmp_path / "photos [2020]"
    folder.mkdir()
    for path in (folder / "a.png", tmp_path / "b[1].png", tmp_path / "b1.png"):
        path.write_bytes(b"x")
    assert plan_dataset(folder, "/out", ".vqc", SUFFIXES).pictures[0].output == "/out/a.vqc"
    (one,) = plan_dataset(tmp_path / "b[1].png", "/out", ".vqc", SUFFIXES).pictures
    assert one.output == "/out/b[1].vqc"
    (other,) = plan_dataset(tmp_path / "b[0-9].png", "/out", ".vqc", SUFFIXES).pictures
    assert other.output == "/out/b1.vqc"
