"""The matrix of exactness: what it tries, what it would notice, and that engines agree on few files."""

from __future__ import annotations

import pytest


def test_what_differs_is_named(room):
    compared = room("matrix").compared
    base = {
        "decoded": {"a": ["1", "2"], "b": ["3", "4"]},
        "encoded": {"a": "5", "b effort 2": "6", "c": "7"},
    }
    same = {"decoded": 2, "encoded": 3, "bytes": 3, "wrong": [], "others": []}
    assert compared(base, base) == same
    other = {"decoded": {"a": ["1", "9"]}, "encoded": {"a": "5", "b effort 2": "0", "c": "0"}}
    found = compared(base, other)
    assert found["wrong"] == ["a", "b", "c encoded otherwise"]
    assert (found["others"], found["bytes"]) == (["b effort 2", "c"], 1)
    without_torch = base | {"encoded": {"a": "5"}}
    assert compared(base, without_torch)["wrong"] == ["c not encoded"]


def test_every_engine_thread_count_and_instruction_set_is_tried(room):
    matrix = room("matrix")
    tried = matrix.settings()
    assert next(iter(tried)) == matrix.BASE
    variables = [setting.changes for setting in tried.values()]
    assert {changes.get("VQCODEC_ENGINE") for changes in variables} >= {None, "native", "torch"}
    assert {changes["OMP_NUM_THREADS"] for changes in variables} == {"1", "2", "3"}
    instructions = {changes.get("VQCODEC_ISA") for changes in variables} - {None}
    assert instructions == set(matrix.instruction_sets())
    assert any("--batch" in setting.words for setting in tried.values())


def test_digests_are_of_indices_and_of_every_decoder(room, tmp_path):
    coder, samples = room("coder"), room("samples")
    weights = tmp_path / "two.safetensors"
    samples.write_two_faced(weights)
    codec = samples.load(weights)
    made = list(samples.fresh(2, largest=33))
    first, second = (coder.digests(codec, sample.compress(codec)) for sample in made)
    assert len(set(first) | set(second)) == 2 * (1 + len(coder.REALISMS))
    # Tunes have tables of their own.
    image = made[0].image
    files = {codec.compress(image, tune=tune, quality=60)[40:] for tune in ("eyes", "psnr")}
    assert len(files) == 2


@pytest.mark.slow
def test_engines_agree_on_fresh_files(room):
    matrix = room("matrix")
    tried = matrix.settings(quick=True)
    chosen = {name: tried[name] for name in (next(iter(tried)), next(n for n in tried if "torch" in n))}
    chosen["batch"] = matrix.Setting(changes=matrix.environment(1), words=("--batch",))
    rows = list(matrix.run({"count": 4, "files": []}, chosen))
    assert [row["wrong"] for row in rows] == [[], [], []]
    assert [row["bytes"] for row in rows] == [5, rows[1]["bytes"], 5]
    assert rows[0]["decoded"] == 5 + len(room("samples").golden())
