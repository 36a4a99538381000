# SPDX-License-Identifier: Apache-2.0
"""The cut into shards: nothing but the sorted listing and the shard's size decides it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.base import Item, Member, listing_table
from pipeline.sources.shards import sample_key, shard_count, shard_slice


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


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a~2éZ\U0001f408\uffff"), min_size=1, max_size=3), max_size=30))
def test_keys_come_out_unique_and_in_code_point_order(keys: list[str]) -> None:
    listed = listing_table([Item(key, f"{n}") for n, key in enumerate(keys)])["source_key"].to_pylist()
    assert listed == sorted(listed)
    assert len(set(listed)) == len(keys)
    assert set(keys) <= set(listed)
