# SPDX-License-Identifier: Apache-2.0
"""Datasets that lie consistently: what they say is wrong, and every hash and list is renewed to go with it.

Only a check that knows what the columns mean finds these. The writer's own parts renew the hashes.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.faults.damages import MEMBERS, Damage, Named, any_shard, name_of, overwrite
from pipeline.dataset.finish import finish_dataset
from stages.shard.files import ShardFiles
from stages.shard.record import record_of
from stages.shard.stats import shard_stats, stats_text
from stages.shard.tar import TarStream

Row = dict[str, Any]


@dataclass(slots=True)
class Forged:
    """A shard taken apart."""

    rows: list[Row]
    members: dict[str, dict[str, bytes]]
    """By key, then by extension; written in this order."""
    sample: Row
    """The row that is to lie: an `ok` one that has entities."""
    late: Callable[[], object] = lambda: None
    """Runs once the places in the tar are known, before the parquet is written."""

    def retell(self) -> None:
        """Make the sample's json say what its row says."""
        extra = json.loads(self.members[self.sample["key"]]["json"])["extra"]
        text = json.dumps(record_of(self.sample, extra), ensure_ascii=False, separators=(",", ":"))
        self.members[self.sample["key"]]["json"] = text.encode()

    @property
    def entity(self) -> Row:
        """The sample's best."""
        return self.sample["entities"][0]


Lie = Callable[[Forged, Random], object]


def forgeries() -> Iterator[Damage]:
    """All of them, in a fixed order."""
    for name, lie in _LIES.items():
        yield Damage("consistent forgery", name, partial(_forge, lie, name in _OF_THE_SHARD))
    yield Damage(
        "consistent forgery", "a re-encoded picture cut off", partial(_forge, _cut_picture, False), True
    )
    yield Damage("consistent forgery", "listed item twice", _item_twice_in_the_listing)
    yield Damage("consistent forgery", "manifest of another configuration", _other_manifest)
    yield Damage("consistent forgery", "list of other counts", _other_list)
    yield Damage("consistent forgery", "index of other rows", _other_index)
    yield Damage("consistent forgery", "stats of other counts", _other_stats)


def _forge(lie: Lie, of_the_shard: bool, root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    forged = _taken_apart(shard, rng, reencoded=lie is _cut_picture)
    key = forged.sample["key"]
    lie(forged, rng)
    _put_together(shard, forged)
    finish_dataset(root)
    return [(name_of(shard),) if of_the_shard else (name_of(shard), key)]


def _taken_apart(shard: ShardFiles, rng: Random, reencoded: bool) -> Forged:
    rows, content = pq.read_table(shard.parquet).to_pylist(), shard.tar.read_bytes()
    members = {
        row["key"]: {e: content[row[f"{e}_offset"] :][: row[f"{e}_size"]] for e in MEMBERS}
        for row in rows
        if row["status"] == "ok"
    }
    fit = [row for row in rows if row["status"] == "ok" and row["entities"]]
    return Forged(rows, members, rng.choice([row for row in fit if row["reencoded"] or not reencoded]))


def _put_together(shard: ShardFiles, forged: Forged) -> None:
    schema, places = pq.read_schema(shard.parquet), {row["key"]: row for row in forged.rows}
    for path in (shard.tar, shard.parquet, shard.stats):
        path.unlink()
    with shard.tar.open("x+b") as tar, shard.parquet.open("x+b") as parquet:
        stream = TarStream(tar)
        for key, members in forged.members.items():
            for extension, content in members.items():
                start, row = stream.add(f"{key}.{extension}", content), places.get(key, {})
                row |= {f"{extension}_offset": start, f"{extension}_size": len(content)}
        stream.close()
        forged.late()
        table = pa.Table.from_pylist(forged.rows, schema)
        pq.write_table(table, parquet, compression="zstd", row_group_size=max(len(forged.rows), 1))
        tar.flush()
        parquet.flush()
        shard.stats.write_text(stats_text(shard_stats(shard.number, table, {"tar": tar, "parquet": parquet})))


def _entity(**values: Any) -> Lie:
    """An entity that says so in row and json."""

    def lie(forged: Forged, rng: Random) -> None:
        forged.entity.update(values)
        forged.retell()

    return lie


def _column(**values: Any) -> Lie:
    def lie(forged: Forged, rng: Random) -> None:
        forged.late = partial(forged.sample.update, values)

    return lie


def _box_outside(forged: Forged, rng: Random) -> None:
    forged.entity["box"][rng.choice([2, 3])] = 1.5 * max(forged.sample["width"], forged.sample["height"])
    forged.retell()


def _other_mask(forged: Forged, rng: Random) -> None:
    rows = [row for row in forged.rows if row["status"] == "ok" and row["entities"]]
    others = [e["rle"] for row in rows for e in row["entities"] if e["rle"] != forged.entity["rle"]]
    forged.entity["rle"] = rng.choice([rle for rle in others if rle["size"] == forged.entity["rle"]["size"]])
    forged.retell()


def _pixel(forged: Forged, rng: Random) -> None:
    members = forged.members[forged.sample["key"]]
    labels = np.array(Image.open(io.BytesIO(members["png"])))
    labels[rng.randrange(labels.shape[0]), rng.randrange(labels.shape[1])] ^= 1
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, format="PNG", compress_level=6)
    members["png"] = stream.getvalue()


