"""The weights file: round trip, fingerprints, and every way to be no weights file."""

from __future__ import annotations

import errno
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.tiny import TINY, load_codec
from vqcodec.errors import ModelNotFound
from vqcodec.model.config import ModelConfig
from vqcodec.weights.checkpoint import fingerprint, identities, load_weights
from vqcodec.weights.writing import save_weights
from vqcodec.weights.zoo import describe_model


@pytest.fixture(scope="module")
def contents(tiny_weights):
    """(tensors, string map) of the tiny model."""
    with safe_open(tiny_weights, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


@pytest.fixture
def small():
    transforms: dict[str, np.ndarray] = {
        "log_gain": np.arange(9, dtype=np.float32)[:, None],
        "g_s.last.weight": np.arange(-4, 4, dtype=np.int16).reshape(2, 1, 1, 4),
        "g_a.first.scale": np.ones(3, np.float32),
        "h_a.mix.weight": np.zeros((2, 1, 1, 2), np.int8),
    }
    coding: dict[str, np.ndarray] = {
        "words": np.arange(6, dtype=np.int16).reshape(2, 3),
        "powers": np.array([1, 2], dtype=np.uint32),
    }
    return transforms, coding


def rewrite(path, tensors, notes, **changes):
    """Write a file with some notes changed (None leaves one out) and the ids made right again."""
    notes = notes | {key: value.hex() for key, value in identities(tensors).items()} | changes
    save_file(tensors, path, metadata={k: v for k, v in notes.items() if v is not None})
    return path


# -- round trip --------------------------------------------------------------------------------
def test_round_trip(tmp_path, small):
    transforms, coding = small
    path = tmp_path / "mine.safetensors"
    ids = save_weights(path, TINY, transforms, coding, {"name": "mine", "training": "{}"})
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]
    weights = load_weights(path)
    assert (weights.bitstream_id, weights.decoder_id) == ids
    assert (weights.name, weights.config, weights.realism, weights.realism_id) == ("mine", TINY, {}, b"")
    for saved, loaded in ((transforms, weights.transforms), (coding, weights.coding)):
        assert set(loaded) == set(saved)
        for name, array in saved.items():
            assert loaded[name].dtype == array.dtype
            assert np.array_equal(loaded[name], array)


def test_a_failed_write_leaves_nothing(tmp_path, small, monkeypatch):
    transforms, coding = small
    path = tmp_path / "mine.safetensors"
    ids = save_weights(path, TINY, transforms, coding, {})
    monkeypatch.setattr("vqcodec.weights.writing.save", lambda *_, **__: "no bytes")
    with pytest.raises(TypeError):
        save_weights(path, TINY, transforms, coding, {})
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]
    assert load_weights(path).bitstream_id == ids[0]


def test_saving_what_was_loaded_keeps_the_ids(tmp_path, tiny_weights):
    weights = load_weights(tiny_weights)
    path = tmp_path / "again.safetensors"
    again = save_weights(path, weights.config, weights.transforms, weights.coding, {})
    assert again == (weights.bitstream_id, weights.decoder_id)


def test_the_name_is_the_stem_without_a_note(tmp_path, small):
    transforms, coding = small
    save_weights(tmp_path / "stem.safetensors", TINY, transforms, coding, {})
    assert load_weights(tmp_path / "stem.safetensors").name == "stem"


def test_the_zoo_reads_the_same_ids(tiny_weights):
    weights, info = load_weights(tiny_weights), describe_model(tiny_weights)
    assert (info.bitstream_id, info.decoder_id) == (weights.bitstream_id.hex(), weights.decoder_id.hex())


def test_an_unknown_size_is_refused_by_name():
    with pytest.raises(TypeError, match="depth"):
        ModelConfig.from_dict(TINY.to_dict() | {"depth": 3})


def test_the_configuration_survives_json():
    config = ModelConfig(context_levels=(7, 2), bands=((2, 448, 16),))
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


