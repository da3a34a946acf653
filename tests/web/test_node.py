"""The browser's decoder in Node: the same pixels as in Python, and the same errors."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.robustness import samples
from benchmarks.robustness.bombs import bombs
from benchmarks.robustness.corruption import outcome
from benchmarks.robustness.damages import DAMAGES, damaged, repaired
from tests.bitstream.test_rules import BOMBS
from tests.web.pictures import expected
from vqcodec.bitstream import compose, parse, probe
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.errors import VQCodecError
from vqcodec.types import DEFAULT_LIMITS, Limits

REALISMS = (0.0, 0.37, 1.0)
VECTORS = ("plain", "relaxed")
UNSAID = dict.fromkeys(vars(DEFAULT_LIMITS))
"""Limits that are null, which leaves the usual ones."""


@pytest.mark.parametrize("vectors", VECTORS)
def test_golden_files_and_random_pictures(run_node, checked_files, vectors, flags):
    jobs = [{"data": data} for data, _ in checked_files.values()]
    found = run_node(jobs, setup={"vectors": vectors}, flags=flags)["results"]
    wanted = {name: result for name, (_, result) in checked_files.items()}
    assert dict(zip(checked_files, found, strict=True)) == wanted


def test_options(run_node, codec):
    x = samples.picture(190, 250, "RGBA", np.random.default_rng(1))
    data = codec.compress(Image.fromarray(x), quality=60, tile=64, tune="psnr")
    cut = data[: probe(data).layer_ends[0] + 40]
    asked: list[dict[str, Any]] = [{"realism": realism} for realism in REALISMS]
    asked += [{"region": (40, 60, 128, 96)}, {"region": (249, 0, 1, 190)}, {"preview": 1}]
    jobs = [{"data": data, "options": options} for options in asked]
    jobs.append({"data": cut, "options": {"partial": True}})
    jobs.append({"data": data, "options": {"region": (200, 0, 64, 8)}})
    jobs.append({"data": data, "options": {"realism": 2}})
    found = run_node(jobs)["results"]
    wanted = [expected(codec, data, **options) for options in asked]
    assert found[: len(asked)] == wanted
    assert found[-3] == expected(codec, cut, allow_partial=True)
    assert [result["error"] for result in found[-2:]] == ["UnsuitableOption"] * 2


def test_an_aborted_decode_ends_and_so_does_the_program(node, site, codec, tmp_path):
    data = codec.compress(samples.picture(250, 300, "RGB", np.random.default_rng(1)), quality=60, tile=64)
    (tmp_path / "some.vqc").write_bytes(data)
    script = f"""
        import {{ readFileSync }} from "node:fs";
        const {{ decode }} = await import({(site / "src" / "index.js").as_uri()!r});
        let engines = 0;
        WebAssembly.Instance = class extends WebAssembly.Instance {{
            constructor(...how) {{
                super(...how);
                if (this.exports.memory) engines++;
            }}
        }};
        const bytes = readFileSync("some.vqc"), stop = new AbortController(), ends = [];
        const onProgress = (done) => done && stop.abort(), signal = AbortSignal.abort(new RangeError("late"));
        for (const options of [{{ signal: stop.signal, onProgress }}, {{ signal }}, {{}}]) {{
            ends.push(await decode(bytes, options).then(({{ width }}) => width, ({{ name }}) => name));
        }}
        console.log(ends.join(), engines);
    """
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "AbortError,RangeError,300 1\n", "")


def test_alpha_deflated_and_by_webp(run_node, codec):
    y, x = np.mgrid[:96, :128]
    flat, circle = np.where(x < 64, 255, 90), ((x - 60) ** 2 + (y - 50) ** 2 < 1600) * 255
    files = []
    for alpha in (flat, circle, 255 - y):
        pixels = samples.picture(96, 128, "RGB", np.random.default_rng(4))
        files.append(codec.compress(Image.fromarray(np.dstack([pixels, alpha.astype(np.uint8)])), quality=60))
    chunks = [next(c for c in parse(data).chunks if c.type == "ALPH") for data in files]
    assert {chunk.data[0] for chunk in chunks} == {0, 1, 2}
    found = run_node([{"data": data} for data in files])["results"]
    assert found == [expected(codec, data) for data in files]


def test_a_first_look_does_not_wait_for_alpha(node, site, codec, tmp_path):
    """Nor for libwebp."""
    flat = np.where(np.mgrid[:96, :128][1] < 64, 255, 90).astype(np.uint8)
    pixels = samples.picture(96, 128, "RGB", np.random.default_rng(4))
    data = codec.compress(Image.fromarray(np.dstack([pixels, flat])), quality=60)
    (alpha,) = (chunk for chunk in parse(data).chunks if chunk.type == "ALPH")
    assert alpha.data[0] == 2  # by WebP
    (tmp_path / "alpha.vqc").write_bytes(data)
    script = f"""
        import {{ readFileSync }} from "node:fs";
        const {{ configure, decode }} = await import({(site / "src" / "index.js").as_uri()!r});
        configure({{ webp: "file:///nowhere/webp_dec.js" }});
        for (const preview of ["quick", null]) {{
            const look = decode(readFileSync("alpha.vqc"), {{ preview }});
            console.log(await look.then(({{ width }}) => width, ({{ name }}) => name));
        }}
    """
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["4", "ModelNotFound"]


@pytest.mark.parametrize("vectors", VECTORS)
def test_the_packaged_model_by_both_decoders(run_node, tmp_path, vectors, flags):
    """Its layers have outputs with weights of 64 and of -64, which relaxed vectors hold in another way."""
    codec = samples.load("default")
    image = Image.open(samples.ROOT / "vqcodec" / "samples" / "sumac_256x192.png")
    data = codec.compress(image, quality=45)
    weights = tmp_path / "default.safetensors"
    shutil.copy(samples.ROOT / "vqcodec" / "weights" / "default.safetensors", weights)
    jobs = [{"data": data, "options": {"realism": realism}} for realism in REALISMS]
    setup = {"weights": [str(weights)], "vectors": vectors}
    found = run_node(jobs, setup=setup, flags=flags)["results"]
    assert found == [expected(codec, data, realism=realism) for realism in REALISMS]


def test_bytes_after_a_zlib_stream_are_damage(run_node, codec):
    pixels = samples.picture(96, 128, "RGB", np.random.default_rng(4))
    alpha = 255 - np.mgrid[:96, :128][0]
    whole = parse(codec.compress(Image.fromarray(np.dstack([pixels, alpha.astype(np.uint8)])), quality=60))
    (plane,) = (chunk for chunk in whole.chunks if chunk.type == "ALPH")
    assert plane.data[0] in (0, 1)  # deflated
    chunks = [replace(plane, data=plane.data + b"\0")]
    data = compose(whole.header, whole.segments, chunks, whole.drawn).data
    assert outcome(codec, data) == "CorruptData"
    (result,) = run_node([{"data": data}])["results"]
    assert result["error"] == "CorruptData"


def test_damaged_metadata_is_damage_to_those_who_want_pixels_only(run_node, codec):
    image = Image.fromarray(samples.picture(64, 64, "RGB", np.random.default_rng(4)))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image.info["icc_profile"] = profile[:16] + b"RGB " + profile[20:]
    exif = Image.Exif()
    exif[0x010E] = "a long description " * 20
    image.info["exif"] = exif.tobytes()
    whole = parse(codec.compress(image, quality=60, metadata="exact"))
    assert len(whole.chunks) == 2
    for number, chunk in enumerate(whole.chunks):
        assert chunk.data[0] == 1, "deflated"
        chunks = list(whole.chunks)
        chunks[number] = replace(chunk, data=chunk.data[:-3])
        data = compose(whole.header, whole.segments, chunks, whole.drawn).data
        assert outcome(codec, data) == "CorruptData"
        (result,) = run_node([{"data": data}])["results"]
        assert result.get("error") == "CorruptData"


def test_image_data_without_alpha_is_opaque_whatever_its_bits_of_alpha_are(run_node, codec):
    pixels = np.random.default_rng(3).integers(0, 4, (64, 64, 4)).astype(np.uint8) * 85
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True)
    coded = bytearray(file.getvalue())
    assert coded[12:16] == b"VP8L"
    coded[24] &= 0xEF  # alpha_is_used
    whole = parse(codec.compress(Image.fromarray(pixels[..., :3]), lossless=True))
    data = compose(whole.header, whole.segments, whole.chunks, [bytes(coded[20:])]).data
    wanted = expected(codec, data)
    assert "sha256" in wanted
    assert run_node([{"data": data}])["results"] == [wanted]


def test_a_weights_file_that_is_gone_is_told_as_such(run_node, tmp_path):
    data = samples.golden()["whole"]
    (tmp_path / "models.json").write_text(json.dumps({data[8:16].hex(): "gone.safetensors"}))
    (result,) = run_node([{"data": data}], setup={"models": tmp_path.as_uri()})["results"]
    assert (result["error"], result["known"]) == ("ModelNotFound", True)


def test_gray_profiles_are_kept_in_gray_png_files(node, site, codec, tmp_path):
    """In files of colours they mean nothing."""
    for mode in ("L", "LA"):
        image = Image.fromarray(samples.picture(20, 30, mode, np.random.default_rng(4)))
        image.info["icc_profile"] = profile_bytes(6)  # gray gamma 1.8
        data = codec.compress(image, quality=60)
        (tmp_path / "gray.vqc").write_bytes(data)
        script = f"""
            import {{ readFileSync, writeFileSync }} from "node:fs";
            const {{ decodePicture, encodePng }} = await import({(site / "src" / "index.js").as_uri()!r});
            const {{ image, icc }} = await decodePicture(readFileSync("gray.vqc"));
            const save = async (name) =>
                writeFileSync(name, Buffer.from(await (await encodePng(image, {{ icc }})).arrayBuffer()));
            await save("gray.png");
            image.data[0] ^= 1;
            await save("colour.png");
        """
        subprocess.run([node, "--input-type=module", "-e", script], cwd=tmp_path, check=True, timeout=60)
        with Image.open(tmp_path / "gray.png") as saved, Image.open(tmp_path / "colour.png") as other:
            assert saved.mode == mode
            assert saved.info["icc_profile"] == profile_bytes(6)
            assert np.array_equal(np.asarray(saved), np.asarray(codec.decompress(data)))
            assert "icc_profile" not in other.info
            assert other.mode == {"L": "RGB", "LA": "RGBA"}[mode]


def test_another_model_is_refused_by_name(run_node):
    data = bytearray(samples.golden()["whole"])
    data[8] ^= 1
    (result,) = run_node([{"data": repaired(bytes(data))}])["results"]
    assert result["error"] == "ModelMismatch"
    assert result["message"].startswith(f"the file needs model {bytes(data[8:16]).hex()}, here are: ")


def test_weights_that_were_changed_or_lack_a_decoder_are_refused(run_node, site, tmp_path):
    data = samples.golden()["whole"]
    (path,) = (site / "dist" / "models").glob("2c3f*.safetensors")
    for place in (300, -1):  # in the header, and in a tensor
        changed = bytearray(path.read_bytes())
        changed[place] ^= 1
        (tmp_path / "changed.safetensors").write_bytes(changed)
        setup = {"weights": [str(tmp_path / "changed.safetensors")]}
        (result,) = run_node([{"data": data}], setup=setup)["results"]
        assert (result["error"], result["known"]) == ("ModelNotFound", True), place
    (result,) = run_node([{"data": data, "options": {"realism": 1}}])["results"]
    assert result["message"] == "the model has no perceptual decoder, which realism needs"


@pytest.mark.parametrize("right", [False, True])
def test_damage_ends_as_in_python(run_node, codec, right):
    """With checksums as they are left, and put right again."""
    source, files = random.Random(11), list(samples.seeds(codec).values())
    hurt = [damaged(source.choice(files), source, kind) for kind in DAMAGES for _ in range(25)]
    if right:
        hurt = [repaired(data, codec.model.bitstream_id) for data in hurt]
    answer = run_node([{"data": data} for data in hurt])
    tiny = samples.load()
    for data, result in zip(hurt, answer["results"], strict=True):
        wanted = outcome(codec, data)
        wanted = outcome(tiny, data) if wanted == "ModelMismatch" else wanted
        assert result.get("error", "a picture") == wanted, (data.hex(), result)
        assert result.get("known", True), result
    assert answer["megabytes"] < 600


def test_files_that_end_early_anywhere_are_decoded_as_in_python(run_node, codec):
    source, golden, tiny = random.Random(13), samples.golden(), samples.load()
    files, jobs, wanted = list(samples.seeds(codec).items()), [], []
    for number in range(60):
        name, data = files[number % len(files)]
        cut = data[: source.randrange(probe(data).data_offset - 8, len(data))]
        preview = source.choice([None, None, 1])
        jobs.append({"data": cut, "options": {"partial": True, "preview": preview}})
        try:
            decoder = tiny if name in golden else codec
            wanted.append(expected(decoder, cut, allow_partial=True, preview=preview))
        except VQCodecError as error:
            wanted.append({"error": type(error).__name__})
    found = run_node(jobs)["results"]
    found = [result if "sha256" in result else {"error": result["error"]} for result in found]
    assert found == wanted
    assert sum("sha256" in result for result in wanted) > 40


def test_bombs_are_refused_in_bounded_memory(run_node, codec):
    every = {**BOMBS, **bombs(codec.model.bitstream_id)}
    jobs = [
        {"data": data, "options": {"limits": vars(limits) if limits != DEFAULT_LIMITS else UNSAID}}
        for data, limits in every.values()
    ]
    answer = run_node(jobs)
    for name, result in zip(every, answer["results"], strict=True):
        assert result.get("known"), (name, result)
    assert answer["megabytes"] < 600
    assert Limits() == DEFAULT_LIMITS