def _in_json(name: str, value: Any) -> Lie:
    def lie(forged: Forged, rng: Random) -> None:
        members = forged.members[forged.sample["key"]]
        record = json.loads(members["json"]) | {name: value}
        members["json"] = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()

    return lie


def _caption(forged: Forged, rng: Random) -> None:
    forged.sample["caption"] = "so " + forged.sample["caption"]
    forged.members[forged.sample["key"]]["txt"] = (
        forged.sample["alt_text"] or forged.sample["caption"]
    ).encode()
    forged.retell()


def _span(forged: Forged, rng: Random) -> None:
    forged.sample["nouns"][0]["head_span"] = [0, 1]
    forged.retell()


def _key_of_another(forged: Forged, rng: Random) -> None:
    old = forged.sample["key"]
    new = f"{int(old[:5]) + 1:05d}{old[5:]}"
    forged.sample["key"] = new
    forged.members = {new if key == old else key: members for key, members in forged.members.items()}
    forged.retell()


def _row_missing(forged: Forged, rng: Random) -> None:
    del forged.members[forged.sample["key"]]
    forged.rows.remove(forged.sample)


def _row_twice(forged: Forged, rng: Random) -> None:
    forged.rows.append(dict(forged.sample))


def _rejected(forged: Forged, rng: Random) -> None:
    lost = {"status": "rejected", "stage": "select", "reason": "too_few_entities"}
    places = {f"{member}_{what}": None for member in MEMBERS for what in ("offset", "size")}
    forged.late = partial(forged.sample.update, lost | places)


def _source_key_of_another(forged: Forged, rng: Random) -> None:
    others = {row["source_key"] for row in forged.rows} - {forged.sample["source_key"]}
    forged.sample["source_key"] = rng.choice(sorted(others))
    forged.retell()


def _shifted(forged: Forged, rng: Random) -> None:
    name = f"{rng.choice(MEMBERS)}_offset"
    forged.late = lambda: forged.sample.update({name: forged.sample[name] + rng.choice([-512, 1, 512])})


def _member_of_another(extension: str) -> Lie:
    def lie(forged: Forged, rng: Random) -> None:
        others = [row["key"] for row in forged.rows if row["status"] == "ok" and row is not forged.sample]
        other = forged.members[rng.choice(others)][extension]
        forged.members[forged.sample["key"]][extension] = other

    return lie


def _cut_picture(forged: Forged, rng: Random) -> None:
    members = forged.members[forged.sample["key"]]
    members["jpg"] = members["jpg"][: len(members["jpg"]) * 2 // 3]


_LIES: dict[str, Lie] = {
    "box out of bounds": _box_outside,
    "box without area": _entity(box=[5.0, 5.0, 5.0, 9.0]),
    "mask of another entity": _other_mask,
    "area": _entity(area=3),
    "mask_box": _entity(mask_box=[0, 0, 1, 1]),
    "fill": _entity(fill=0.001),
    "det_score": _entity(det_score=1.5),
    "id": _entity(id=2),
    "contained_in": _entity(contained_in=9),
    "span": _entity(span=[0, 1]),
    "head of a noun": _span,
    "pixel of the label map": _pixel,
    "caption in the json only": _in_json("caption", "a lie"),
    "size in the json only": _in_json("width", 7),
    "mask list in the json only": _in_json("mask", []),
    "schema version in the json": _in_json("schema_version", 2),
    "caption in row and json": _caption,
    "caption in the row only": _column(caption="a lie"),
    "key of another shard": _key_of_another,
    "row missing": _row_missing,
    "row twice": _row_twice,
    "sample said to be rejected": _rejected,
    "status without reason": _column(status="error"),
    "unknown status": _column(status="fine"),
    "ok with a reason": _column(stage="select", reason="too_few_entities"),
    "source item twice": _source_key_of_another,
    "offset shifted": _shifted,
    "size of the picture": _column(width=7),
    "digest of the source": _column(sha256="0" * 64, reencoded=False),
    **{f"{extension} of another sample": _member_of_another(extension) for extension in MEMBERS},
}
_OF_THE_SHARD = {"key of another shard", "row missing", "row twice", "sample said to be rejected"}
_OF_THE_SHARD |= {"source item twice"}


def _item_twice_in_the_listing(root: Path, rng: Random) -> Named:
    """The listing agrees with the shard, and its digest is renewed; the manifest's is not."""
    shard = any_shard(root, rng)
    forged = _taken_apart(shard, rng, reencoded=False)
    _source_key_of_another(forged, rng)
    _put_together(shard, forged)
    path, keys = root / "_meta" / "source.parquet", [row["source_key"] for row in forged.rows]
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
    return [("_meta/source.parquet",)]


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
