# SPDX-License-Identifier: Apache-2.0
import copy
import io
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from pipeline.errors import UserError
from pipeline.train.order import Order, Place
from pipeline.train.records import record_of
from pipeline.train.rules import Rules
from pipeline.train.selection import select, white_fraction
from pipeline.train.shards import DatasetShards, OfficialShards
from tests.pipeline.again import LOCAL, index_of
from tests.pipeline.official_reader import accepted
from tests.pipeline.runs import build, subjectforge


def everything(shards):
    places = [Place(shard, row) for shard, size in enumerate(shards.sizes) for row in range(size)]
    return {shards.name(place): shards.read(place) for place in places}


def test_every_sample_once_with_its_own_bytes(clean):
    shards = DatasetShards(clean)
    rows = [pq.read_table(path).to_pylist() for path in sorted((clean / "data" / "train").glob("*.parquet"))]
    assert shards.sizes == [sum(row["status"] == "ok" for row in some) for some in rows]
    keys = [json.loads(members["json"])["key"] for members in everything(shards).values()]
    assert keys == [row["key"] for some in rows for row in some if row["status"] == "ok"]
    tars = sorted(str(path) for path in (clean / "data" / "train").glob("*.tar"))
    plain = {s["__key__"]: s for s in webdataset.WebDataset(tars, shardshuffle=False)}
    for members in everything(shards).values():
        sample = plain[json.loads(members["json"])["key"]]
        assert {name: sample[name] for name in members} == members


def test_a_copy_in_another_process_reads_the_same(clean):
    shards = DatasetShards(clean)
    shards.read(Place(0, 0))
    assert everything(copy.deepcopy(shards)) == everything(shards)


def test_of_a_retried_item_the_newest_row(source, config, tmp_path):
    (tmp_path / "broken").touch()
    build(source, tmp_path / "out", *LOCAL, config=config)
    before = DatasetShards(tmp_path / "out")
    (tmp_path / "broken").unlink()
    assert subjectforge("retry", tmp_path / "out", *LOCAL).returncode == 0
    after = DatasetShards(tmp_path / "out")
    assert sum(after.sizes) == sum(before.sizes) + 1
    keys = {json.loads(members["json"])["source_key"] for members in everything(after).values()}
    assert keys == {*index_of(tmp_path / "out").query("status == 'ok'").index}


def test_the_official_reader_and_ours_choose_the_same_from_the_same_bytes(clean):
    seen = 0
    for members in everything(DatasetShards(clean)).values():
        arrays = {name: np.asarray(Image.open(io.BytesIO(members[name]))) for name in ("jpg", "png")}
        sample = {**arrays, "json": json.loads(members["json"]), "txt": members["txt"].decode()}
        theirs = sorted(entry["label"] for entry, _ in accepted(sample))
        # As the official code sees it, with the label map's cuts.
        record = record_of({**members, "json": json.dumps(official(sample["json"])).encode()})
        rules = Rules(containment=1, max_subjects=9).legacy()
        chosen = select(record.caption, record.candidates, rules).chosen
        white = white_fraction(np.asarray(record.image)) > rules.white
        ours = [] if white else sorted(each.label for each in chosen)
        assert ours == theirs
        seen += len(ours)
    assert seen


def official(fields):
    return {name: fields[name] for name in ("caption", "mask")}


def test_tars_in_the_official_layout(clean, tmp_path):
    (tmp_path / "tars").mkdir()
    for path in (clean / "data" / "train").glob("*.tar"):
        with webdataset.TarWriter(str(tmp_path / "tars" / path.name)) as writer:
            for sample in webdataset.WebDataset(str(path), shardshuffle=False):
                fields = json.dumps(official(json.loads(sample["json"]))).encode()
                others = {name: sample[name] for name in ("__key__", "jpg", "png", "txt")}
                writer.write({**others, "json": fields})
    ours, theirs = DatasetShards(clean), OfficialShards(tmp_path / "tars")
    assert theirs.sizes == ours.sizes
    for one, other in zip(everything(ours).values(), everything(theirs).values(), strict=True):
        mine, its = record_of(one), record_of(other)
        assert mine.caption == its.caption
        assert [(c.label, c.box, c.score) for c in mine.candidates] == [
            (c.label, c.box, c.score) for c in its.candidates
        ]
        # Their masks are what the label map leaves of ours.
        assert all(
            (b.mask_HW <= a.mask_HW).all() for a, b in zip(mine.candidates, its.candidates, strict=True)
        )


def test_all_samples_in_the_order_of_a_training(clean):
    shards = DatasetShards(clean)
    order = Order(shards.sizes, seed=1)
    keys = [
        json.loads(shards.read(order.at(position))["json"])["key"] for position in range(order.epoch_size)
    ]
    assert len({*keys}) == order.epoch_size == sum(shards.sizes)


def test_mistakes(clean, tmp_path):
    with pytest.raises(UserError, match="has no shard"):
        DatasetShards(tmp_path / "nowhere")
    with pytest.raises(UserError, match="split other"):
        DatasetShards(clean, "other")
    with pytest.raises(UserError, match="has no tar"):
        OfficialShards(tmp_path)
    other = tmp_path / "other"
    shutil.copytree(clean, other)
    stats = other / "data" / "train" / "00001_stats.json"
    stats.write_text(json.dumps({**json.loads(stats.read_text()), "schema_version": 1}))
    with pytest.raises(UserError, match="is of schema 1, not 2"):
        DatasetShards(other)
    (tmp_path / "tars").mkdir()
    whole = (clean / "data" / "train" / "00000.tar").read_bytes()
    (tmp_path / "tars" / "0.tar").write_bytes(whole[:5000])
    with pytest.raises(UserError, match=r"0\.tar is broken"):
        OfficialShards(tmp_path / "tars")
