"""Datasets on a small Ray cluster of this machine: the codec's bytes, whatever dies."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing, of the extra vqcodec[ray]")
pytest.importorskip("ray", reason="Ray is missing, the extra vqcodec[ray]")

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.cluster.conftest import turn_round
from tests.tiny import picture
from vqcodec.cluster import Setting, compress_dataset, decompress_dataset
from vqcodec.cluster.locations import locate
from vqcodec.cluster.planning import plan_dataset
from vqcodec.cluster.run import convert
from vqcodec.errors import UnsupportedImage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of all kinds
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray with room for two workers; what is called here finds it running."""
    import ray  # noqa: PLC0415  seconds

    # The checkout comes last: its package would hide an installed one with the C engine.
    paths = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])])
    before = dict(os.environ)
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_BACKEND_LOG_LEVEL="fatal", RAY_worker_niceness="0")
    # Inherited, and not Ray's `runtime_env`: with one, no worker process is started before it is asked for.
    os.environ["PYTHONPATH"] = paths
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=100 * 2**20,
    )
    os.environ.clear()
    os.environ.update(before)
    yield
    ray.shutdown()


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six pictures, two of them in a folder, and one that is none."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number in range(6):
        path = folder / ("sub" if number > 3 else "") / f"{number}.png"
        Image.fromarray(picture(64, 80 + number, seed=number)).save(path)
    (folder / "bad.png").write_bytes(b"nothing")
    return folder


def test_a_folder_there_and_back(cluster, photos, tmp_path, tiny_weights, tiny_codec):
    model = str(tiny_weights)
    compress = functools.partial(compress_dataset, photos, tmp_path / "coded", model=model, quality=70)
    report = compress(psnr=True)
    assert (report.done, report.skipped, len(report.failed)) == (6, 0, 1)
    assert isinstance(report.failed[0].error, UnsupportedImage)
    sources = sorted(path for path in photos.rglob("*.png") if path.name != "bad.png")
    coded = {path: tmp_path / "coded" / path.relative_to(photos).with_suffix(".vqc") for path in sources}
    for source, output in coded.items():
        assert output.read_bytes() == tiny_codec.compress(source, quality=70)

    rows = {row["path"]: row for row in pq.read_table(tmp_path / "coded/manifest.parquet").to_pylist()}
    assert set(rows) == {str(path) for path in photos.rglob("*.png")}
    row = rows[str(sources[0])]
    assert (row["status"], row["coder"], row["error"]) == ("ok", "networks", None)
    assert row["bytes"] == coded[sources[0]].stat().st_size
    assert row["bpp"] == pytest.approx(8 * row["bytes"] / (64 * 80))
    assert row["psnr"] > 10
    assert row["seconds"] > 0
    assert rows[str(photos / "bad.png")]["status"] == "failed"

    (photos / "bad.png").unlink()  # with nothing left to do no worker is started
    stamps = [path.stat().st_mtime_ns for path in coded.values()]
    again = compress(skip_existing=True, manifest=False, workers=1)
    assert (again.done, again.skipped, len(again.failed)) == (0, 6, 0)
    assert stamps == [path.stat().st_mtime_ns for path in coded.values()]

    back = decompress_dataset(tmp_path / "coded", tmp_path / "back", suffix=".ppm", model=model, workers=1)
    assert (back.done, len(back.failed)) == (6, 0)
    for source, output in coded.items():
        with Image.open(tmp_path / "back" / source.relative_to(photos).with_suffix(".ppm")) as image:
            assert np.array_equal(np.array(image), np.array(tiny_codec.decompress(output)))


def test_a_picture_that_kills_its_workers_fails_alone(cluster, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.png").write_bytes(b"data %d" % number)
    (folder / "07.png").write_bytes(b"deadly")
    (folder / "08.png").write_bytes(b"bad")
    plan = plan_dataset(folder, tmp_path / "out", ".vqc", (".png",))
    report = convert(plan, turn_round, Setting(workers=1, retries=0))
    assert {Path(str(result.source)).name: str(result.error) for result in report.failed} == {
        "07.png": "its worker process died, each time that it was tried",
        "08.png": "no picture",
    }
    assert report.done == 18
    assert (tmp_path / "out/19.vqc").read_bytes() == b"91 atad"
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".vqc"}


def test_a_bug_ends_the_job(cluster, tmp_path):
    (tmp_path / "a.png").write_bytes(b"bug")
    plan = plan_dataset([tmp_path / "a.png"], tmp_path / "out", ".vqc", (".png",))
    with pytest.raises(TypeError, match="a bug"):
        convert(plan, turn_round, Setting(workers=1, retries=0))


def test_object_stores_and_shards(cluster, photos, tmp_path, tiny_weights, tiny_codec, s3):
    bucket = s3("ray-test")
    storage, (root,) = locate([bucket.format("photos")])
    for path in photos.rglob("*.png"):
        storage.write(f"{root}/{path.relative_to(photos)}", path.read_bytes())
    model = str(tiny_weights)
    report = compress_dataset(bucket.format("photos"), bucket.format("coded"), model=model, quality=70)
    assert (report.done, len(report.failed)) == (6, 1)
    (coded,) = locate([bucket.format("coded/sub/5.vqc")])[1]
    assert storage.read(coded) == tiny_codec.compress(photos / "sub/5.png", quality=70)

    table = pa.table({"image": [(photos / "0.png").read_bytes()] * 3, "label": [1, 2, 3]})
    report = compress_dataset(table, tmp_path / "rows", model=model, quality=70, per_shard=2, workers=1)
    assert report.done == 3
    rows = pq.read_table(tmp_path / "rows/000001.parquet").to_pylist()
    assert rows == [{"image": tiny_codec.compress(photos / "0.png", quality=70), "label": 3}]


def test_the_command_line(cluster, photos, tmp_path, vqcodec, tiny_weights, tiny_codec, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the workers, started before, are not
    words = ["compress", "-r", "photos", "--output-dir", "coded", "-q", 70, "-m", tiny_weights]
    run = vqcodec(*words, "--engine", "ray", "--json", "--manifest", tmp_path / "table")
    assert run.code == 3
    assert run.err.splitlines()[-1] == "vqcodec: 1 of 7 files failed: photos/bad.png"
    found = {Path(entry["file"]).name: entry for entry in map(json.loads, run.out.decode().splitlines())}
    assert found["bad.png"]["code"] == 3
    assert found["0.png"]["status"] == "ok"
    assert (tmp_path / "coded/sub/5.vqc").read_bytes() == tiny_codec.compress(
        photos / "sub/5.png", quality=70
    )
    assert pq.read_table(tmp_path / "table").num_rows == 7

    run = vqcodec(
        "compress", "photos/0.png", "-m", tiny_weights, "--engine", "ray", "-j", 1, "--dry-run", "--compare"
    )
    assert run.code == 0
    assert "PSNR" in run.err
    assert not (photos / "0.vqc").exists()

    (photos / "bad.png").unlink()
    again = vqcodec(*words, "--engine", "ray", "-j", 1, "--skip-existing")
    assert again.code == 0
    assert again.err.count("skipped") == 6
    back = vqcodec("decompress", tmp_path / "coded/0.vqc", "--engine", "ray", "-j", 1, "-m", tiny_weights)
    assert back.code == 0
    with Image.open(tmp_path / "coded/0.png") as image:
        assert np.array_equal(np.array(image), np.array(tiny_codec.decompress(tmp_path / "coded/0.vqc")))
