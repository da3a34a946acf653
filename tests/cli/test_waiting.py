from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vqcodec_cli.main import main

POLICY = "OMP_WAIT_POLICY"


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_command_line_lets_threads_sleep_unless_told_otherwise(monkeypatch, given, expected):
    monkeypatch.delenv(POLICY, raising=False)
    if given:
        monkeypatch.setenv(POLICY, given)
    assert main(["--version"]) == 0
    assert os.environ[POLICY] == expected


def test_importing_the_library_changes_no_policy():
    code = f"import os, vqcodec, vqcodec_cli.main; print(os.environ.get({POLICY!r}))"
    rest = {name: value for name, value in os.environ.items() if name != POLICY}
    done = subprocess.run([sys.executable, "-c", code], env=rest, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
