# SPDX-License-Identifier: Apache-2.0
import pyarrow as pa
import pytest

from pipeline.dataset.new_part import write_part
from pipeline.dataset.parts import known_parts, next_shard, part_files, read_part
from pipeline.errors import UserError
from pipeline.sources.base import LISTING, Item, Member, listing_table
from pipeline.sources.shards import shard_count, shard_slice

ABOUT = {"kind": "build", "source": "abc", "limit": None}


def items(count):
    return [
        Item(
            f"a/{n:08d}", f"f{n % 3}", n if n % 2 else None, tuple(Member("jpg", n, m) for m in range(n % 3))
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(("count", "shard_size"), [(0, 3), (1, 3), (3, 3), (10, 3), (10, 100)])
def test_each_shard_is_one_row_group(tmp_path, count, shard_size):
    listing = listing_table(items(count))
    part = write_part(tmp_path, 4, listing, shard_size, ABOUT)
    assert part == read_part(part.listing)
    assert (part.first, part.items, part.shards) == (4, count, shard_count(count, shard_size))
    assert part.about == ABOUT
    keys = [rows["source_key"].to_pylist() for rows in part.all_rows(["source_key"])]
    for place, shard in enumerate(part.numbers):
        rows = part.rows(shard)
        assert rows.schema.equals(LISTING)
        assert keys[place] == rows["source_key"].to_pylist()
        assert rows.equals(listing[shard_slice(place, shard_size)])


def test_equal_listings_give_equal_bytes_however_they_lie_in_memory(tmp_path):
    listing = listing_table(items(40_000), other_files=3)
    pieces = pa.concat_tables([listing.slice(start, 7) for start in range(0, 40_000, 7)])
    one = write_part(tmp_path / "a", 0, listing, 40_000, ABOUT)
    other = write_part(tmp_path / "b", 0, pieces, 40_000, ABOUT)
    assert one.listing.read_bytes() == other.listing.read_bytes()


def test_parts_follow_one_another_without_a_gap(tmp_path):
    write_part(tmp_path, 0, listing_table(items(10)), 4, ABOUT)
    write_part(tmp_path, 3, listing_table(items(5)), 4, {"kind": "extend"})
    parts = known_parts(tmp_path)
    assert [(part.kind, list(part.numbers)) for part in parts] == [("build", [0, 1, 2]), ("extend", [3, 4])]
    assert next_shard(parts) == 5
    parts[0].listing.unlink()
    with pytest.raises(UserError, match=r"00000\.parquet is missing"):
        known_parts(tmp_path)


def test_a_damaged_part_is_named(tmp_path):
    part = write_part(tmp_path, 0, listing_table(items(10)), 4, ABOUT)
    part.listing.write_bytes(part.listing.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"source is damaged"):
        known_parts(tmp_path)


def test_parts_follow_one_another_by_number_however_long_their_names(tmp_path):
    names = ["00000.parquet", "60000.parquet", "110000.parquet"]
    folder = tmp_path / "_meta" / "source"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    assert [path.name for path in part_files(tmp_path)] == names
