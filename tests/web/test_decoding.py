"""The browser's decoder in real headless browsers, Chromium and Firefox.

pip install '.[web,browser]' && apt-get install chromium firefox-esr nodejs npm
pytest tests/web
"""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.robustness import samples
from benchmarks.robustness.bombs import bombs
from benchmarks.robustness.corruption import outcome
from benchmarks.robustness.damages import DAMAGES, damaged, repaired
from tests.bitstream.test_rules import BOMBS
from tests.web.browsing import PATIENCE, page_megabytes
from tests.web.pictures import expected, random_files, rgba, same_on_canvas
from vqcodec.bitstream import probe
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.types import DEFAULT_LIMITS

DECODE = """async (jobs) => {
    const vqcodec = await import("/src/index.js"), results = [];
    for (const [name, options] of jobs) {
        try {
            const bytes = await (await fetch(name)).arrayBuffer();
            const { width, height, data } = await vqcodec.decode(bytes, options);
            const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
            const sha256 = Array.from(digest, (n) => n.toString(16).padStart(2, "0")).join("");
            results.push({ width, height, sha256 });
        } catch (error) {
            const known = error instanceof vqcodec.VQCodecError;
            results.push({ error: error.name, known, message: error.message });
        }
    }
    return results;
}"""
ELEMENT = """async (attributes) => {
    await import("/src/element.js");
    const image = document.createElement("vqc-image");
    for (const [name, value] of Object.entries(attributes)) image.setAttribute(name, value);
    document.body.append(image);
    const told = await new Promise((resolve) => {
        image.addEventListener("load", () => resolve("load"));
        image.addEventListener("error", (event) => resolve(`${event.error.name}: ${event.message}`));
    });
    const canvas = image.shadowRoot.querySelector("canvas");
    const { width, height } = canvas, context = width && canvas.getContext("2d");
    const pixels = width ? context.getImageData(0, 0, width, height).data : [];
    const box = image.getBoundingClientRect(), { naturalWidth, naturalHeight, complete } = image;
    return { told, naturalWidth, naturalHeight, complete, wide: box.width, tall: box.height,
        pixels: Array.from(pixels), role: canvas.role, label: canvas.ariaLabel,
        words: image.shadowRoot.querySelector("span").checkVisibility() && image.shadowRoot.textContent };
}"""


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


def put(site: Path, files: dict[str, bytes]) -> list[str]:
    """Files where the page can fetch them; their names."""
    for name, data in files.items():
        (site / f"{name}.vqc").write_bytes(data)
    return [f"/{name}.vqc" for name in files]


def test_golden_files_and_random_pictures(page, site, codec):
    golden, tiny, files = samples.golden(), samples.load(), random_files(codec)
    every = {f"f{number}": data for number, data in enumerate((*golden.values(), *files.values()))}
    found = page.evaluate(DECODE, [[name, {}] for name in put(site, every)])
    wanted = [expected(tiny, data) for data in golden.values()]
    assert found == wanted + [expected(codec, data) for data in files.values()]


def test_options_progress_and_abort(page, site, codec):
    x = samples.picture(250, 300, "RGB", np.random.default_rng(1))
    data = codec.compress(x, quality=60, tile=64, tune="psnr")
    (name,) = put(site, {"options": data})
    asked: list[dict[str, Any]] = [
        {"realism": 0.37},
        {"realism": 1},
        {"region": [40, 60, 128, 96]},
        {"preview": 1},
    ]
    found = page.evaluate(DECODE, [[name, options] for options in asked])
    for options, result in zip(asked, found, strict=True):
        words = {key: tuple(value) if key == "region" else value for key, value in options.items()}
        assert result == expected(codec, data, **words)
    told = page.evaluate(
        """async (name) => {
            const vqcodec = await import("/src/index.js"), told = [], stop = new AbortController();
            const bytes = await (await fetch(name)).arrayBuffer();
            await vqcodec.decode(bytes, { onProgress: (done, count) => told.push([done, count]) });
            const aborted = vqcodec.decode(bytes, { signal: stop.signal });
            stop.abort();
            const error = await aborted.catch(({ name }) => name);
            const late = vqcodec.decode(bytes, { signal: AbortSignal.abort() });
            const again = await late.catch(({ name }) => name);
            return { told, error, again, after: (await vqcodec.decode(bytes)).width };
        }""",
        name,
    )
    assert told["told"][-1][0] == told["told"][-1][1] > 0
    assert (told["error"], told["again"], told["after"]) == ("AbortError", "AbortError", 300)


