"""Builds what the browser's decoder is made of: `python web/build.py`, in a checkout with the extra `web`.

    web/dist/vqcodec.wasm       the engine's C, by zig's clang
    web/dist/vqcodec-relaxed.wasm   the same with relaxed vectors, for processors that multiply bytes at once
    web/dist/webp_dec.{js,wasm} libwebp for drawn layers, from npm's package @jsquash/webp
    web/dist/models/            decoder's weights of the default model
    web/dist/sample.vqc         an example for the demo page

With --site FOLDER all of it, the scripts and the demo page are put together in a folder that any web server
can serve. Nothing is fetched but the npm package, whose hash is checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

WEB = Path(__file__).resolve().parent
NATIVE = WEB.parent / "vqcodec" / "native"
DIST = WEB / "dist"
SAMPLE = "sample.vqc"
MODULES = {"vqcodec.wasm": (), "vqcodec-relaxed.wasm": ("-DVQ_DOT7",)}
"""The modules, and what their compilations differ in: with other instructions libc would be compiled anew."""
MODULES_MOST = 250_000
SOURCES = (
    *(
        "conv",
        "conv_wasm",
        "conv_layer",
        "block",
        "convolve",
        "dot7",
        "winograd",
        "mend",
        "picture",
        "quantise",
        "restore",
    ),
    *(
        "rows",
        "rows_portable",
        "isa",
        "pool",
        "certain",
        "layer",
        "layer_run",
        "order",
        "prior",
        "prior_step",
    ),
    *("range_coder", "segments", "settle", "tables"),
)
FLAGS = (
    *("--target=wasm32-wasi", "-mexec-model=reactor", "-std=c11", "-O3", "-msimd128", "-s"),
    # Pixels would differ with a fused multiply-add, see setup.py.
    *("-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra", "-Werror"),
    # Memory of a page is bounded by that of its workers, see src/picture/pool.js.
    *("-Wl,--gc-sections", "-Wl,--max-memory=268435456", "-Wl,-z,stack-size=1048576"),
)
WEBP = "@jsquash/webp@1.5.0"
WEBP_INTEGRITY = (
    "sha512-KggLoj2MnRSfIqTeKe1EmbljTX2vuV7mh79k89PCL1pyqiDULcPM1L47twxXt0hkb68F70bXiL31MxsuoZtKFw=="
)
WEBP_FILES = {"webp_dec.js": "codec/dec/webp_dec.js", "webp_dec.wasm": "codec/dec/webp_dec.wasm"}


class BuildError(Exception):
    """Something that the build needs is missing, or is not what it should be."""


def build_modules(folder: Path) -> None:
    """Compile the engine.

    Raises:
        BuildError: zig is missing, the C does not compile, or the modules are too large.
    """
    files = [*sorted((WEB / "native").glob("*.c")), *(NATIVE / f"{name}.c" for name in SOURCES)]
    for name, flags in MODULES.items():
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *flags, f"-I{NATIVE}"]
        command += [*map(str, files), "-o", str(folder / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(done.stderr.strip() or "no compiler: pip install '.[web]'")
    size = sum((folder / name).stat().st_size for name in MODULES)
    if size > MODULES_MOST:
        raise BuildError(f"the modules have {size} bytes, at most {MODULES_MOST} are meant")


def npm_archive(package: str, integrity: str, folder: Path) -> Path:
    """Fetch a package of npm's registry to a folder.

    Raises:
        BuildError: npm is missing, cannot fetch it, or it is another package.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(f"npm is needed for {package} (Debian: apt-get install npm)")
    command = [npm, "pack", package, "--silent", "--prefer-offline", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        raise BuildError(f"npm cannot fetch {package}: {done.stderr.strip()}")
    found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
    if f"sha512-{found}" != integrity:
        raise BuildError(f"{package} has the hash sha512-{found}, not {integrity}")
    return archives[0]


def fetch_npm(package: str, integrity: str, files: dict[str, str], out: Path) -> None:
    """Take files out of a package of npm's registry; `files` are names here, and in the package.

    Raises:
        BuildError: as `npm_archive`; or the package lacks a file.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(npm_archive(package, integrity, Path(folder))) as archive,
    ):
        for name, member in files.items():
            file = archive.extractfile(f"package/{member}")
            if file is None:
                raise BuildError(f"{package} lacks {member}")
            (out / name).write_bytes(file.read())


def assemble(site: Path, dist: Path = DIST) -> None:
    """Put the demo page, the scripts and what was built in a folder, with a list for the service worker."""
    site.mkdir(parents=True, exist_ok=True)
    shutil.copytree(WEB / "src", site / "src", dirs_exist_ok=True)
    shutil.copytree(dist, site / "dist", dirs_exist_ok=True)
    shutil.copytree(WEB / "demo", site, dirs_exist_ok=True)
    worker, index = site / "sw.js", site / "files.json"
    files = sorted(path for path in site.rglob("*") if path.is_file() and path not in (worker, index))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    names = ["./", *(path.relative_to(site).as_posix() for path in files)]
    index.write_text(json.dumps({"files": names}), encoding="utf-8")
    # Browsers look at the bytes of a service worker to know of a new version.
    worker.write_text(
        worker.read_text(encoding="utf-8").replace('"development"', f'"{digest}"'), encoding="utf-8"
    )


def main() -> int:
    """Entry point; 0, or 1 with a line on stderr."""
    parser = argparse.ArgumentParser(prog="python web/build.py", description=__doc__)
    parser.add_argument("--site", type=Path, metavar="FOLDER", help="assemble the demo there, too")
    parser.add_argument("--model", default="default", help="whose decoder it gets (default: %(default)s)")
    parser.add_argument("--only", choices=("module", "webp", "model"), help="build no more than this")
    arguments = parser.parse_args()
    DIST.mkdir(exist_ok=True)
    try:
        if arguments.only in (None, "module"):
            build_modules(DIST)
        if arguments.only in (None, "webp"):
            fetch_npm(WEBP, WEBP_INTEGRITY, WEBP_FILES, DIST)
        if arguments.only in (None, "model"):
            program = [sys.executable, "-m", "vqcodec"]
            export = [*program, "models", "export-decoder", "-m", arguments.model, str(DIST / "models")]
            sample = [
                *program,
                "compress",
                "-m",
                arguments.model,
                "-q",
                "60",
                "-f",
                "vqcodec/samples/dog.png",
            ]
            subprocess.run(export, check=True, cwd=WEB.parent)
            subprocess.run([*sample, "-o", str(DIST / "sample.vqc")], check=True, cwd=WEB.parent)
    except (BuildError, subprocess.CalledProcessError) as error:
        print(f"web/build.py: {error}", file=sys.stderr)
        return 1
    if arguments.site:
        assemble(arguments.site)
    return 0


if __name__ == "__main__":
    sys.exit(main())
