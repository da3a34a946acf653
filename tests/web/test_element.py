"""<vqc-image> shows pictures as Python decodes them, and behaves like <img>."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from benchmarks.robustness import samples
from tests.web.demo_page import DONE
from tests.web.pictures import put, rgba, same_on_canvas, table_profile
from vqcodec.bitstream.profiles import profile_bytes

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
    assert found["told"] == "CorruptData: this is not a .vqc file"
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


def red_and_blue() -> Image.Image:
    """Red beside blue, which a profile turns round."""
    x = np.zeros((48, 64, 3), np.uint8)
    x[:, :32, 0] = x[:, 32:, 2] = 220
    image = Image.fromarray(x)
    image.info["icc_profile"] = table_profile()
    return image


def is_turned(pixels: np.ndarray) -> bool:
    left, right = pixels[:, 4:28].mean((0, 1)), pixels[:, 36:60].mean((0, 1))
    return bool(left[2] > left[0] + 60 and right[0] > right[2] + 60)


def test_profiles_of_tables_are_left_to_the_browser(page, site, codec):
    (name,) = put(site, {"tables": codec.compress(red_and_blue(), quality=90)})
    found = page.evaluate(ELEMENT, {"src": name})
    assert found["told"] == "load"
    assert is_turned(np.array(found["pixels"], np.int64).reshape(48, 64, 4))


def test_the_page_shows_such_colours_as_well(opened, site, address, codec):
    put(site, {"tables": codec.compress(red_and_blue(), quality=90)})
    page = opened()
    page.goto(f"{address}/?src=tables.vqc")
    page.wait_for_function(DONE)
    box = page.locator("#stage canvas").screenshot()
    shown = Image.open(io.BytesIO(box)).convert("RGB").resize((64, 48))
    assert is_turned(np.asarray(shown, np.int64))
