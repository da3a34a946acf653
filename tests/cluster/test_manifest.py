"""The manifest: rows whatever the names are, and where it goes."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing, of the extra vqcodec[ray]")

import pyarrow.parquet as pq

from vqcodec.batch.jobs import FileResult
from vqcodec.cluster.locations import locate
from vqcodec.cluster.manifest import Manifest
from vqcodec.cluster.planning import plan_dataset
from vqcodec.cluster.run import manifest_of


def test_names_that_are_no_utf_8_have_rows(tmp_path):
    name = os.fsdecode(b"\xff\xc3\xa4.png")
    manifest = Manifest(locate([])[0], str(tmp_path / "table"), "run", {})
    manifest.add(FileResult(name, name + ".vqc", error=OSError(2, "no such file", name)))
    manifest.flush()
    (row,) = pq.read_table(tmp_path / "table").to_pylist()
    assert row["path"] == "\\udcffä.png"
    assert row["output"] == "\\udcffä.png.vqc"
    assert "no such file" in row["error"]


def test_a_place_for_it_is_a_path_or_yes_or_no(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    plan = plan_dataset(tmp_path, tmp_path / "out", ".vqc", (".png",))
    assert manifest_of(tmp_path / "table", plan) == str(tmp_path / "table")
    assert manifest_of(True, plan) == str(tmp_path / "out/manifest.parquet")
    assert manifest_of(False, plan) is None
    with pytest.raises(ValueError, match="destination's storage"):
        manifest_of("mock://table", plan)
