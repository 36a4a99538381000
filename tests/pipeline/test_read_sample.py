# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.dataset.read_sample import find_sample
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


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("nonsense", "not a sample's key"),
        ("../../etc/passwd", "not a sample's key"),
        ("00007-00000", "no committed shard 00007"),
        ("00001-00099", "no sample 00001-00099"),
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
