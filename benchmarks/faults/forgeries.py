# SPDX-License-Identifier: Apache-2.0
"""Datasets that lie consistently: what they say is wrong, and every hash and list is renewed to go with it.

Only a check that knows what the columns mean finds these. The writer's own parts renew the hashes.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults.damage import Damage, Named, any_shard, name_of, overwrite
from benchmarks.faults.forged import put_together, taken_apart
from benchmarks.faults.lies import LIES, OF_THE_SHARD, Lie, cut_picture, source_key_of_another
from pipeline.dataset.finish import finish_dataset
from stages.shard.stats import stats_text

_CUT = "a re-encoded picture cut off"


def forgeries() -> Iterator[Damage]:
    """All of them, in a fixed order."""
    for name, lie in LIES.items():
        yield Damage("consistent forgery", name, partial(_forge, name, lie))
    yield Damage("consistent forgery", _CUT, partial(_forge, _CUT, cut_picture), deep=True)
    yield Damage("consistent forgery", "listed item twice", _item_twice_in_the_listing)
    yield Damage("consistent forgery", "manifest of another configuration", _other_manifest)
    yield Damage("consistent forgery", "list of other counts", _other_list)
    yield Damage("consistent forgery", "index of other rows", _other_index)
    yield Damage("consistent forgery", "stats of other counts", _other_stats)


def _forge(name: str, lie: Lie, root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    # Nothing vouches for the bytes of a picture that was encoded anew but hashes, and those are renewed.
    reencoded = {_CUT: True, "jpg of another sample": False}.get(name)
    forged = taken_apart(shard, rng, reencoded)
    key = forged.sample["key"]
    lie(forged, rng)
    put_together(shard, forged)
    finish_dataset(root)
    return [(name_of(shard),) if name in OF_THE_SHARD else (name_of(shard), key)]


def _item_twice_in_the_listing(root: Path, rng: Random) -> Named:
    """The listing says the same as the shard, and its digest is renewed."""
    shard = any_shard(root, rng)
    forged = taken_apart(shard, rng, reencoded=None)
    source_key_of_another(forged, rng)
    put_together(shard, forged)
    path, keys = root / "_meta" / "source" / "00000.parquet", [row["source_key"] for row in forged.rows]
    with pq.ParquetFile(path) as old:
        groups = [old.read_row_group(group) for group in range(old.num_row_groups)]
    place = groups[shard.number].column_names.index("source_key")
    field = groups[shard.number].schema.field("source_key")
    groups[shard.number] = groups[shard.number].set_column(place, field, pa.array(keys))
    path.unlink()
    with pq.ParquetWriter(path, groups[0].schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)
    finish_dataset(root)
    return [("_meta/source/00000.parquet",)]


def _other_manifest(root: Path, rng: Random) -> Named:
    path = root / "_meta" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["identity"]["config"]["shard_size"] = 77
    overwrite(path, (json.dumps(manifest, indent=1) + "\n").encode())
    finish_dataset(root)
    return [("_meta/manifest.json",)]


def _other_list(root: Path, rng: Random) -> Named:
    path = root / "_meta" / "shards.json"
    listing = json.loads(path.read_bytes())
    entry = rng.choice(listing)
    entry["nsamples"] += 1
    overwrite(path, (json.dumps(listing, indent=1) + "\n").encode())
    _renew_digest(root, path)
    return [("_meta/shards.json", entry["url"])]


def _other_index(root: Path, rng: Random) -> Named:
    path, shard = root / "_meta" / "index.parquet", any_shard(root, rng)
    with pq.ParquetFile(path) as old:
        groups = [old.read_row_group(group) for group in range(old.num_row_groups)]
    place = groups[0].column_names.index("caption")
    rows = groups[shard.number].num_rows
    groups[shard.number] = groups[shard.number].set_column(place, "caption", pa.array(["a lie"] * rows))
    path.unlink()
    with pq.ParquetWriter(path, groups[0].schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)
    _renew_digest(root, path)
    return [(name_of(shard), "index.parquet")]


def _other_stats(root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    stats = json.loads(shard.stats.read_bytes())
    name = rng.choice(["count", "successes", "instances", "failed_to_download", "schema_version", "shard"])
    stats[name] += 1
    overwrite(shard.stats, stats_text(stats).encode())
    finish_dataset(root)
    return [(name_of(shard), name)]


def _renew_digest(root: Path, path: Path) -> None:
    place = root / "_meta" / "digests.json"
    digests = json.loads(place.read_bytes()) | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    overwrite(place, (json.dumps(digests, indent=1) + "\n").encode())
