"""Times and memory of the browser's decoder in Chromium: `python web/measure.py SITE [--large FILE]`.

SITE is a folder of `python web/build.py --site`. Wall time counts other programs' turns on a busy machine;
CPU seconds of the page do not, but count its compilers. Linux, with the extra `browser`.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import vqcodec

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SAMPLE = Path(vqcodec.__file__).parent / "samples" / "dog.png"
DECODE = """async ([name, options]) => {
    const vqcodec = await import("/src/index.js");
    const bytes = await (await fetch(name)).arrayBuffer(), start = performance.now();
    window.image = await vqcodec.decode(bytes, options);
    return [(performance.now() - start) / 1000, window.image.width, window.image.height];
}"""
CONFIGURE = "async (settings) => (await import('/src/index.js')).configure(settings)"
HASH = """async () => {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", window.image.data));
    return Array.from(digest, (n) => n.toString(16).padStart(2, "0")).join("");
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Watch(threading.Thread):
    """The most memory that a browser's processes of pages have at once, in megabytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.done = 0.0, False

    def run(self) -> None:
        """Look ten times a second."""
        while not self.done:
            pages = [pid for pid, words in processes() if "--type=renderer" in words]
            self.most = max(self.most, max(map(megabytes, pages), default=0.0))
            time.sleep(0.1)


def processes() -> list[tuple[str, str]]:
    """Number and command line of all Chromium processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "chromium" in words.split(" ")[0]:
            found.append((path.parent.name, words))
    return found


def megabytes(pid: str) -> float:
    """What a process has of memory for itself."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def cpu_seconds() -> float:
    """CPU time of all pages so far."""
    total = 0
    for pid, words in processes():
        if "--type=renderer" in words:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
    return total / 100


def decode(page: Page, name: str, **options: Any) -> dict[str, Any]:
    """One decode: wall and CPU seconds, and the pixels' hash."""
    before = cpu_seconds()
    watch = Watch()
    watch.start()
    took, width, height = page.evaluate(DECODE, [name, options])
    cpu, watch.done = cpu_seconds() - before, True
    found = {"wall": round(took, 3), "cpu": round(cpu, 2), "megabytes": round(watch.most)}
    return found | {"size": f"{width}x{height}", "sha256": page.evaluate(HASH)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python web/measure.py", description=__doc__)
    parser.add_argument("site", type=Path)
    parser.add_argument("--large", type=Path, help="a .vqc file of some 12 megapixels")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--vectors", choices=("plain", "relaxed"), help="instead of what is faster here")
    options = parser.parse_args()
    with Image.open(SAMPLE) as dog:
        picture = dog.convert("RGB").resize((768, 512), Image.Resampling.LANCZOS)
    small = io.BytesIO(vqcodec.load().compress(picture, quality=60))
    (options.site / "measure-small.vqc").write_bytes(small.getvalue())
    handler = functools.partial(Quiet, directory=str(options.site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    results: dict[str, Any] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/files.json")
        if options.vectors:
            page.evaluate(CONFIGURE, {"vectors": options.vectors})
        results["768x512, cold"] = decode(page, "/measure-small.vqc")
        results["768x512, warm"] = [decode(page, "/measure-small.vqc") for _ in range(options.runs)]
        if options.large:
            shutil.copy(options.large, options.site / "measure-large.vqc")
            results["large, quick preview"] = decode(page, "/measure-large.vqc", preview="quick")
            results["large"] = decode(page, "/measure-large.vqc")
        browser.close()
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
