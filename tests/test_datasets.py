"""Datasets over .vqc files: the codec's pixels, each once, in whatever process decodes them."""

from __future__ import annotations

import copy
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.tiny import picture
from vqcodec.datasets import VqcDataset, VqcShards, random_access, streaming, to_tensor
from vqcodec.errors import CorruptData, ModelMismatch, ModelNotFound, UnsupportedImage, VQCodecError
from vqcodec.shards import Sample, ShardWriter

COUNT = 12


@pytest.fixture(scope="module")
def coded(tiny_codec) -> list[bytes]:
    return [tiny_codec.compress(picture(64, 64, seed=number), quality=60) for number in range(COUNT)]


@pytest.fixture
def shards(tmp_path, coded) -> list[Path]:
    """Four shards of three samples, each with a class."""
    paths = [tmp_path / f"{number}.tar" for number in range(4)]
    for number, path in enumerate(paths):
        with path.open("wb") as file:
            writer = ShardWriter(file)
            for place in range(3 * number, 3 * number + 3):
                writer.add(Sample(f"{place:02}", {"vqc": coded[place], "cls": b"%d" % place}))
            writer.close()
    return paths


@pytest.fixture
def pixels(tiny_codec, coded) -> dict[str, torch.Tensor]:
    return {f"{number:02}": to_tensor(tiny_codec.decompress(data)) for number, data in enumerate(coded)}


def check(found: list[dict[str, Any]], pixels: dict[str, torch.Tensor]) -> None:
    assert sorted(sample["__key__"] for sample in found) == sorted(pixels)
    for sample in found:
        assert torch.equal(sample["image"], pixels[sample["__key__"]])
        assert int(sample["cls"]) == int(sample["__key__"])


def test_random_access(shards, pixels, tiny_weights, tmp_path, coded):
    data = VqcDataset(shards, model=str(tiny_weights))
    assert len(data) == COUNT
    check([data[number] for number in reversed(range(COUNT))], pixels)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x.vqc").write_bytes(coded[3])
    alone = VqcDataset(tmp_path / "folder", model=str(tiny_weights), transform=np.array, preview=1)
    assert alone[0]["__key__"] == "x"
    assert alone[0]["image"].shape == (64, 64, 3)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/sub").symlink_to(tmp_path / "folder", target_is_directory=True)
    assert VqcDataset(tmp_path / "linked", model=str(tiny_weights))[0]["__key__"] == "sub/x"