# -- fingerprints ------------------------------------------------------------------------------
def test_known_fingerprint():
    """Files in the world carry these eight bytes: the serialisation must never change."""
    tensors: dict[str, np.ndarray] = {
        "b": np.array([1, -2], dtype=np.int16),
        "a": np.array([[1.5]], dtype=np.float32),
    }
    assert fingerprint(tensors).hex() == "cfbb800d0d9b6549"
    assert fingerprint(dict(reversed(tensors.items()))) == fingerprint(tensors)
    assert fingerprint({"b": tensors["b"].astype(">i2"), "a": tensors["a"]}) == fingerprint(tensors)


def test_fingerprint_sees_name_type_and_shape():
    base = {"a": np.zeros((2, 3), dtype=np.int16)}
    others: list[dict[str, np.ndarray]] = [
        {"b": base["a"]},
        {"a": base["a"].reshape(3, 2)},
        {"a": base["a"].view(np.uint16)},
        {"a": base["a"].view(np.int8)},
        {"a": base["a"] + np.int16(1)},
        {},
    ]
    assert len({fingerprint(t) for t in [base, *others]}) == len(others) + 1


def test_every_tensor_counts_where_it_belongs(contents):
    """coding.* changes bitstream_id only, g_s and the gains decoder_id only, g_a and h_a neither."""
    tensors, _ = contents
    before = identities(tensors)
    kinds = set()
    random = np.random.default_rng(0)
    for name, tensor in tensors.items():
        raw = bytearray(np.ascontiguousarray(tensor).tobytes())
        raw[random.integers(len(raw))] ^= 1 << random.integers(8)
        changed = np.frombuffer(bytes(raw), tensor.dtype).reshape(tensor.shape)
        ids = identities(tensors | {name: changed})
        kind = name.split(".")[0]
        kinds.add(kind)
        assert (ids["bitstream_id"] != before["bitstream_id"]) == (kind == "coding"), name
        assert (ids["decoder_id"] != before["decoder_id"]) == (kind in ("g_s", "log_gain")), name
    assert kinds == {"coding", "g_s", "log_gain", "g_a", "h_a"}


def test_any_changed_coding_byte_changes_the_id(contents):
    words = contents[0]["coding.z.words.0"]
    seen = {fingerprint({"w": words})}
    for i in range(words.nbytes):
        raw = bytearray(words.tobytes())
        raw[i] ^= 0x80
        seen.add(fingerprint({"w": np.frombuffer(bytes(raw), words.dtype).reshape(words.shape)}))
    assert len(seen) == words.nbytes + 1


# -- what is refused ---------------------------------------------------------------------------
def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelNotFound, match=r"none\.safetensors"):
        load_weights(tmp_path / "none.safetensors")


def test_a_file_that_may_not_be_read_is_not_told_as_missing(tiny_weights, monkeypatch):
    def closed(path, *_args):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(ModelNotFound, match="Permission denied"):
        load_weights(tiny_weights)


def test_damaged_data_is_refused_wherever_it_is(tmp_path, tiny_weights):
    data = tiny_weights.read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    path = tmp_path / "damaged.safetensors"
    with safe_open(tiny_weights, framework="np") as file:
        offsets = json.loads(data[8:start])
        assert set(file.keys()) < set(offsets)
    refused = 0
    names = [n for n in offsets if n.startswith(("coding.", "g_s.", "log_gain"))]
    for name in names:
        damaged = bytearray(data)
        damaged[start + offsets[name]["data_offsets"][0]] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ModelNotFound, match="damaged"):
            load_weights(path)
        refused += 1
    assert refused == len(names) > 50


@pytest.mark.parametrize("keep", [0, 7, 100, -1, -1000])
def test_cut_files_are_refused(tmp_path, tiny_weights, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_weights.read_bytes()[:keep])
    with pytest.raises(ModelNotFound, match=r"cut\.safetensors"):
        load_weights(path)


