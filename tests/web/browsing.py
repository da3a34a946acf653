"""Headless Chromium and Firefox for the tests of the page, and a web server for one folder."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "firefox")
SCHEME = "layout.css.prefers-color-scheme.content-override"
"""The preference of Firefox that says what pages are told: 0 dark, 1 light."""
OLDEST_FIREFOX = 153
"""The first that was tried: 140 lacks commands of WebDriver BiDi that Playwright cannot do without."""
PATIENCE = 120_000
"""Milliseconds that a page may take: other tests are at work beside it."""
SAMPLE = (120, 90)
"""Width and height of the site's example."""
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: Any) -> None:
        pass


class Shared(Quiet):
    """The same to pages of other places."""

    def end_headers(self) -> None:
        """Allow them."""
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@contextlib.contextmanager
def served(folder: Path, kind: type[http.server.SimpleHTTPRequestHandler] = Quiet) -> Iterator[str]:
    """The address of a folder."""
    handler = functools.partial(kind, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def running(name: str) -> Iterator[Any]:
    """A browser, "chromium" or "firefox"; the test is skipped where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install '.[browser]', and a browser"
    )
    with playwright.sync_playwright() as driver:
        try:
            browser = Firefox(driver.firefox) if name == "firefox" else chromium(driver.chromium)
        except playwright.Error as error:
            pytest.skip(f"no browser: apt-get install chromium ({str(error).splitlines()[0]})")
        try:
            yield browser
        finally:
            browser.close()


def chromium(kind: Any) -> Any:
    sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    return kind.launch(executable_path=path, args=[*FLAGS, *sandbox])


class Firefox:
    """Makes contexts; it is started once for each colour scheme, of which Playwright cannot tell it later."""

    def __init__(self, kind: Any) -> None:
        path = shutil.which("firefox-esr") or shutil.which("firefox")
        if path is None or os.name != "posix":  # what starts it is a shell script
            pytest.skip("no Firefox: apt-get install firefox-esr")
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"\d+", said)
        if version is None or int(version[0]) < OLDEST_FIREFOX:
            pytest.skip(f"{said.strip()}: Playwright drives Firefox from {OLDEST_FIREFOX} on")
        self.kind, self.started = kind, dict[str, Any]()
        self.folder = tempfile.TemporaryDirectory(prefix="firefox-")
        self.program, self.downloads = (Path(self.folder.name, name) for name in ("firefox", "downloads"))
        words = [sys.executable, str(Path(__file__).with_name("firefox_relay.py")), path]
        self.program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        self.program.chmod(0o700)

    def new_context(self, *, color_scheme: str = "light", **options: Any) -> Any:
        if color_scheme not in self.started:
            preferences = {SCHEME: int(color_scheme == "light")}
            self.started[color_scheme] = self.kind.launch(
                channel="moz-firefox",
                executable_path=self.program,
                firefox_user_prefs=preferences,
                downloads_path=self.downloads,
            )
        return self.started[color_scheme].new_context(**options)

    def close(self) -> None:
        for browser in self.started.values():
            browser.close()
        self.folder.cleanup()


def saved(browser: Any, page: Any, button: str) -> tuple[str, bytes]:
    """Name and bytes of the file that a click on a button saves."""
    if not isinstance(browser, Firefox):
        with page.expect_download() as download:
            page.click(button)
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()
    # Playwright passes over downloads that Firefox names no navigation for.
    page.click(button)
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        page.wait_for_timeout(50)
        files = list(browser.downloads.glob("*"))
        if len(files) == 1 and files[0].suffix != ".part" and files[0].stat().st_size:
            return files[0].name, files[0].read_bytes()
    raise TimeoutError("nothing was saved")


def page_megabytes() -> float:
    """The most memory that one of the browsers' processes of pages has for itself, on Linux; else 0."""
    most = 0.0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"--type=renderer" in words or b"-isForBrowser" in words:
                lines = path.with_name("smaps_rollup").read_text().splitlines()
                most = max(
                    most, sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
                )
    return most
