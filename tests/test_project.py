"""The project's own files agree with each other: packages, constraints, README and the check script."""

import importlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vqcodec

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def canonical(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def test_every_package_is_listed(pyproject: dict[str, Any]) -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "vqcodec").rglob("__init__.py")
    }
    assert set(pyproject["tool"]["setuptools"]["packages"]) == found | {"vqcodec_cli"}


def test_constraints_pin_every_dependency_without_local_labels(pyproject: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin), pin
    project = pyproject["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    assert {canonical(name) for name in (*project["dependencies"], *extras)} <= {canonical(p) for p in pins}


def test_the_installed_version_is_the_package_version() -> None:
    try:
        installed = importlib.metadata.version("vqcodec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("vqcodec runs from the source tree here")
    assert installed == vqcodec.__version__


def test_readme_blocks_that_the_check_script_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    wanted = re.findall(r'block "?([a-z ]+)"?\)', script)
    assert wanted == ["install", "command line", "python", "tests"]
    for name in wanted:
        assert len(re.findall(rf"^<!-- ci: {name} -->\n```\w+\n.+?\n```$", README, re.M | re.S)) == 1, name
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_links_in_documents_lead_somewhere() -> None:
    rooms = ("", "docs/", "benchmarks/", "vqcodec/weights/", "vqcodec/bitstream/", "vqcodec/samples/")
    pages = [page for room in rooms for page in (ROOT / room).glob("*.md")]
    assert len(pages) >= 13
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert page.parent.joinpath(target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_names_in_the_architecture_exist() -> None:
    """Modules, functions and methods that docs/architecture.md names by room."""
    package = ROOT / "vqcodec"
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = "|".join(sorted(p.stem for p in package.iterdir() if p.suffix == ".py" or p.is_dir()))
    names = re.findall(rf"`((?:{rooms})(?:\.\w+)+)[`(]", text)
    files = re.findall(r"`(\w+(?:/\w+)*\.py)`", text)
    assert len(names) > 15
    assert len(files) > 10
    for name in names:
        found, rest = importlib.import_module("vqcodec"), name.split(".")
        while rest and importlib.util.find_spec(f"{found.__name__}.{rest[0]}"):
            found = importlib.import_module(f"{found.__name__}.{rest.pop(0)}")
            if not hasattr(found, "__path__"):
                break
        value: Any = found
        for part in rest:
            value = getattr(value, part)
    for file in files:
        assert (package / file).is_file(), file
