"""Decoder files for the web: every tensor comes back exactly."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from safetensors import safe_open

from benchmarks.robustness import samples
from vqcodec.errors import ModelNotFound
from vqcodec.weights.checkpoint import identities, read_tensors
from vqcodec.weights.decoder_file import INDEX, export_decoder, pack_decoder


def unpacked(path):
    """A second reader, by the description in the module."""
    tensors: dict[str, np.ndarray] = {}
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        for name, (kind, shape, how) in json.loads(metadata["tensors"]).items():
            data = np.frombuffer(zlib.decompress(file.get_tensor(name).tobytes()), np.uint8)
            if how == "turned":
                data = np.moveaxis(data.reshape(shape[-1], *shape[:-1]), 0, -1)
            elif how == "rows":
                data = data.reshape(shape).cumsum(1, dtype=np.uint8)
            else:
                data = data.reshape(np.dtype(kind).itemsize, -1).T
            tensor = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.dtype(kind).newbyteorder("<"))
            if how == "twin":
                tensor = tensor + tensors[name.replace("realism.", "g_s.")].ravel()
            tensors[name] = tensor.reshape(shape)
    return tensors, metadata


@pytest.mark.parametrize("model", ["tiny", "two-faced"])
def test_every_tensor_of_the_decoder_comes_back(tmp_path, model):
    source = samples.TINY
    if model == "two-faced":
        source = tmp_path / "two.safetensors"
        samples.write_two_faced(source)
    whole, stated = read_tensors(source)
    tensors, metadata = unpacked(export_decoder(source, tmp_path / "out"))
    wanted = {name: t for name, t in whole.items() if not name.startswith(("g_a.", "h_a."))}
    assert tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert tensors[name].dtype == tensor.dtype
        assert np.array_equal(tensors[name], tensor), name
    for key, found in identities(tensors).items():
        assert found.hex() == metadata[key] == stated[key]


def test_packing_is_the_same_every_time():
    assert pack_decoder(samples.TINY) == pack_decoder(samples.TINY)


def test_an_index_that_is_none_is_left_alone(tmp_path):
    (tmp_path / INDEX).write_text("{")
    with pytest.raises(ModelNotFound, match=r"not an index of models$"):
        export_decoder(samples.TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [INDEX]


def test_models_of_other_ids_stand_beside_each_other(tmp_path):
    source = tmp_path / "two.safetensors"
    samples.write_two_faced(source)
    paths = [export_decoder(model, tmp_path / "out") for model in (samples.TINY, source)]
    known = json.loads((tmp_path / "out" / INDEX).read_text())
    assert sorted(known.values()) == sorted(path.name for path in paths)
    assert all(name.startswith(f"{bitstream_id}-") for bitstream_id, name in known.items())


@pytest.mark.slow
def test_the_packaged_decoder_fits_the_web():
    name, data = pack_decoder(samples.ROOT / "vqcodec" / "weights" / "default.safetensors")
    assert len(name.split("-")) == 3
    assert len(data) <= 12_000_000
