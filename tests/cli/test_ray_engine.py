"""What --engine ray refuses, without a cluster."""

from __future__ import annotations

import sys

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


def test_an_unknown_model_is_told_before_the_cluster_starts(vqcodec):
    run = vqcodec("compress", "a.png", "--engine", "ray", "-m", "nowhere")
    assert run.code == 4
