"""The page opens, shows, compares and saves files, and says what is wrong with them."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from benchmarks.robustness import samples
from benchmarks.robustness.damages import repaired
from tests.web.browsing import saved
from tests.web.demo_page import DONE, HEIGHT, WIDTH, png, said_size, show_sample, stage, upload
from tests.web.pictures import random_files, same_on_canvas

CANVAS = """() => {
    const canvas = document.querySelector("#stage canvas"), { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    let text = "";
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    return [width, height, btoa(text)];
}"""


def test_a_file_is_opened_told_and_saved(browser, opened, codec):
    page = opened()
    data = codec.compress(samples.picture(50, 70, "RGBA", np.random.default_rng(3)), quality=80)
    page.set_input_files("#open", [upload("photo.vqc", data)])
    page.wait_for_function(DONE)
    said = page.inner_text("#info")
    assert "70\u00a0\u00d7\u00a050, with alpha" in said
    assert codec.model.bitstream_id.hex() in said
    name, file = saved(browser, page, "#save")
    assert name == "photo.png"
    with Image.open(io.BytesIO(file)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(codec.decompress(data)))


def test_a_picture_that_cannot_be_saved_is_told(opened, codec):
    page = opened()
    data = codec.compress(samples.picture(50, 70, "RGB", np.random.default_rng(3)))
    page.set_input_files("#open", [upload("photo.vqc", data)])
    page.wait_for_function(DONE)
    page.evaluate("() => { URL.createObjectURL = () => { throw new Error('no room'); }; }")
    page.click("#save")
    page.wait_for_function("document.getElementById('status').textContent.includes('no room')")


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
    assert f"{WIDTH}\u00a0\u00d7\u00a0{HEIGHT}" in page.inner_text("#info")


def test_what_is_wrong_is_said(opened, codec):
    page = opened()
    page.set_input_files("#open", [upload("broken.vqc", b"not a picture")])
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")
    assert page.inner_text("#status") == "broken.vqc: this is not a .vqc file"
    show_sample(page)
    page.set_input_files("#compare", [upload("b.png", b"not one either")])
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")


def test_a_broken_file_leaves_what_was_open(opened):
    page = opened()
    show_sample(page)
    page.set_input_files("#open", [upload("broken.vqc", b"not a picture")])
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")
    assert page.locator("#save").is_enabled()
    assert f"{WIDTH}\u00a0\u00d7\u00a0{HEIGHT}" in page.inner_text("#info")
    page.locator("#realism").focus()
    page.keyboard.press("End")
    page.wait_for_function(DONE)
    assert page.locator("#stage canvas").is_visible()


WHEN_DECODING = """(act) => {
    const status = document.getElementById("status");
    new MutationObserver((_, observer) => {
        if (!status.textContent.startsWith("Decoding")) return;
        observer.disconnect();
        window.saveable = !document.getElementById("save").disabled;
        if (!act) return;
        const files = new DataTransfer();
        files.items.add(new File(["not a picture"], "broken.vqc"));
        window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
    }).observe(status, { childList: true, characterData: true, subtree: true });
}"""


def test_a_broken_file_does_not_end_the_decoding_of_what_was_open(opened, codec):
    page = opened()
    data = codec.compress(samples.picture(50, 70, "RGB", np.random.default_rng(3)))
    page.evaluate(WHEN_DECODING, True)
    page.set_input_files("#open", [upload("photo.vqc", data)])
    page.locator("#save:enabled").wait_for()
    width, height, found = page.evaluate(CANVAS)
    pixels = np.frombuffer(base64.b64decode(found), np.uint8).reshape(height, width, 4)
    assert same_on_canvas(pixels, codec.decompress(data))


def test_nothing_is_saved_while_realism_is_changed(opened):
    page = opened()
    show_sample(page)
    page.evaluate(WHEN_DECODING, False)
    page.locator("#realism").focus()
    page.keyboard.press("End")
    page.wait_for_function("document.getElementById('status').textContent.includes('with realism 1')")
    assert page.evaluate("window.saveable") is False
    page.locator("#save:enabled").wait_for()


def test_one_picture_is_not_seen_through_another(opened, codec):
    page = opened()
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    page.set_input_files("#open", [upload("red.vqc", codec.compress(red, lossless=True))])
    page.wait_for_function(DONE)
    page.set_input_files("#compare", [upload("b.png", png(np.zeros((HEIGHT, WIDTH, 4), np.uint8)))])
    page.locator("#divider").wait_for()
    shown = stage(page)
    redness = (shown[..., 0] - shown[..., 1]).max(0)
    middle = shown.shape[1] // 2
    assert redness[: middle - 30].max() > 200
    assert redness[middle + 30 :].max() < 60


def test_names_in_capitals_and_in_addresses(browser, opened, address, codec, site):
    page = opened()
    show_sample(page)
    data = codec.compress(samples.picture(50, 70, "RGB", np.random.default_rng(3)))
    page.set_input_files("#open", [upload("PHOTO.VQC", data)])
    page.wait_for_function("document.title.startsWith('PHOTO.VQC')")
    page.locator("#save:enabled").wait_for()
    assert page.locator("#divider").is_hidden()
    assert saved(browser, page, "#save")[0] == "PHOTO.png"
    (site / "my photo \u00e9.vqc").write_bytes(data)
    page.goto(f"{address}/?src=my%20photo%20%C3%A9.vqc")
    page.wait_for_function(DONE)
    assert page.title().startswith("my photo \u00e9.vqc")


def test_a_reloaded_page_forgets_what_was_open(opened):
    """Firefox keeps the state of what has no autocomplete="off"."""
    page = opened()
    show_sample(page)
    page.locator("#realism").focus()
    page.keyboard.press("End")
    page.wait_for_function("document.getElementById('status').textContent.includes('with realism 1')")
    page.reload()
    for name in ("compare", "save", "realism", "in", "out", "fit", "real"):
        assert page.locator(f"#{name}").is_disabled(), name
        assert page.locator(f"#{name}").get_attribute("autocomplete") == "off"
    assert page.locator("#realism").input_value() == page.inner_text("#realism-value") == "0"


def test_a_file_that_cannot_be_decoded_is_not_shown_as_the_one_before(opened, codec):
    page = opened()
    show_sample(page)
    data = bytearray(codec.compress(samples.picture(50, 70, "RGB", np.random.default_rng(3)), quality=80))
    data[8] ^= 1  # for a model that is not here
    page.set_input_files("#open", [upload("other.vqc", repaired(bytes(data)))])
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")
    assert page.locator("#stage canvas").count() == 0
    assert page.locator("#sample").is_visible()
    assert page.locator("#save").is_disabled()


def test_of_two_files_the_one_opened_last_is_shown(opened, codec):
    """Also where the first comes slowly."""
    page = opened()
    one, two = (samples.picture(50, width, "RGB", np.random.default_rng(3)) for width in (40, 60))
    names = [["slow.vqc", list(codec.compress(one, quality=80))], ["fast.vqc", list(codec.compress(two))]]
    page.evaluate(
        """(names) => {
            const drop = ([name, bytes], stream) => {
                const files = new DataTransfer(), file = new File([new Uint8Array(bytes)], name);
                if (stream) File.prototype.stream = () => stream(new Uint8Array(bytes));
                files.items.add(file);
                window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
            };
            const whole = File.prototype.stream;
            drop(names[0], (bytes) => new ReadableStream({ async start(to) {
                await new Promise((resolve) => window.goOn = resolve);
                to.enqueue(bytes);
                to.close();
            } }));
            File.prototype.stream = whole;
            drop(names[1]);
        }""",
        names,
    )
    page.wait_for_function(DONE)
    page.evaluate("window.goOn()")
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('#stage canvas').width") == 60
    assert page.title().startswith("fast.vqc")


def test_what_was_dropped_with_another_picture_is_not_compared(opened, codec):
    """A third file is opened while the first of two is decoded, or while the second one is read."""
    files = [
        codec.compress(samples.picture(50, width, "RGB", np.random.default_rng(3))) for width in (40, 60)
    ]
    names = [["one.vqc", list(files[0])], ["third.vqc", list(files[1])]]
    for waiting in ("stream", "arrayBuffer"):
        page = opened()
        page.evaluate(
            """([one, third, other, waiting]) => {
                const drop = (...named) => {
                    const files = new DataTransfer();
                    for (const [name, bytes] of named)
                        files.items.add(new File([new Uint8Array(bytes)], name));
                    window.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
                };
                const whole = Blob.prototype.arrayBuffer;
                if (waiting === "arrayBuffer")
                    File.prototype.arrayBuffer = async function () {
                        drop(third);
                        while (document.title.startsWith("third") === false)
                            await new Promise((resolve) => setTimeout(resolve, 20));
                        return whole.call(this);
                    };
                drop(one, ["other.vqc", other[1]]);
                if (waiting === "stream") drop(third);
            }""",
            [*names, names[0], waiting],
        )
        page.wait_for_function(DONE)
        page.wait_for_timeout(500)
        assert page.evaluate("document.querySelectorAll('#stage canvas').length") == 1, waiting
        assert page.evaluate("document.querySelector('#stage canvas').width") == 60
        assert page.locator("#names").is_hidden()
        assert page.inner_text("#status").startswith("Decoded")


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
    assert page.inner_text("#left-name") == f"dropped.vqc, {said_size(data)}"
    assert page.inner_text("#right-name").startswith("other.png, ")
