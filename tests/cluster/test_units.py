"""Cutting a job into units: everything once, the largest first, small ones at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqcodec.cluster.units import MOST_BYTES, MOST_PICTURES, Picture, Unit, in_single_pictures, in_units


def pictures(sizes: list[int]) -> list[Picture]:
    return [Picture(f"{number}.png", f"{number}.vqc", size) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 2 * MOST_BYTES), max_size=300), st.integers(1, 50))
def test_every_picture_is_in_one_unit_and_no_unit_too_large(sizes, workers):
    units = list(in_units(pictures(sizes), workers))
    inside = [picture for unit in units for picture in unit.pictures]
    assert sorted(picture.source for picture in inside) == sorted(p.source for p in pictures(sizes))
    assert [picture.size for picture in inside] == sorted(sizes, reverse=True)
    assert [unit.number for unit in units] == list(range(len(units)))
    for unit in units:
        assert 1 <= len(unit.pictures) <= MOST_PICTURES
        assert len(unit.pictures) == 1 or sum(picture.size for picture in unit.pictures) <= MOST_BYTES


def test_the_last_units_are_small_so_that_all_workers_end_together():
    units = list(in_units(pictures([1000] * 2000), workers=2))
    assert len(units[0].pictures) == MOST_PICTURES
    assert [len(unit.pictures) for unit in units[-6:]] == [1] * 6
    # Enough for each worker to do long enough at a time.
    assert len(units) < 60


def test_of_many_workers_the_last_units_are_not_too_small_for_the_driver():
    units = list(in_units(pictures([1000] * 20_000), workers=200))
    assert min(len(unit.pictures) for unit in units[:-1]) == 16


def test_units_are_cut_to_single_pictures_but_shards_stay_whole():
    units = [Unit(3, tuple(pictures([1, 2]))), Unit(7, shard="a.tar", output="b.tar")]
    assert [
        (unit.number, unit.origin, len(unit.pictures), unit.shard) for unit in in_single_pictures(units)
    ] == [
        (0, 3, 1, ""),
        (1, 3, 1, ""),
        (2, 7, 0, "a.tar"),
    ]
