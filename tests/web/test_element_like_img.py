"""What a page may do with <vqc-image> as with <img>: sizes, changes of source, removal, moves, errors."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.robustness import samples
from tests.web.pictures import put

WAIT = """
    const nextEvent = (image) => new Promise((resolve) =>
        ["load", "error"].forEach((type) => image.addEventListener(type, () => resolve(type))));
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const sizeOf = (image) => ["width", "height"].map((side) => image.getBoundingClientRect()[side]);
    const words = (image) => image.shadowRoot.querySelector("span").checkVisibility();
    await import("/src/element.js");
    const make = (attributes = {}, parent = document.body) => {
        const image = document.createElement("vqc-image"), told = image.told = [];
        for (const type of ["load", "error"]) image.addEventListener(type, () => told.push(type));
        for (const [name, value] of Object.entries(attributes)) image.setAttribute(name, value);
        parent?.append(image);
        return image;
    };
"""


@pytest.fixture
def names(site, codec):
    """Two pictures of 90x60 and 50x40, and a broken file."""
    pictures = [samples.picture(*size, "RGB", np.random.default_rng(7)) for size in ((60, 90), (40, 50))]
    one, two = (codec.compress(picture, quality=70) for picture in pictures)
    return put(site, {"one": one, "two": two, "bad": b"GIF89a"})


def script(page, body, names):
    return page.evaluate(f"async ([one, two, bad]) => {{ {WAIT} {body} }}", names)


def test_the_rules_of_the_page_go_before_those_of_attributes(page, names):
    found = script(
        page,
        """
        const space = document.createElement("div"), style = document.createElement("style");
        space.style.width = "200px";
        style.textContent = ".flow { width: 120px; height: auto } .tall { height: 30px }";
        document.body.append(style, space);
        const images = [
            make({ src: one, style: "width: 50%" }, space),
            make({ src: one, class: "flow", width: "45", height: "30" }),
            make({ src: one, class: "tall" }),
            make({ src: one, width: "50%" }, space),
            make({ src: one, height: "120" }),
            make({ src: one, sizes: "(min-width: 10px) min(60px, 50vw), 180px" }),
            make({ src: one, sizes: "(min-width: 10px) calc((100px - 20px) / 2), 180px" }),
            make({ src: one, sizes: "not (min-width: 10px) 5px, min(60px, calc(50px + 50vw))" }),
        ];
        const before = sizeOf(images[1]);
        await Promise.all(images.map((image) => image.decode()));
        return [before, images.map(sizeOf), images.map(({ width }) => width)];
        """,
        names,
    )
    sizes = [(100, 66.7), (120, 80), (45, 30), (100, 66.7), (180, 120), (60, 40), (40, 26.7), (60, 40)]
    assert found[0] == [120, 80]  # the ratio of the attributes, until the picture's own is known
    assert np.abs(np.array(found[1]) - sizes).max() < 0.1
    assert found[2] == [width for width, _ in sizes]


def test_pictures_fit_their_boxes_as_the_page_says(page, names):
    found = script(
        page,
        """
        const image = make({ src: one, style: "width: 90px; height: 90px; object-fit: contain" });
        await image.decode();
        const canvas = image.shadowRoot.querySelector("canvas");
        return [sizeOf(canvas), getComputedStyle(canvas).objectFit];
        """,
        names,
    )
    assert found == [[90, 90], "contain"]


def test_another_source_takes_the_place_of_one_that_is_loading(page, names):
    found = script(
        page,
        """
        const image = make({ src: one });
        const first = image.decode().catch(({ name }) => name);
        await pause(0);
        image.src = two;
        const complete = image.complete;
        await image.decode();
        await pause(300);
        return [await first, complete, image.complete, image.told, image.naturalWidth, image.currentSrc];
        """,
        names,
    )
    assert found[:5] == ["EncodingError", False, True, ["load"], 50]
    assert found[5].endswith("/two.vqc")


def test_decode_waits_for_a_source_that_was_just_set(page, names):
    found = script(
        page,
        """
        const image = make();
        image.src = one;
        await image.decode();
        const shown = image.shadowRoot.querySelector("canvas").width, alone = make({ src: two }, null);
        await alone.decode();
        const nothing = await make().decode().catch(({ name }) => name);
        return [shown, image.told, alone.naturalWidth, nothing];
        """,
        names,
    )
    assert found == [90, ["load"], 50, "EncodingError"]


def test_words_stand_for_what_is_not_there(page, names):
    found = script(
        page,
        """
        const image = make({ alt: "A slope" }), seen = [[words(image), image.complete]];
        image.src = one;
        await pause(0);
        seen.push([words(image), image.complete]);
        for (const src of [null, bad, two, null]) {
            if (src) {
                const event = seen.length > 2 ? nextEvent(image) : image.decode();
                image.src = src;
                await event;
            } else if (seen.length === 2) {
                await image.decode();
            } else {
                image.removeAttribute("src");
                await pause(0);
            }
            seen.push([words(image), image.complete, image.naturalWidth, image.told.at(-1)]);
        }
        const empty = make({ alt: "Nothing", src: "" }), told = await nextEvent(empty);
        const wrong = make({ src: "http://[" }), last = await nextEvent(wrong);
        return [seen, told, words(empty), last];
        """,
        names,
    )
    seen = [[True, True], [False, False], [False, True, 90, "load"], [True, True, 0, "error"]]
    seen += [[False, True, 50, "load"], [True, True, 0, "load"]]
    assert found == [seen, "error", True, "error"]


def test_moving_loads_nothing_anew_and_removal_stops(page, names):
    found = script(
        page,
        """
        const image = make({ src: one }), there = document.createElement("div");
        document.body.append(there);
        await pause(0);
        there.append(image);
        await nextEvent(image);
        document.body.append(image);
        await pause(300);
        const moved = [...image.told], gone = make({ src: two });
        const waiting = gone.decode().catch(({ name }) => name);
        await pause(0);
        gone.remove();
        const error = await waiting;
        await pause(300);
        const quiet = [...gone.told];
        document.body.append(gone);
        await nextEvent(gone);
        return [moved, error, quiet, gone.naturalWidth];
        """,
        names,
    )
    assert found == [["load"], "EncodingError", [], 50]


def test_it_keeps_its_size_in_another_document_and_back(page, names):
    found = script(
        page,
        """
        const image = make({ src: one, width: "45" }), frame = document.createElement("iframe"), seen = [];
        document.body.append(frame);
        await image.decode();
        const sizes = () => seen.push([sizeOf(image), sizeOf(image.shadowRoot.querySelector("canvas"))]);
        frame.contentDocument.body.append(image);
        sizes();
        image.width = 30;
        sizes();
        document.createElement("template").content.append(image);
        document.body.append(image);
        sizes();
        return [seen, image.told];
        """,
        names,
    )
    assert found == [[[[45, 30]] * 2, [[30, 20]] * 2, [[30, 20]] * 2], ["load"]]


def test_eager_starts_what_was_lazy_and_nothing_that_is_shown(page, names):
    found = script(
        page,
        """
        const space = document.createElement("div");
        space.style.height = "5000px";
        document.body.append(space);
        const image = make({ src: one, loading: "lazy" });
        await pause(300);
        const before = [image.naturalWidth, image.complete, image.loading];
        image.loading = "eager";
        await nextEvent(image);
        image.loading = "lazy";
        image.loading = "eager";
        await pause(300);
        return [before, image.naturalWidth, image.told];
        """,
        names,
    )
    assert found == [[0, False, "lazy"], 90, ["load"]]


def test_properties_set_before_the_element_is_defined_count(page, names):
    found = page.evaluate(
        """async ([one]) => {
            const image = document.createElement("vqc-image");
            image.src = one;
            image.alt = "Early";
            document.body.append(image);
            await import("/src/element.js");
            await image.decode();
            return [image.getAttribute("alt"), image.naturalWidth];
        }""",
        names,
    )
    assert found == ["Early", 90]


def test_a_first_look_that_comes_late_is_not_painted(page, site, codec):
    (name,) = put(site, {"late": codec.compress(samples.picture(64, 64, "RGB", np.random.default_rng(1)))})
    found = page.evaluate(
        """async (name) => {
            const { paintQuick } = await import("/src/picture/paint.js");
            const bytes = new Uint8Array(await (await fetch(name)).arrayBuffer());
            const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
            const found = [], stop = new AbortController(), bitmapOf = createImageBitmap;
            for (const wanted of [() => null, () => context, () => context]) {
                context.clearRect(0, 0, 64, 64);
                const painted = await paintQuick(bytes, stop.signal, wanted);
                found.push(painted, context.getImageData(9, 9, 1, 1).data[3]);
                if (painted)
                    window.createImageBitmap = (image) => (stop.abort(), bitmapOf(image));
            }
            return found;
        }""",
        name,
    )
    assert found == [False, 0, True, 255, False, 0]
