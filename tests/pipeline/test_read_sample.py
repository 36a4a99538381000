# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.dataset.read_sample import describe, find_sample
from pipeline.errors import UserError
from stages.write import Write
from tests.shards import shard_table


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("read")
    for shard in range(2):
        Write(folder=str(root)).setup()(shard_table(shard, rows=5))
    return root


def test_every_sample_is_found_with_its_members(dataset: Path) -> None:
    for shard in range(2):
        for row in shard_table(shard, rows=5).to_pylist():
            sample = find_sample(dataset, row["key"])
            assert sample.row["source_key"] == row["source_key"]
            assert sample.jpg == row["image"]
            assert (sample.record is None) == (row["status"] != "ok")
            if sample.record is None or sample.png is None:
                continue
            assert sample.record["key"] == row["key"]
            assert sample.text == (row["alt_text"] or row["caption"])
            labels = np.asarray(Image.open(io.BytesIO(sample.png)))
            assert set(np.unique(labels)) - {0} <= {entity["id"] for entity in row["entities"]}


def test_source_key_finds_the_sample_too(dataset: Path) -> None:
    for row in shard_table(1, rows=5).to_pylist():
        assert find_sample(dataset, row["source_key"]).key == row["key"]


def test_description_has_what_is_known_and_nothing_else(dataset: Path) -> None:
    sample = find_sample(dataset, "00000-00000")
    text = describe(sample)
    assert sample.row["caption"] in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("entity")] == [
        str(entity["id"]) for entity in sample.row["entities"]
    ]
    assert "None" not in text
    lost = describe(find_sample(dataset, "00000-00003"))
    assert "too_small" in lost
    assert "entity" not in lost


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("nonsense", "no sample with the key or source key 'nonsense'"),
        ("../../etc/passwd", "no sample"),
        ("00007-00000", "no sample"),
        ("00001-00099", "no sample"),
    ],
)
def test_wrong_key_is_one_line(dataset: Path, key: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        find_sample(dataset, key)


def test_no_dataset_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a dataset"):
        find_sample(tmp_path, "00000-00000")


@pytest.mark.parametrize("name", ["00000.tar", "00000.parquet"])
@pytest.mark.parametrize("content", [b"", b"PAR1" * 9, None])
def test_damaged_shard_is_one_line(tmp_path: Path, name: str, content: bytes | None) -> None:
    Write(folder=str(tmp_path)).setup()(shard_table(0, rows=2))
    path = tmp_path / "data" / "train" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="subjectforge verify"):
        find_sample(tmp_path, "00000-00000")