def test_a_large_picture_by_two_threads(page, site, codec):
    x = samples.picture(1700, 2100, "RGB", np.random.default_rng(2))
    data = codec.compress(x, quality=40, tile=512)
    (name,) = put(site, {"large": data})
    (found,) = page.evaluate(DECODE, [[name, {}]])
    assert found == expected(codec, data)
    (small,) = page.evaluate(DECODE, [[name, {"preview": "quick"}]])
    assert (small["width"], small["height"]) == (66, 54)


def test_a_file_is_told_of_as_it_arrives(page, site, codec):
    data = codec.compress(samples.picture(250, 300, "RGB", np.random.default_rng(5)), quality=80, tile=64)
    (name,) = put(site, {"arriving": data})
    told = page.evaluate(
        """async (name) => {
            const vqcodec = await import("/src/index.js"), told = [];
            const bytes = new Uint8Array(await (await fetch(name)).arrayBuffer());
            let sent = 0;
            const stream = new ReadableStream({ pull(to) {
                if (sent >= bytes.length) return to.close();
                to.enqueue(bytes.slice(sent, sent += 100));
            } });
            const looks = [];
            const whole = await vqcodec.receive(stream, {
                onFront: (info, prefix) => told.push(["front", info.width, prefix.length]),
                onLayer: (layer, prefix) => {
                    told.push(["layer", layer, prefix.length]);
                    looks.push(vqcodec.decode(prefix, { preview: 1, partial: true }));
                    looks.push(vqcodec.decode(prefix, { preview: "quick", partial: true }));
                },
            });
            const [coarse, quick] = await Promise.all(looks);
            const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", coarse.data));
            return { told, same: whole.every((byte, i) => byte === bytes[i]), length: whole.length,
                quick: [quick.width, quick.height], digest: Array.from(digest) };
        }""",
        name,
    )
    front = probe(data)
    (first, width, at), (second, layer, there) = told["told"]
    assert (first, width, second, layer) == ("front", 300, "layer", 1)
    assert front.data_offset <= at < front.data_offset + 100
    assert front.layer_ends[0] <= there < front.layer_ends[0] + 100
    assert (told["same"], told["length"], told["quick"]) == (True, len(data), [10, 8])
    assert bytes(told["digest"]).hex() == expected(codec, data, preview=1)["sha256"]


def test_the_element_shows_and_behaves_like_img(page, site, codec):
    x = samples.picture(60, 90, "RGBA", np.random.default_rng(4))
    x[:30, :, 3] = 255
    x[30:, :, 3] = 0
    data = codec.compress(Image.fromarray(x), quality=70)
    (name,) = put(site, {"element": data})
    found = page.evaluate(ELEMENT, {"src": name, "alt": "Slopes", "width": "45"})
    pixels = np.frombuffer(rgba(codec.decompress(data)), np.uint8).reshape(60, 90, 4)
    shown = np.array(found["pixels"], np.uint8).reshape(60, 90, 4)
    assert np.array_equal(shown[:30], pixels[:30])
    assert not shown[30:].any()  # a canvas keeps no colours under an alpha of 0
    assert (found["told"], found["complete"], found["wide"], found["tall"]) == ("load", True, 45, 30)
    assert (found["naturalWidth"], found["naturalHeight"]) == (90, 60)
    assert (found["role"], found["label"], found["words"]) == ("img", "Slopes", False)
    natural = page.evaluate(ELEMENT, {"src": name, "alt": ""})
    assert (natural["wide"], natural["tall"], natural["role"]) == (90, 60, "presentation")
    sized = page.evaluate(ELEMENT, {"src": name, "sizes": "(max-width: 10px) 5px, 180px"})
    assert (sized["wide"], sized["tall"]) == (180, 120)


