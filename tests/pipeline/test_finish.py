# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.layout import committed_shards
from pipeline.dataset.verify import verify
from pipeline.errors import UserError
from stages.columns import ENTITY, SAMPLE
from tests.shards import write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("finished") / "cats", shards=2, rows=9)
    (root / "_meta" / "manifest.json").write_text(
        json.dumps(
            {
                "fingerprint": "f00",
                "packages": {"torch": "2"},
                "identity": {"weights": {"caption.captioner": "ab"}},
            }
        )
    )
    (root / "_meta" / "config.yaml").write_text("stages:\n  detect:\n    threshold: 0.25\n")
    finish_dataset(root)
    return root


def test_totals_are_those_of_the_check(dataset: Path) -> None:
    totals, counts = finish_dataset(dataset), verify(dataset, workers=1).counts
    for name in ("shards", "rows", "samples", "rejected", "errors", "instances"):
        assert getattr(totals, name) == getattr(counts, name) > 0, name
    assert totals.rejected + totals.errors == sum(
        sum(reasons.values()) for reasons in totals.reasons.values()
    )
    assert totals.labels.total() == totals.instances


def test_list_of_shards_matches_the_files(dataset: Path) -> None:
    listing = json.loads((dataset / "_meta" / "shards.json").read_text())
    assert [entry["url"] for entry in listing] == ["data/train/00000.tar", "data/train/00001.tar"]
    for entry in listing:
        content = (dataset / entry["url"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert (entry["nsamples"], entry["rows"]) == (6, 9)


def test_index_has_every_row_but_no_masks(dataset: Path) -> None:
    index = pq.ParquetFile(dataset / "_meta" / "index.parquet")
    assert index.num_row_groups == 2
    table = index.read()
    assert table.column_names == SAMPLE.names
    whole = pd.concat(
        [pd.read_parquet(shard.parquet) for shard in committed_shards(dataset)], ignore_index=True
    )
    assert table["key"].to_pylist() == whole["key"].tolist()
    entity = table["entities"].to_pylist()[0][0]
    assert set(entity) == {field.name for field in ENTITY.fields} - {"rle"}
    assert entity["area"] == whole["entities"][0][0]["area"]


def test_card_says_what_is_in_the_dataset(dataset: Path) -> None:
    text = (dataset / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train/*.tar"}
    ]
    assert "# cats" in body
    assert "| samples | 12 |" in body
    assert "| filter_image | too_small | 4 |" in body
    assert "threshold: 0.25" in body
    assert "weights of caption.captioner: `ab`" in body
    assert "<<" not in text
    for field in (*SAMPLE, *ENTITY.fields):
        line = next(line for line in body.splitlines() if line.startswith(f"| `{field.name}` |"))
        assert not line.endswith("|  |"), f"{field.name} has no explanation"


def test_doing_it_again_changes_nothing(dataset: Path) -> None:
    paths = [dataset / name for name in ("README.md", "_meta/shards.json", "_meta/index.parquet")]
    before = [path.read_bytes() for path in paths]
    index = paths[2].stat()
    finish_dataset(dataset)
    assert [path.read_bytes() for path in paths] == before
    assert paths[2].stat() == index


def test_what_dead_writers_left_goes(dataset: Path) -> None:
    left = dataset / "data" / "train" / ".00009.tar.tmp-0123456789ab"
    left.touch()
    finish_dataset(dataset)
    assert not left.exists()


def test_dataset_without_shards(tmp_path: Path) -> None:
    totals = finish_dataset(tmp_path)
    assert totals.rows == 0
    assert json.loads((tmp_path / "_meta" / "shards.json").read_text()) == []
    assert pq.read_table(tmp_path / "_meta" / "index.parquet").num_rows == 0
    assert "| samples | 0 |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "null"])
def test_unreadable_stats_are_one_line(tmp_path: Path, content: str) -> None:
    root = write_dataset(tmp_path, shards=1, rows=2)
    (root / "data" / "train" / "00000_stats.json").write_text(content)
    with pytest.raises(UserError, match="stats"):
        finish_dataset(root)