def test_reading_in_order_and_in_disorder(shards, pixels, tiny_weights):
    data = VqcShards(shards, model=str(tiny_weights))
    found = list(data)
    check(found, pixels)
    assert [sample["__key__"] for sample in found] == sorted(pixels)
    mixed = VqcShards(shards, model=str(tiny_weights), shuffle=5, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        mixed.set_epoch(epoch)
        found = list(mixed)
        check(found, pixels)
        orders.append([sample["__key__"] for sample in found])
    assert orders[0] == orders[2]
    assert len({tuple(order) for order in (*orders, sorted(pixels))}) == 3


def test_ranks_share_the_shards(shards, pixels, tiny_weights, monkeypatch):
    found = []
    for rank in range(3):
        monkeypatch.setenv("WORLD_SIZE", "3")
        monkeypatch.setenv("RANK", str(rank))
        found += list(VqcShards(shards, model=str(tiny_weights), shuffle=2))
    check(found, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("kind", [VqcDataset, VqcShards])
def test_in_workers_of_a_loader(shards, pixels, tiny_weights, start, kind):
    data = kind(shards, model=str(tiny_weights))
    next(iter(data))  # the parent has decoded before, too
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=start)
    check(list(loader), pixels)


def test_damage_is_told_or_left_out(shards, tiny_weights, coded):
    with shards[1].open("wb") as file:
        writer = ShardWriter(file)
        writer.add(Sample("a", {"vqc": coded[0][:-9]}))
        writer.add(Sample("b", {"cls": b"1"}))
        writer.close()
    with pytest.raises(VQCodecError, match=rf"{shards[1]}: a: "):
        list(VqcShards(shards, model=str(tiny_weights)))
    with pytest.raises(VQCodecError, match=rf"{shards[1]}: a: "):
        VqcDataset(shards[1], model=str(tiny_weights))[0]
    assert len(list(VqcShards(shards, model=str(tiny_weights), skip_damaged=True))) == COUNT - 3
    with shards[1].open("wb") as file:
        writer = ShardWriter(file)
        writer.add(Sample("b", {"cls": b"1"}))
        writer.close()
    with pytest.raises(UnsupportedImage, match=r"no \.vqc in sample b"):
        list(VqcShards(shards, model=str(tiny_weights)))


def test_a_damaged_shard_is_named(shards, tiny_weights):
    shards[2].write_bytes(shards[2].read_bytes()[:700])
    with pytest.raises(CorruptData, match=f"{shards[2]}: not a whole tar file"):
        VqcDataset(shards, model=str(tiny_weights))
    with pytest.raises(CorruptData, match=f"{shards[2]}: not a whole tar file"):
        list(VqcShards(shards, model=str(tiny_weights)))


def test_a_damaged_shard_is_left_out_with_a_warning(shards, tiny_weights):
    shards[2].write_bytes(shards[2].read_bytes()[:700])
    with pytest.warns(UserWarning, match=f"{shards[2]}: not a whole tar file.*the rest of it is left out"):
        found = list(VqcShards(shards, model=str(tiny_weights), skip_damaged=True))
    assert [int(sample["__key__"]) for sample in found] == [*range(6), 9, 10, 11]


def test_samples_of_one_name_keep_their_labels(tmp_path, tiny_weights, coded):
    with (tmp_path / "twice.tar").open("wb") as file:
        writer = ShardWriter(file)
        for label in (b"1", b"2"):
            writer.add(Sample("a", {"vqc": coded[0], "cls": label}))
        writer.close()
    data = VqcDataset(tmp_path / "twice.tar", model=str(tiny_weights))
    assert [data[0]["cls"], data[1]["cls"]] == [b"1", b"2"]
    in_order = VqcShards(tmp_path / "twice.tar", model=str(tiny_weights))
    assert [sample["cls"] for sample in in_order] == [b"1", b"2"]


@pytest.mark.slow
def test_spawned_workers_know_the_rank_of_their_parent(shards, tiny_weights, monkeypatch):
    """Also where torch.distributed was started by hand, and nothing in the environment tells."""
    monkeypatch.setattr(streaming, "_ranks", lambda: (1, 2))
    data = VqcShards(shards, model=str(tiny_weights))
    loader = DataLoader(data, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert [int(sample["__key__"]) for sample in loader] == [3, 4, 5, 9, 10, 11]


def test_few_shards_are_open_at_once(shards, pixels, tiny_weights, monkeypatch):
    monkeypatch.setattr(random_access, "_MAPPED", 2)
    data = VqcDataset(shards, model=str(tiny_weights))
    check([data[number] for number in (0, 3, 1, 6, 2, 9, 4, 5, 7, 8, 10, 11)], pixels)
    assert list(data._mapped) == [str(shards[2]), str(shards[3])]


def test_links_are_told(shards, tmp_path, tiny_weights):
    with tarfile.open(shards[0], "a") as tar:
        for name in ("x.vqc", "x.cls"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, "00.vqc"
            tar.addfile(link)
    with pytest.warns(UserWarning, match=r"0\.tar: x\.vqc: links are not followed, of 1"):
        assert len(VqcDataset(shards[0])) == 3
    with pytest.warns(UserWarning, match=r"0\.tar: x\.vqc: links are not followed, of 1"):
        assert len(list(VqcShards(shards[0], model=str(tiny_weights)))) == 3


def test_suffixes_in_capitals(shards, tmp_path, coded):
    (tmp_path / "X.VQC").write_bytes(coded[0])
    shards[0].rename(tmp_path / "0.TAR")
    assert [len(VqcDataset(tmp_path / name)) for name in ("0.TAR", "")] == [3, 1]


def test_a_model_that_is_not_there_is_no_damage(shards):
    """Or a machine without it would find nothing to train on, and not say so."""
    with pytest.raises(ModelMismatch):
        list(VqcShards(shards, skip_damaged=True))
    with pytest.raises(ModelNotFound):
        list(VqcShards(shards, model="nowhere", skip_damaged=True))


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.slow
def test_workers_that_stay_learn_of_the_next_epoch(shards, tiny_weights, start):
    data = copy.deepcopy(VqcShards(shards, model=str(tiny_weights), shuffle=5))
    options: dict[str, Any] = {"num_workers": 1, "persistent_workers": True}
    loader = DataLoader(data, batch_size=None, multiprocessing_context=start, **options)
    orders = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        orders.append([sample["__key__"] for sample in loader])
    assert orders[0] == orders[2] != orders[1]


def test_one_path_alone_is_one_path(shards, tiny_weights):
    for path in (shards[0], str(shards[0])):
        assert len(list(VqcShards(path, model=str(tiny_weights)))) == 3
        assert len(VqcDataset(path)) == 3


def test_what_is_not_there_is_told_at_once(tmp_path):
    for name in ("folder", "a.vqc", "a.tar"):
        with pytest.raises(FileNotFoundError):
            VqcDataset(tmp_path / name)


def test_an_opener_reads_from_elsewhere(shards, pixels, tiny_weights):
    opened = []

    def opener(name: str):
        opened.append(name)
        return (shards[0].parent / name).open("rb")

    check(list(VqcShards([path.name for path in shards], model=str(tiny_weights), opener=opener)), pixels)
    assert opened == [path.name for path in shards]
