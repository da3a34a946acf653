"""The page to try the decoder: by mouse and keyboard, at phone and desktop width, offline, with axe."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.robustness import samples
from tests.web.browsing import PATIENCE, SAMPLE, saved
from tests.web.pictures import random_files, same_on_canvas

AXE = "axe-core@4.14.1"
AXE_INTEGRITY = (
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)
CANVAS = """() => {
    const canvas = document.querySelector("#stage canvas"), { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    let text = "";
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    return [width, height, btoa(text)];
}"""
DONE = "document.getElementById('status').textContent.startsWith('Decoded')"
WIDTH, HEIGHT = SAMPLE


@pytest.fixture(scope="module")
def axe(web_build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("axe")
    try:
        web_build.fetch_npm(AXE, AXE_INTEGRITY, {"axe.js": "axe.min.js"}, folder)
    except web_build.BuildError as error:
        pytest.skip(f"no axe-core: {error}")
    return folder / "axe.js"


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


def show_sample(page):
    page.click("#sample")
    page.wait_for_function(DONE)


def upload(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def png(x) -> bytes:
    file = io.BytesIO()
    Image.fromarray(x).save(file, "PNG")
    return file.getvalue()


def stage(page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB"), np.int64)


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "dark"), (390, "light"), (1400, "dark"), (1400, "light")]
)
def test_it_fits_and_is_accessible(opened, axe, width, scheme):
    page = opened(width, scheme)
    for step in (lambda: None, lambda: show_sample(page)):
        step()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.add_script_tag(path=axe)
        found = page.evaluate("axe.run()")["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    light = [sum(map(int, colour[4:-1].split(","))) for colour in (ink, paper)]
    assert (light[0] > light[1]) == (scheme == "dark")


def test_a_file_is_opened_told_and_saved(browser, opened, codec):
    page = opened()
    data = codec.compress(samples.picture(50, 70, "RGBA", np.random.default_rng(3)), quality=80)
    page.set_input_files("#open", [upload("photo.vqc", data)])
    page.wait_for_function(DONE)
    said = page.inner_text("#info")
    assert "70 \u00d7 50, with alpha" in said
    assert codec.model.bitstream_id.hex() in said
    name, file = saved(browser, page, "#save")
    assert name == "photo.png"
    with Image.open(io.BytesIO(file)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(codec.decompress(data)))


def test_what_is_shown_is_what_python_decodes(opened, codec):
    page, tiny = opened(), samples.load()
    files = [(tiny, data) for data in samples.golden().values()]
    files += [(codec, data) for data in random_files(codec, 6).values()]
    for decoder, data in files:
        page.evaluate("document.getElementById('status').textContent = ''")
        page.set_input_files("#open", [upload("photo.vqc", data)])
        page.wait_for_function(DONE)
        width, height, found = page.evaluate(CANVAS)
        wanted = decoder.decompress(data)
        pixels = np.frombuffer(base64.b64decode(found), np.uint8).reshape(height, width, 4)
        assert (width, height) == wanted.size
        assert same_on_canvas(pixels, wanted)


def test_a_picture_is_opened_by_its_address(opened, address):
    page = opened()
    page.goto(f"{address}/?src=dist/sample.vqc")
    page.wait_for_function(DONE)
    assert page.title().startswith("sample.vqc")
    assert f"{WIDTH} \u00d7 {HEIGHT}" in page.inner_text("#info")


def test_realism_decodes_anew(opened):
    page = opened()
    show_sample(page)
    before = stage(page)
    page.evaluate("document.getElementById('status').textContent = ''")
    page.locator("#realism").focus()
    page.keyboard.press("End")
    page.wait_for_function(DONE)
    assert page.inner_text("#realism-value") == "1"
    assert "realism 1" in page.inner_text("#status")
    assert np.abs(stage(page) - before).max() > 3


def test_zoom_move_and_divider_by_keyboard_and_mouse(opened):
    page = opened(1000)
    show_sample(page)
    page.locator("#stage").focus()
    page.keyboard.press("1")
    assert page.inner_text("#zoom") == "100 %"
    page.keyboard.press("+")
    assert page.inner_text("#zoom") == "125 %"
    before = stage(page)
    page.keyboard.press("ArrowLeft")
    after, along = stage(page)[9:-9], before[9:-9]  # without what shows the focus
    assert np.abs(after[:, 69:-9] - along[:, 9:-69]).mean() < 0.1  # where it is scaled, by where it lies
    assert np.abs(after - along).mean() > 1
    page.keyboard.press("0")
    fitted = page.inner_text("#zoom")
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -100)
    page.wait_for_function(f"document.getElementById('zoom').textContent !== {fitted!r}")
    page.keyboard.press("0")
    page.set_input_files("#compare", [upload("white.png", png(np.full((HEIGHT, WIDTH, 3), 255, np.uint8)))])
    divider = page.locator("#divider")
    divider.wait_for()
    shown = stage(page)
    row, column = shown.shape[0] // 2, shown.shape[1] * 3 // 4
    assert (shown[row, column] == 255).all()
    divider.focus()
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"
    assert not (stage(page)[row, column] == 255).all()
    handle = divider.bounding_box()
    page.mouse.move(handle["x"] + 10, handle["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, handle["y"] + 40, steps=4)
    page.mouse.up()
    assert abs(int(divider.get_attribute("aria-valuenow")) - 25) <= 1


def test_what_is_wrong_is_said(opened, codec):
    page = opened()
    page.set_input_files("#open", [upload("broken.vqc", b"not a picture")])
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")
    assert page.inner_text("#status") == "broken.vqc: magic at offset 0: this is not a .vqc file"
    show_sample(page)
    page.set_input_files("#compare", [upload("b.png", b"not one either")])
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")


def test_dropped_files_are_opened_and_compared(opened, codec):
    page = opened()
    data = codec.compress(samples.picture(HEIGHT, WIDTH, "RGB", np.random.default_rng(9)), quality=50)
    page.evaluate(
        """([bytes, png]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], "dropped.vqc"));
            files.items.add(new File([new Uint8Array(png)], "other.png", { type: "image/png" }));
            window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
        }""",
        [list(data), list(png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))],
    )
    page.locator("#divider").wait_for()
    assert page.inner_text("#left-name") == "dropped.vqc"
    assert page.inner_text("#right-name").startswith("other.png")


def test_once_loaded_it_works_offline(opened):
    page = opened(workers="allow")
    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function("navigator.serviceWorker.controller")
    page.context.set_offline(True)
    page.reload()
    show_sample(page)
    assert f"{WIDTH} \u00d7 {HEIGHT}" in page.inner_text("#info")
