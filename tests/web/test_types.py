"""The scripts' types, by TypeScript, and that the public ones are what the modules export."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile

import pytest

from tests.web.conftest import WEB

TYPESCRIPT = "typescript@5.9.3"
INTEGRITY = "sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw=="


def test_types_agree(node, web_build, tmp_path):
    try:
        archive = web_build.npm_archive(TYPESCRIPT, INTEGRITY, tmp_path)
    except web_build.BuildError as error:
        pytest.skip(f"no TypeScript: {error}")
    with tarfile.open(archive) as members:
        members.extractall(tmp_path, filter="data")
    command = [node, str(tmp_path / "package" / "lib" / "tsc.js"), "-p", str(WEB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_what_is_declared_is_exported(node, web_build):
    declared = (WEB / "src" / "index.d.ts").read_text(encoding="utf-8")
    names = set(re.findall(r"export declare (?:function|const|class) (\w+)", declared))
    script = 'import("./src/index.js").then((all) => console.log(JSON.stringify(Object.keys(all).sort())))'
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True, cwd=WEB)
    assert names == set(re.findall(r'"(\w+)"', done.stdout))


def test_what_the_package_is_made_of_can_be_had_by_its_name(node, web_build):
    """As bundlers ask for the files that `configure` is told the places of."""
    names = [f"vqcodec{path}" for path in ("", "/element", "/dist/vqcodec.wasm", "/dist/models/models.json")]
    script = f"for (const name of {json.dumps(names)}) console.log(import.meta.resolve(name))"
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=WEB)
    files = ("src/index.js", "src/element.js", "dist/vqcodec.wasm", "dist/models/models.json")
    assert done.stdout.split() == [(WEB / file).as_uri() for file in files]
