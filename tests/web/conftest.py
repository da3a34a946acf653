"""The browser's decoder, built once; its tests are skipped, and say so, where its tools are missing."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks.robustness import samples
from tests.once import shared
from tests.web.browsing import BROWSERS, PATIENCE, SAMPLE, running, served
from tests.web.pictures import expected, random_files
from vqcodec.codec import Codec
from vqcodec.weights.decoder_file import export_decoder

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
RUNNER = Path(__file__).with_name("decode_all.mjs")


@pytest.fixture(scope="session")
def web_build() -> ModuleType:
    """web/build.py, which is in no package."""
    if not WEB.exists():
        pytest.skip("no web/ here: these tests need a checkout")
    spec = importlib.util.spec_from_file_location("web_build", WEB / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("no node: apt-get install nodejs, or nodejs.org")
    return path


@pytest.fixture(scope="session")
def two_faced(tmp_path_factory) -> Path:
    """A tiny model with two tunes and two decoders."""
    path = tmp_path_factory.mktemp("weights") / "two.safetensors"
    samples.write_two_faced(path)
    return Path(path)


@pytest.fixture(scope="session")
def codec(two_faced) -> Codec:
    return samples.load(two_faced)


@pytest.fixture(scope="session")
def checked_files(codec) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """The golden files, and random pictures by `codec`; with what Python makes of them."""
    golden, tiny = samples.golden(), samples.load()
    found = {name: (data, expected(tiny, data)) for name, data in golden.items()}
    return found | {name: (data, expected(codec, data)) for name, data in random_files(codec).items()}


@pytest.fixture(scope="session")
def programs(web_build, tmp_path_factory) -> Path:
    """A folder of the decoder's modules and libwebp, built once for all workers of a run."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no zig: pip install '.[web]'")

    def build(folder: Path) -> None:
        web_build.build_modules(folder)
        try:
            web_build.fetch_npm(web_build.WEBP, web_build.WEBP_INTEGRITY, web_build.WEBP_FILES, folder)
        except web_build.BuildError as error:
            pytest.skip(f"no WebP decoder: {error}")

    return shared(tmp_path_factory, "programs", build)


@pytest.fixture(scope="session")
def site(web_build, programs, two_faced, codec, tmp_path_factory) -> Path:
    """The demo page with decoder, and the weights of the tiny models."""
    dist, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    shutil.copytree(programs, dist, dirs_exist_ok=True)
    export_decoder(samples.TINY, dist / "models")
    export_decoder(two_faced, dist / "models")
    sample = samples.picture(*SAMPLE[::-1], "RGB", np.random.default_rng(8))
    (dist / "sample.vqc").write_bytes(codec.compress(sample, quality=70))
    web_build.assemble(folder, dist)
    return Path(folder)


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request) -> Iterator[Any]:
    with running(request.param) as started:
        yield started


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """Of a web server for the site."""
    with served(site) as url:
        yield url


@pytest.fixture(scope="session")
def run_node(node, site, tmp_path_factory) -> Any:
    """Decode files in one process of Node: jobs {data, options} -> {sha256, width, height} or {error}."""

    def run(
        jobs: list[dict[str, Any]], *, setup: dict[str, Any] | None = None, flags: Sequence[str] = ()
    ) -> dict[str, Any]:
        work = tmp_path_factory.mktemp("jobs")
        for number, job in enumerate(jobs):
            path = work / f"{number}.vqc"
            path.write_bytes(job.pop("data"))
            job["file"] = str(path)
        listing = work / "jobs.json"
        listing.write_text(json.dumps({"jobs": jobs, **(setup or {})}))
        command = [node, *flags, str(RUNNER), str(site / "src" / "index.js"), str(listing)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
        assert done.returncode == 0, done.stderr[-2000:]
        return dict(json.loads(done.stdout))

    return run


@pytest.fixture
def flags(request, node, site) -> tuple[str, ...]:
    """What Node needs for `vectors`: 20 has relaxed ones as an option, with errors in its first compiler."""
    if request.getfixturevalue("vectors") == "plain":
        return ()
    module = str(site / "dist" / "vqcodec-relaxed.wasm")
    script = f"process.exitCode = WebAssembly.validate(fs.readFileSync({json.dumps(module)})) ? 0 : 1"
    for words in ((), ("--experimental-wasm-relaxed-simd", "--no-liftoff")):
        if subprocess.run([node, *words, "-e", script], capture_output=True, check=False).returncode == 0:
            return words
    pytest.skip("no relaxed vectors in this Node: 20 has them")


@pytest.fixture
def opened(browser, address):
    """Makes pages of a width and colour scheme; whatever they complain of fails the test."""
    contexts, trouble = [], []

    def make(width=1400, scheme="light", workers="block"):
        context = browser.new_context(
            viewport={"width": width, "height": 850}, color_scheme=scheme, service_workers=workers
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.goto(f"{address}/")
        return page

    yield make
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.fixture
def page(browser, address):
    """A page of the site that has nothing of its own, and whose errors fail the test."""
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(PATIENCE)
    opened, trouble = context.new_page(), []
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.goto(f"{address}/files.json")
    yield opened
    context.close()
    assert trouble == []
