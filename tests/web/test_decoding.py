"""The browser's decoder in real headless browsers, Chromium and Firefox.

pip install '.[web,browser]' && apt-get install chromium firefox-esr nodejs npm
pytest tests/web

`.ci/run` installs no Firefox, whose tests take minutes: they are to be run by hand after a change in web/.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.robustness import samples
from benchmarks.robustness.bombs import bombs
from benchmarks.robustness.corruption import outcome
from benchmarks.robustness.damages import DAMAGES, damaged, repaired
from tests.bitstream.test_rules import BOMBS
from tests.web.browsing import Shared, page_megabytes, served
from tests.web.pictures import expected, put
from vqcodec.bitstream import compose, parse, probe
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
CONFIGURE = "(settings) => import('/src/index.js').then((vqcodec) => vqcodec.configure(settings))"
VALID = """async () => {
    return WebAssembly.validate(await (await fetch("/dist/vqcodec-relaxed.wasm")).arrayBuffer());
}"""


@pytest.mark.parametrize("vectors", ["plain", "relaxed"])
def test_golden_files_and_random_pictures(page, site, checked_files, vectors):
    if vectors == "relaxed" and not page.evaluate(VALID):
        pytest.skip("no relaxed vectors in this browser: Chromium has them")
    page.evaluate(CONFIGURE, {"vectors": vectors})
    files = {f"f{number}": data for number, (data, _) in enumerate(checked_files.values())}
    found = page.evaluate(DECODE, [[name, {}] for name in put(site, files)])
    assert found == [wanted for _, wanted in checked_files.values()]


def test_what_is_converted_for_a_canvas_is_painted_as_it_is(page):
    shown, painted = page.evaluate("""async () => {
        const { toDisplay } = await import("/src/index.js"), colorSpace = "display-p3";
        const red = new ImageData(new Uint8ClampedArray([255, 0, 0, 255]), 1, 1);
        const { image } = toDisplay(red, undefined, colorSpace);
        const context = document.createElement("canvas").getContext("2d", { colorSpace });
        context.putImageData(image, 0, 0);
        return [image, context.getImageData(0, 0, 1, 1, { colorSpace })].map(({ data }) => [...data]);
    }""")
    assert shown == painted
    assert shown[0] < 255


def test_pictures_are_for_p3_only_where_canvases_have_it(page):
    """A browser may have a screen for it and no canvas, as Firefox 140."""
    spaces = page.evaluate("""async () => {
        window.matchMedia = () => ({ matches: true });
        const { spaceOf } = await import("/src/picture/paint.js");
        const has = CanvasRenderingContext2D.prototype, whole = has.getContextAttributes;
        has.getContextAttributes = () => ({ colorSpace: "srgb" });
        const without = spaceOf(new Uint8Array(1));
        has.getContextAttributes = whole;
        const { spaceOf: anew } = await import("/src/picture/paint.js?anew");
        const context = document.createElement("canvas").getContext("2d", { colorSpace: "display-p3" });
        return [without, anew(undefined), anew(new Uint8Array(1)), context.getContextAttributes().colorSpace];
    }""")
    assert spaces[:2] == ["srgb", "srgb"]
    assert spaces[2] == spaces[3]


def test_a_thread_that_there_is_no_work_for_is_not_started(page, site, codec):
    """Where pixels are worth two, but all in one tile."""
    flat = np.zeros((1530, 1500, 3), np.uint8)
    (name,) = put(site, {"flat": codec.compress(flat, lossless=True)})
    told = page.evaluate(
        """async (name) => {
            let threads = 0;
            window.Worker = class extends Worker {
                constructor(...how) {
                    super(...how);
                    threads++;
                }
            };
            const { decode } = await import("/src/index.js"), told = [];
            const bytes = await (await fetch(name)).arrayBuffer();
            await decode(bytes, { onProgress: (done, count) => told.push([done, count]) });
            return [threads, told];
        }""",
        name,
    )
    assert told == [1, [[1, 1]]]


def test_small_pictures_are_shared_by_two_threads_and_one_alone_needs_one(page, site, codec):
    pictures = [samples.picture(90, 120, "RGB", np.random.default_rng(seed)) for seed in range(4)]
    data = {f"small-{seed}": codec.compress(pixels) for seed, pixels in enumerate(pictures)}
    names = put(site, data)
    alone, together, widths = page.evaluate(
        """async (names) => {
            let threads = 0;
            window.Worker = class extends Worker {
                constructor(...how) {
                    super(...how);
                    threads++;
                }
            };
            const { decode } = await import("/src/index.js");
            const all = await Promise.all(names.map(async (name) => (await fetch(name)).arrayBuffer()));
            await decode(all[0]);
            await decode(all[1]);
            const alone = threads, images = await Promise.all(all.map((bytes) => decode(bytes)));
            return [alone, threads, images.map(({ width }) => width)];
        }""",
        names,
    )
    assert (alone, widths) == (1, [120] * 4)
    assert together == min(2, page.evaluate("navigator.hardwareConcurrency"))


def test_the_package_may_come_from_another_place_than_the_page(page, site, codec):
    data = codec.compress(samples.picture(90, 120, "RGB", np.random.default_rng(1)))
    (name,) = put(site, {"elsewhere": data})
    with served(site, Shared) as other:
        elsewhere = DECODE.replace('"/src/index.js"', f'"{other}/src/index.js"')
        assert elsewhere != DECODE
        assert page.evaluate(elsewhere, [[name, {}]]) == [expected(codec, data)]


def test_a_listener_that_fails_ends_its_decode(page, site, codec):
    (name,) = put(site, {"heard": codec.compress(samples.picture(90, 120, "RGB", np.random.default_rng(1)))})
    found = page.evaluate(
        """async (name) => {
            const { decode } = await import("/src/index.js"), bytes = await (await fetch(name)).arrayBuffer();
            const fail = () => { throw new TypeError("not ready"); };
            const told = [];
            for (const how of [{ onPart: fail }, { onProgress: fail }])
                told.push(await decode(bytes, how).catch(({ name, message }) => `${name}: ${message}`));
            return [...told, (await decode(bytes)).width];
        }""",
        name,
    )
    assert found == ["TypeError: not ready", "TypeError: not ready", 120]


def test_what_is_no_weights_file_is_not_kept(page, site):
    """As of a network that asks for a password first, and answers everything with a page."""
    data = samples.golden()["whole"]
    (name,) = put(site, {"cached": data})
    (weights,) = (site / "dist" / "models").glob(f"{data[8:16].hex()}*.safetensors")
    address = f"/dist/models/{weights.name}"
    kept = """async ([address, answer]) => {
        const cache = await caches.open("vqcodec-models"), request = new URL(address, location).href;
        if (answer) await cache.put(request, new Response(answer));
        return (await (await cache.match(request))?.arrayBuffer())?.byteLength ?? 0;
    }"""
    page.evaluate(kept, [address, "<html>"])
    assert page.evaluate(DECODE, [[name, {}]]) == [expected(samples.load(), data)]
    assert page.evaluate(kept, [address, ""]) == weights.stat().st_size
    elsewhere = site / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / weights.name).write_bytes(b"<html>")
    (elsewhere / "models.json").write_text(json.dumps({data[8:16].hex(): weights.name}))
    page.evaluate(CONFIGURE, {"models": page.url.replace("files.json", "elsewhere")})
    (result,) = page.evaluate(DECODE, [[name, {}]])
    assert result["error"] == "ModelNotFound"
    assert page.evaluate(kept, [f"/elsewhere/{weights.name}", ""]) == 0


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
            const late = vqcodec.decode(bytes, { signal: AbortSignal.abort("late") });
            const again = await late.catch((reason) => reason);
            return { told, error, again, after: (await vqcodec.decode(bytes)).width };
        }""",
        name,
    )
    assert told["told"][-1][0] == told["told"][-1][1] > 0
    assert (told["error"], told["again"], told["after"]) == ("AbortError", "late", 300)


