"""Fuzzing and corruption on few inputs; and that both would notice what they look for."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vqcodec.bitstream import parse, write
from vqcodec.errors import FormatError

OTHER = b"another_"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def seeds(room, tiny) -> dict[str, bytes]:
    return room("samples").seeds(tiny)


def fuzzed(room, tmp_path: Path, target: str, runs: int, **changes) -> dict[str, Any]:
    options = {"runs": runs, "seconds": 0, "seed": 3, "any_segment": False, "corpus": None}
    given = options | changes | {"target": target, "findings": tmp_path / "findings"}
    return room("fuzz").random_runs(argparse.Namespace(**given))


def test_seeds_have_every_kind_of_chunk_and_are_small(seeds, room):
    containers = [parse(data) for data in seeds.values()]
    kinds = {chunk.type for container in containers for chunk in container.chunks}
    assert kinds == {"ALPH", "iCCP", "eXIF", "xMPd", "mODL", "dECD"}
    assert {container.header.tune for container in containers} == {"eyes", "psnr"}
    assert {container.header.gray for container in containers} == {False, True}
    assert any(len(container.segments) > 1 for container in containers)
    assert sum(map(len, seeds.values())) < 8000
    assert sum(map(room("targets").small, seeds.values())) > 5


def test_container_takes_any_bytes(room, tmp_path):
    found = fuzzed(room, tmp_path, "container", 4000)
    assert (found["executions"], found["findings"]) == (4000, 0)
    # Past the checksums, to every kind of end.
    expected = {"CorruptData", "Truncated", "LimitExceeded", "UnsupportedVersion", "valid", "valid in part"}
    assert set(found["outcomes"]) == expected


@pytest.mark.parametrize("any_segment", [False, True])
def test_decodes_take_any_bytes(room, tmp_path, any_segment):
    found = fuzzed(room, tmp_path, "decode", 400, any_segment=any_segment)
    assert (found["executions"], found["findings"]) == (400, 0)
    assert found["outcomes"]["valid"] > 20


def test_another_error_is_a_finding_and_kept(room, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(room("targets"), "container", lambda data: 1 / len(data[:0]))
    found = fuzzed(room, tmp_path, "container", 3)
    assert (found["executions"], found["findings"]) == (3, 3)
    assert len(list((tmp_path / "findings").iterdir())) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_second_spelling_or_an_unreadable_message_is_a_finding(room, seeds, monkeypatch):
    monkeypatch.setattr(room("targets"), "write", lambda *parts: write(*parts) + b"x")
    with pytest.raises(AssertionError, match="second spelling"):
        room("targets").container(seeds["dot"])
    for message in ("", "two\nlines", "x" * 999, "\x1b[31m"):
        monkeypatch.setattr(room("targets"), "parse", _raising(FormatError(message)))
        with pytest.raises(AssertionError, match="message"):
            room("targets").container(seeds["dot"])


def _raising(error: Exception):
    def call(*_arguments, **_options):
        raise error

    return call


def test_repaired_files_have_the_checksums_of_the_writer(room, seeds):
    source = random.Random(0)
    for data in seeds.values():
        assert room("damages").repaired(data) == data
        container = parse(data)
        header = container.header
        model = OTHER if any(header.bitstream_id) else bytes(len(OTHER))  # all is drawn
        change: dict[str, Any] = {"ignorable": 9} if header.bare else {"bitstream_id": model, "level": 9}
        other = write(
            replace(header, **change),
            [[s for s in layers if s is not None] for layers in container.segments],
            container.chunks,
            [s for s in container.drawn if s is not None],
        )
        spoilt = bytearray(data)
        if header.bare:  # it has neither
            spoilt[7] = 9
        else:
            spoilt[other.index(model) + 10 :] = other[other.index(model) + 10 :]
        assert room("damages").repaired(bytes(spoilt), model) == other
    valid = 0
    for _ in range(300):
        data = room("damages").damaged(seeds["tiles"], source, "bytes changed")
        try:
            parse(room("damages").repaired(data))
            valid += 1
        except FormatError:
            pass
    assert valid > 150


def test_every_flipped_bit_is_found(room, tiny, seeds):
    counts = room("corruption").bits(tiny, [seeds["dot"]])
    assert counts.total() == 8 * len(seeds["dot"])
    assert counts["a picture"] == 0


@pytest.mark.parametrize("name", ["RGB4", "text", "lossy", "beside"])
def test_every_end_is_found_and_gives_its_part(room, tiny, seeds, name):
    """Of the networks alone, bare, of a lossy tile alone, and of both coders."""
    data = seeds[name]
    counts = room("corruption").ends(tiny, [data])
    front = parse(data).data_offset
    assert counts == {"Truncated": len(data), "no part": front, "its part": len(data) - front}


def test_random_damages_are_found(room, tiny, seeds):
    rows = room("corruption").damages(tiny, list(seeds.values()), 400, seed=2)
    assert set(rows) == set(room("damages").DAMAGES)
    assert {counts.total() for counts in rows.values()} == {50}
    assert sum(counts["a picture"] for counts in rows.values()) == 0


def test_undetected_damage_would_show(room, tiny, seeds, monkeypatch):
    assert room("corruption").outcome(tiny, seeds["dot"]) == "a picture"
    wrong = {"bits": room("corruption").Counts({"a picture": 1})}
    assert "1 a picture" in room("corruption").table(wrong)
    # A part that is not what arrived.
    monkeypatch.setattr(room("corruption"), "_expected", lambda *_: room("samples").np.zeros((1, 1, 3)))
    assert room("corruption").ends(tiny, [seeds["dot"]])["wrong part"] > 0


@pytest.mark.slow
def test_the_command_prints_a_table(tmp_path):
    words = ("container", "--driver", "random", "--runs", "50", "--findings", str(tmp_path))
    command = [sys.executable, "-m", "benchmarks.robustness.fuzz", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (told["executions"], told["findings"]) == ("50", "0")