def test_the_element_shows_what_python_decodes(page, site):
    golden, tiny = samples.golden(), samples.load()
    for name, data in zip(put(site, golden), golden.values(), strict=True):
        found, wanted = page.evaluate(ELEMENT, {"src": name}), tiny.decompress(data)
        assert found["told"] == "load"
        pixels = np.array(found["pixels"], np.uint8).reshape(wanted.height, wanted.width, 4)
        assert same_on_canvas(pixels, wanted), name


def test_the_element_tells_errors(page, site):
    (name,) = put(site, {"broken": b"GIF89a"})
    found = page.evaluate(ELEMENT, {"src": name, "alt": "Nothing"})
    assert found["told"] == "CorruptData: magic at offset 0: this is not a .vqc file"
    assert found["complete"]
    assert found["words"].strip().endswith("Nothing")
    missing = page.evaluate(ELEMENT, {"src": "/nowhere.vqc"})
    assert missing["told"].startswith("VQCodecError: ")
    assert "404" in missing["told"]


def test_lazy_loading_waits_for_the_picture_to_come_near(page, site):
    (name,) = put(site, {"lazy": samples.golden()["text"]})
    seen = page.evaluate(
        """async (name) => {
            await import("/src/element.js");
            const image = document.createElement("vqc-image"), space = document.createElement("div");
            space.style.height = "5000px";
            document.body.append(space, image);
            Object.assign(image, { src: name });
            image.setAttribute("loading", "lazy");
            await new Promise((resolve) => setTimeout(resolve, 400));
            const before = image.naturalWidth;
            image.scrollIntoView();
            await new Promise((resolve) => image.addEventListener("load", resolve));
            return [before, image.naturalWidth];
        }""",
        name,
    )
    assert seen == [0, 96]


def test_colour_profiles_are_converted(page, site, codec):
    """As by LittleCMS."""
    x = samples.picture(40, 60, "RGB", np.random.default_rng(6))
    image = Image.fromarray(x)
    image.info["icc_profile"] = profile_bytes(3)  # Adobe RGB (1998)
    data = codec.compress(image, quality=90)
    (name,) = put(site, {"colour": data})
    found = np.array(page.evaluate(ELEMENT, {"src": name})["pixels"], np.int64).reshape(40, 60, 4)
    plain = codec.decompress(data)
    source = ImageCms.ImageCmsProfile(io.BytesIO(plain.info["icc_profile"]))
    wanted = ImageCms.profileToProfile(
        plain, source, ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    assert wanted is not None
    assert np.abs(found[:, :, :3] - np.asarray(wanted, np.int64)).max() <= 2
    assert np.abs(found[:, :, :3] - np.asarray(plain, np.int64)).max() > 10


def test_hostile_files_leave_the_page_alive(page, site, codec):
    source, seeds = random.Random(12), list(samples.seeds(codec).values())
    hurt = [damaged(source.choice(seeds), source, kind) for kind in DAMAGES for _ in range(12)]
    hurt += [repaired(data, codec.model.bitstream_id) for data in hurt]
    names = put(site, {f"hurt{number}": data for number, data in enumerate(hurt)})
    found = page.evaluate(DECODE, [[name, {}] for name in names])
    tiny = samples.load()
    for data, result in zip(hurt, found, strict=True):
        wanted = outcome(codec, data)
        wanted = outcome(tiny, data) if wanted == "ModelMismatch" else wanted
        assert result.get("error", "a picture") == wanted, (data.hex(), result)
    every = {**BOMBS, **bombs(codec.model.bitstream_id)}
    names = put(site, {f"bomb{number}": data for number, (data, _) in enumerate(every.values())})
    jobs = [
        [name, {"limits": vars(limits) if limits != DEFAULT_LIMITS else {}}]
        for name, (_, limits) in zip(names, every.values(), strict=True)
    ]
    for name, result in zip(every, page.evaluate(DECODE, jobs), strict=True):
        assert result.get("known"), (name, result)
    assert page_megabytes() < 600
    assert page.evaluate("1 + 1") == 2