def test_threads_are_sent_the_file_and_not_what_it_lies_in(page, site):
    data = samples.golden()["text"]
    (name,) = put(site, {"within": bytes(100_000) + data + bytes(100_000)})
    found = page.evaluate(
        """async ([name, size]) => {
            const sent = [];
            window.Worker = class extends Worker {
                postMessage(message) {
                    if (message.job) sent.push(message.job.bytes.buffer.byteLength);
                    super.postMessage(message);
                }
            };
            const { decode } = await import("/src/index.js"), all = await (await fetch(name)).arrayBuffer();
            const { width } = await decode(new Uint8Array(all, 100000, size));
            return [width, sent, all.byteLength];
        }""",
        [name, len(data)],
    )
    assert found == [96, [len(data)], 200_000 + len(data)]


def test_nothing_waits_for_ever_for_a_decoder_that_was_given_up(page, site, codec):
    (name,) = put(
        site, {"given-up": codec.compress(samples.picture(250, 300, "RGB", np.random.default_rng(1)))}
    )
    found = page.evaluate(
        """async (name) => {
            const vqcodec = await import("/src/index.js");
            const bytes = await (await fetch(name)).arrayBuffer(), waiting = vqcodec.decode(bytes);
            vqcodec.configure({});
            const late = new Promise((resolve) => setTimeout(resolve, 20000, "nothing came"));
            const error = await Promise.race([waiting.catch(({ name }) => name), late]);
            const after = (await vqcodec.decode(bytes)).width;
            vqcodec.configure({ module: "/nowhere.wasm" });
            const missing = await vqcodec.decode(bytes).catch(({ name }) => name);
            vqcodec.configure({});
            return [error, after, missing];
        }""",
        name,
    )
    assert found == ["AbortError", 300, "ModelNotFound"]


