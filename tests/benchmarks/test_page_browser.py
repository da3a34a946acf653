"""The benchmarks' page in a real browser, driven by mouse and keyboard.

pip install '.[browser]' && apt-get install chromium      # or: playwright install chromium
pytest tests/benchmarks/test_page_browser.py
"""

from __future__ import annotations

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install '.[browser]', and a Chromium (see this file)"
)

WIDTH, HEIGHT = 128, 96


def shade(value: int) -> str:
    """A gray picture as the page embeds it."""
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (value,) * 3).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def entry(name: str, light: int) -> dict[str, object]:
    cells = {c: {"src": shade(v), "said": f"{v} bytes"} for c, v in (("jpeg", light), ("vqcodec", 20))}
    original = {"src": shade(128), "said": "as it was"}
    rates = {"0.15 bpp": cells, "0.50 bpp": cells}
    return {"name": name, "width": WIDTH, "height": HEIGHT, "original": original, "rates": rates}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            running = driver.chromium.launch(executable_path=path)
        except playwright.Error as error:
            how = "apt-get install chromium, or playwright install chromium"
            pytest.skip(f"no browser: {how} ({str(error).splitlines()[0]})")
        yield running
        running.close()


@pytest.fixture
def page_file(bench, tmp_path):
    photos, results, out = (tmp_path / name for name in ("photos", "results.json", "page.html"))
    photos.mkdir()
    Image.fromarray(picture(HEIGHT, WIDTH)).save(photos / "a.png")
    words = ["--data", str(photos), "--out", str(results), "--codecs", "jpeg", "webp"]
    assert bench("rate_distortion").main([*words, "--qualities", "10", "50", "90"]) == 0
    page = bench("report.page")
    sections = [page.curves_section(page.load(results), {})]
    out.write_text(page.build("Measured.", sections, [entry("a", 220), entry("b", 200)]), encoding="utf-8")
    return out


def opened(browser, file, width, scheme):
    """The page, and what it asked of a network or complained of."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    trouble: list[str] = []
    page.on("request", lambda request: trouble.append(request.url) if request.url[:5] != "data:" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    assert trouble == [file.as_uri()]
    trouble.clear()
    return page, trouble


def stage(page) -> np.ndarray:
    """What the viewer shows, (H, W) gray."""
    shot = page.locator("#stage").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L"), np.int64)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_the_page_fits_phone_and_desktop_in_both_schemes(browser, page_file, width, scheme):
    page, trouble = opened(browser, page_file, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    light = [sum(map(int, colour[4:-1].split(","))) for colour in (ink, paper)]
    assert (light[0] > light[1]) == (scheme == "dark")
    assert page.locator("svg.plot polyline").count() == 2
    assert page.locator("table").first.is_visible()
    assert trouble == []


def test_the_viewer_by_keyboard_and_mouse(browser, page_file):
    page, trouble = opened(browser, page_file, 1000, "light")
    shown = stage(page)
    middle, width = shown[shown.shape[0] // 4], shown.shape[1]
    assert abs(middle[width // 4] - 220) < 3  # jpeg on the left
    assert abs(middle[3 * width // 4] - 20) < 3
    divider = page.locator("#divider")
    divider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert int(divider.get_attribute("aria-valuenow")) > 50
    box = page.locator("#stage").bounding_box()
    handle = divider.bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.1, handle["y"] + 20, steps=4)
    page.mouse.up()
    assert int(divider.get_attribute("aria-valuenow")) == pytest.approx(10, abs=2)
    assert abs(stage(page)[shown.shape[0] // 4][width // 4] - 20) < 3  # the right codec lies there now
    page.keyboard.press("n")
    assert page.locator("#picture").input_value() == "b"
    page.keyboard.press("p")
    assert page.locator("#picture").input_value() == "a"
    page.keyboard.press("+")
    assert page.locator("#zoom").inner_text() != "1x"
    page.keyboard.press("0")
    assert page.locator("#zoom").inner_text() == "1x"
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_function("document.getElementById('zoom').textContent !== '1x'")
    page.locator("#right").select_option("original")
    assert page.locator("#said-right").inner_text() == "original: as it was"
    page.keyboard.press("0")
    assert abs(stage(page)[shown.shape[0] // 4][3 * width // 4] - 128) < 3
    assert trouble == []
