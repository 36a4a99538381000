# SPDX-License-Identifier: Apache-2.0
"""The cut into shards: nothing but the sorted listing and the shard's size decides it."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.base import LISTING, Item, Member, listing_table
from pipeline.sources.shards import (
    listing_digest,
    read_shard_listing,
    sample_key,
    shard_count,
    shard_slice,
    write_listing,
)


def items(count: int) -> list[Item]:
    """Items of all kinds."""
    return [
        Item(
            f"a/path/of/some/length/{n:08d}",
            f"f{n % 3}",
            n if n % 2 else None,
            tuple(Member("jpg", n, m) for m in range(n % 3)),
        )
        for n in range(count)
    ]


@given(st.integers(0, 500), st.integers(1, 60))
def test_shards_are_a_partition_in_order(n_items: int, shard_size: int) -> None:
    everything = list(range(n_items))
    shards = [everything[shard_slice(i, shard_size)] for i in range(shard_count(n_items, shard_size))]
    assert [item for shard in shards for item in shard] == everything
    assert all(len(shard) == shard_size for shard in shards[:-1])
    assert all(shards)


@given(st.lists(st.tuples(st.integers(0, 99_999), st.integers(0, 99_999)), unique=True, min_size=2))
def test_sample_keys_are_unique_sorted_and_without_dots(places: list[tuple[int, int]]) -> None:
    keys = [sample_key(*place) for place in sorted(places)]
    assert keys == sorted(set(keys))
    assert all(set(key) <= set("0123456789-") for key in keys)


@pytest.mark.parametrize("shard_size", [0, -1])
def test_a_shard_holds_something(shard_size: int) -> None:
    with pytest.raises(ValueError, match="shard_size"):
        shard_count(5, shard_size)


def test_the_order_of_discovery_decides_nothing() -> None:
    shuffled = items(50)
    random.Random(0).shuffle(shuffled)
    assert listing_table(shuffled).equals(listing_table(items(50)))
    assert listing_digest(listing_table(shuffled)) == listing_digest(listing_table(items(50)))


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a~2éZ\U0001f408\uffff"), min_size=1, max_size=3), max_size=30))
def test_keys_come_out_unique_and_in_code_point_order(keys: list[str]) -> None:
    listed = listing_table([Item(key, f"{n}") for n, key in enumerate(keys)])["source_key"].to_pylist()
    assert listed == sorted(listed)
    assert len(set(listed)) == len(keys)
    assert set(keys) <= set(listed)


@pytest.mark.parametrize(("count", "shard_size"), [(0, 3), (1, 3), (3, 3), (10, 3), (10, 100)])
def test_each_shard_is_one_row_group(tmp_path: Path, count: int, shard_size: int) -> None:
    listing = listing_table(items(count))
    write_listing(listing, tmp_path / "listing.parquet", shard_size)
    shards = shard_count(count, shard_size)
    assert pq.read_metadata(tmp_path / "listing.parquet").num_row_groups == shards
    for shard in range(shards):
        part = read_shard_listing(tmp_path / "listing.parquet", shard)
        assert part.schema.equals(LISTING)
        assert part.equals(listing[shard_slice(shard, shard_size)])


def test_equal_listings_give_equal_bytes_however_they_lie_in_memory(tmp_path: Path) -> None:
    listing = listing_table(items(40_000), other_files=3)
    pieces = pa.concat_tables([listing.slice(start, 7) for start in range(0, 40_000, 7)])
    write_listing(listing, tmp_path / "a.parquet", 40_000)
    write_listing(pieces, tmp_path / "b.parquet", 40_000)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert listing_digest(listing) == listing_digest(pieces) == listing_digest(listing_table(items(40_000)))


def test_the_digest_sees_every_change_that_matters() -> None:
    def digest(**change: object) -> str:
        given = {"source_key": "a", "path": "p", "row": 1, "members": (Member("jpg", 2, 3),), **change}
        return listing_digest(listing_table([Item(**given), Item("z", "z")]))  # pyright: ignore[reportArgumentType]

    changes = [
        {},
        {"source_key": "b"},
        {"row": 2},
        {"row": None},
        {"members": ()},
        {"members": (Member("png", 2, 3),)},
        {"members": (Member("jpg", 1, 3),)},
        {"members": (Member("jpg", 2, 4),)},
        {"status": "error"},
        {"status": "error", "reason": "broken_tar"},
    ]
    digests = [digest(**change) for change in changes]
    assert len(set(digests)) == len(changes)
    assert all(len(each) == 64 for each in digests)
    assert listing_digest(listing_table([Item("a", "p")])) != listing_digest(listing_table([]))