@pytest.mark.slow
def test_many_decodes_and_aborts_leave_memory_as_it_was(page, site, codec):
    data = codec.compress(samples.picture(250, 300, "RGB", np.random.default_rng(1)), quality=60, tile=64)
    (name,) = put(site, {"many": data})
    decodes = """async ([name, count]) => {
        const vqcodec = await import("/src/index.js"), ends = {};
        const bytes = await (await fetch(name)).arrayBuffer();
        for (let n = 0; n < count; n++) {
            const stop = new AbortController();
            const job = vqcodec.decode(bytes, { signal: stop.signal });
            if (n % 2) setTimeout(() => stop.abort(), n % 40);
            const end = await job.then(() => "picture", ({ name }) => name);
            ends[end] = 1 + (ends[end] ?? 0);
        }
        return ends;
    }"""
    page.evaluate(decodes, [name, 20])
    before = page_megabytes()
    ends = page.evaluate(decodes, [name, 100])
    assert set(ends) <= {"picture", "AbortError"}
    assert ends["picture"] >= 50
    assert ends["AbortError"] >= 10
    assert page_megabytes() < before + 150  # browsers collect late; an engine for each abort would be more


def test_threads_that_have_much_memory_end_where_nothing_is_decoded(page, site, codec):
    """They tell twice of what they have, as with a larger model: only the large picture is too much then."""
    whole = parse(codec.compress(samples.picture(64, 64, "RGB", np.random.default_rng(1)), quality=60))
    header = replace(whole.header, width=1500, height=1400, tile=0)
    large = compose(header, whole.segments, whole.chunks, whole.drawn).data
    files = {
        "little": codec.compress(np.zeros((64, 64, 3), np.uint8)),
        "much": large[: probe(large).data_offset],
    }
    found = page.evaluate(
        """async ([little, much]) => {
            const live = new Set(), later = window.setTimeout, seen = [];
            window.setTimeout = (action, ms) => later(action, Math.min(ms, 50));
            window.Worker = class extends Worker {
                constructor(...how) {
                    super(...how);
                    live.add(this);
                }
                addEventListener(type, listener) {
                    const twice = ({ data }) => listener({
                        data: { ...data, memory: data.memory && 2 * data.memory },
                    });
                    super.addEventListener(type, type === "message" ? twice : listener);
                }
                terminate() {
                    live.delete(this);
                    super.terminate();
                }
            };
            const { decode } = await import("/src/index.js");
            for (const name of [little, much, little]) {
                const bytes = await (await fetch(name)).arrayBuffer();
                const { width } = await decode(bytes, { partial: true }), before = live.size;
                await new Promise((resolve) => later(resolve, 1000));
                seen.push([width, before, live.size]);
            }
            return seen;
        }""",
        put(site, files),
    )
    assert found == [[64, 1, 1], [1500, 1, 0], [64, 1, 1]]


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
    assert 0 < page_megabytes() < 600 or not Path("/proc/self/smaps_rollup").exists()
    assert page.evaluate("1 + 1") == 2
