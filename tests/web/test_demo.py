"""The page to try the decoder: by mouse and keyboard, at phone and desktop width, offline, with axe."""

from __future__ import annotations

import numpy as np
import pytest

from tests.web.demo_page import DONE, HEIGHT, WIDTH, png, show_sample, stage, upload

AXE = "axe-core@4.14.1"
AXE_INTEGRITY = (
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)


@pytest.fixture(scope="module")
def axe(web_build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("axe")
    try:
        web_build.fetch_npm(AXE, AXE_INTEGRITY, {"axe.js": "axe.min.js"}, folder)
    except web_build.BuildError as error:
        pytest.skip(f"no axe-core: {error}")
    return folder / "axe.js"


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "dark"), (390, "light"), (1400, "dark"), (1400, "light")]
)
def test_it_fits_and_is_accessible(opened, axe, width, scheme):
    page = opened(width, scheme)
    for step in (lambda: None, lambda: show_sample(page)):
        step()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        rows = "[...document.querySelectorAll('#zooming > *')].map((at) => at.getBoundingClientRect().bottom)"
        assert len({round(row / 30) for row in page.evaluate(rows)}) == 1
        page.add_script_tag(path=axe)
        found = page.evaluate("axe.run()")["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    light = [sum(map(int, colour[4:-1].split(","))) for colour in (ink, paper)]
    assert (light[0] > light[1]) == (scheme == "dark")


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


def test_what_needs_a_picture_waits_for_one_and_keyboards_go_on_from_it(opened):
    page = opened()
    for name in ("#compare", "#save", "#in", "#out", "#fit", "#real", "#realism"):
        assert page.locator(name).is_disabled(), name
    page.locator("#sample").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(DONE)
    assert page.evaluate("document.activeElement.id") == "stage"
    page.locator("#real").wait_for()
    assert page.locator("#real").is_enabled()


def test_at_one_to_one_every_pixel_is_one_of_the_screen(opened, site, codec):
    page = opened(1001)  # an odd width has no pixel in its middle
    show_sample(page)
    page.click("#real")
    page.mouse.move(5, 5)
    shown = stage(page)
    wanted = np.asarray(codec.decompress((site / "dist" / "sample.vqc").read_bytes()), np.int64)
    top, left = (shown.shape[0] - HEIGHT) // 2, (shown.shape[1] - WIDTH) // 2
    errors = [
        np.abs(shown[top + y : top + y + HEIGHT, left + x : left + x + WIDTH] - wanted).max()
        for y in (0, 1)
        for x in (0, 1)
    ]
    assert min(errors) == 0


def test_once_loaded_it_works_offline(opened):
    page = opened(workers="allow")
    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function("navigator.serviceWorker.controller")
    page.context.set_offline(True)
    page.reload()
    show_sample(page)
    assert f"{WIDTH}\u00a0\u00d7\u00a0{HEIGHT}" in page.inner_text("#info")


def test_models_of_other_versions_are_not_kept(browser, address, site):
    """Those that are kept for other pages stay."""
    (own, *_) = (path.name for path in (site / "dist" / "models").glob("*.safetensors"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/files.json")
    kept = page.evaluate(
        """async (names) => {
            const cache = await caches.open("vqcodec-models");
            for (const name of names) await cache.put(name, new Response("weights"));
            await navigator.serviceWorker.register("/sw.js");
            const { active } = await navigator.serviceWorker.ready;
            if (active.state !== "activated")
                await new Promise((resolve) => active.addEventListener("statechange", resolve));
            return Promise.all(names.map(async (name) => Boolean(await cache.match(name))));
        }""",
        [f"/dist/models/{own}", "/dist/models/old.safetensors", "/elsewhere/old.safetensors"],
    )
    context.close()
    assert kept == [True, False, True]
