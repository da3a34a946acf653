"""What --engine ray refuses, without a cluster."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace

import pytest


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["a.png", "--engine", "ray", "-o", "a.vqc"],
            "--engine ray needs files and --output-dir, not",
        ),
        (["-", "--engine", "ray"], "--engine ray needs files and --output-dir, not"),
        (["a.png", "--address", "auto"], "--address and --manifest need --engine ray"),
        (["s3://b/a.png", "--engine", "ray"], "need --output-dir"),
        (["a.tar", "--engine", "ray", "--dry-run"], "no --dry-run"),
        (
            ["a.tar", "--engine", "ray", "--output-dir", "x", "-f", "--skip-existing"],
            "-f and --skip-existing exclude each other",
        ),
        (["a.tar", "b.png", "--engine", "ray", "--output-dir", "x"], "cannot be mixed"),
        (["nosuch://a.png", "--engine", "ray", "--output-dir", "x"], "nosuch://a.png: "),
        (["a.tar", "--engine", "ray", "--output-dir", "x", "--manifest", "mock://m"], "storage"),
    ],
)
def test_wrong_usage(vqcodec, words, error):
    if "ray" in words and "-o" not in words and "-" not in words:
        pytest.importorskip("pyarrow", reason="pyarrow is missing, of the extra vqcodec[ray]")
    run = vqcodec("compress", *words)
    assert run.code == 2
    assert error in run.err


def test_a_missing_extra_is_told_in_one_line(vqcodec, monkeypatch):
    # As an import within that does not find pyarrow.
    monkeypatch.setitem(sys.modules, "vqcodec.cluster.planning", None)
    run = vqcodec("compress", "a.png", "--engine", "ray")
    assert run.code == 1
    assert run.err == "vqcodec: --engine ray needs more packages: pip install 'vqcodec[ray]'\n"


def test_a_cluster_without_cards_is_told_in_one_line(vqcodec, monkeypatch):
    run_module = pytest.importorskip("vqcodec.cluster.run", reason="pyarrow is missing, of vqcodec[ray]")
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    monkeypatch.setattr(run_module, "connected", lambda _: contextlib.nullcontext(ray))
    run = vqcodec("compress", "a.tar", "--output-dir", "x", "--engine", "ray", "-d", "cuda")
    assert run.code == 1
    assert run.err == "vqcodec: the cluster has no room for a worker with 1 CPU and 1 GPU\n"


def test_an_unknown_model_is_told_before_the_cluster_starts(vqcodec):
    run = vqcodec("compress", "a.png", "--engine", "ray", "-m", "nowhere")
    assert run.code == 4