@pytest.mark.parametrize("data", [b"", b"not a file of tensors", b"\xff" * 64, bytes(64)])
def test_other_bytes_are_refused(tmp_path, data):
    path = tmp_path / "other.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelNotFound):
        load_weights(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "not a weights file of format vqcodec-weights-1"),
        ({"format": "vqcodec-weights-2"}, "not a weights file of format vqcodec-weights-1"),
        ({"config": None}, "cannot load weights"),
        ({"config": "{"}, "cannot load weights"),
        ({"config": '{"layers": 3}'}, "cannot load weights"),
        ({"config": json.dumps(TINY.to_dict() | {"first_passes": 1})}, "cannot load weights"),
        ({"bitstream_id": None}, "cannot load weights"),
        ({"bitstream_id": "00" * 8}, "do not match their own fingerprints"),
        ({"decoder_id": "00" * 8}, "do not match their own fingerprints"),
    ],
)
def test_wrong_notes_are_refused(tmp_path, contents, changes, message):
    path = rewrite(tmp_path / "wrong.safetensors", *contents, **changes)
    with pytest.raises(ModelNotFound, match=message) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "g_a.first.weight",
        "g_s.last.scale",
        "g_s.latent.step",
        "log_gain",
        "h_a.mix.step",
        "g_a.fine.0.conv2.scale",
    ],
)
def test_incomplete_transforms_are_refused(tmp_path, contents, name):
    tensors = {n: t for n, t in contents[0].items() if n != name}
    with pytest.raises(ModelNotFound, match="unusable transforms"):
        load_codec(rewrite(tmp_path / "part.safetensors", tensors, contents[1]))


@pytest.mark.parametrize("name", ["g_s.fine.0.conv1", "g_s.restoration.mix", "h_a.mix"])
def test_weights_beyond_exact_arithmetic_are_refused(tmp_path, contents, name):
    weight = contents[0][f"{name}.weight"].copy()
    weight[0, 0, 0, 0] = 65
    tensors = contents[0] | {f"{name}.weight": weight}
    codec = load_codec(rewrite(tmp_path / "large.safetensors", tensors, contents[1]))
    with pytest.raises(ModelNotFound, match=f"unusable transforms: {name}"):
        codec.decompress(codec.compress(Image.new("RGB", (32, 16)), drawn=False))


@pytest.mark.parametrize(
    "name",
    [
        "powers",
        "slices",
        "y.shifts",
        "y.words.1",
        "y.tables.0",
        "z.tables.0",
        "prior.compand",
        "prior.leave.3.bias",
        "prior.linear.2",
        "prior.look.5.weight",
        "prior.tell.7.shift",
    ],
)
def test_incomplete_coding_arrays_are_refused(tmp_path, contents, name):
    tensors = {n: t for n, t in contents[0].items() if n != f"coding.{name}"}
    with pytest.raises(ModelNotFound, match="coding arrays"):
        load_codec(rewrite(tmp_path / "part.safetensors", tensors, contents[1]))


@pytest.mark.parametrize(("name", "kind", "factor"), [("z", np.int16, 100), ("y", np.int32, 2**20)])
def test_codewords_beyond_exact_arithmetic_are_refused(tmp_path, contents, name, kind, factor):
    words = contents[0][f"coding.{name}.words.0"].astype(kind) * kind(factor)
    tensors = contents[0] | {f"coding.{name}.words.0": words}
    with pytest.raises(ModelNotFound, match="exact arithmetic"):
        load_codec(rewrite(tmp_path / "large.safetensors", tensors, contents[1]))


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        ([2, 1], "rising numbers"),
        ([0, 1], "rising numbers"),
        ([1, 3], "rising numbers"),
        ([-1], "rising numbers"),
        ([2], "do not fit the layers"),
    ],
)
def test_slices_that_do_not_fit_the_bands_are_refused(tmp_path, contents, starts, said):
    tensors = contents[0] | {"coding.slices": np.array(starts, dtype=np.int32)}
    path = rewrite(tmp_path / "slices.safetensors", tensors, contents[1])
    with pytest.raises(ModelNotFound, match=said):
        load_codec(path)


def test_context_levels_that_do_not_fit_the_tables_are_refused(tmp_path, contents):
    tensors = contents[0] | {"coding.context_levels": np.array([8, 4], dtype=np.int32)}
    path = rewrite(tmp_path / "levels.safetensors", tensors, contents[1])
    with pytest.raises(ModelNotFound, match="context classes"):
        load_codec(path)
