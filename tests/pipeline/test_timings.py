# SPDX-License-Identifier: Apache-2.0
"""What the log beside a dataset says of its stages: shards written by the stage itself, then summed up."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.dataset.timings import BackOff, backoffs, images_per_second
from pipeline.report.record import read_record
from stages.columns import BACKOFF
from tests.shards import shard_table, write_tables


def written(root: Path, *shards: dict[str, int]) -> Path:
    """A dataset of shards in which stages have come down to these sizes."""
    tables = []
    for number, sizes in enumerate(shards):
        table = shard_table(number, rows=2, size=48)
        for stage, size in sizes.items():
            table = table.append_column(BACKOFF + stage, pa.array([size] * 2, pa.int32()))
        tables.append(table)
    return write_tables(root, tables)


def test_the_smallest_safe_size_and_the_shards_are_summed_up(tmp_path: Path) -> None:
    root = written(tmp_path, {"detect": 4}, {}, {"caption": 8, "detect": 2}, {"detect": 3})
    assert backoffs(root) == {"caption": BackOff(size=8, shards=1), "detect": BackOff(size=2, shards=3)}


def test_where_there_was_enough_memory_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert backoffs(written(tmp_path, {}, {})) == {}
    assert backoffs(tmp_path / "no dataset") == {}


def test_logs_of_earlier_versions_are_read(tmp_path: Path) -> None:
    root = written(tmp_path, {}, {"caption": 8})
    log = root / "_meta" / "timings" / "00000.json"
    old = json.loads(log.read_text())
    del old["backoff"]
    log.write_text(json.dumps(old))
    assert backoffs(root) == {"caption": BackOff(size=8, shards=1)}
    assert images_per_second(root)["caption"] == 2.0


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b'{"rows": "1", "images": {}, "seconds": {}}', b"7"]
)
def test_a_damaged_log_is_passed_over(tmp_path: Path, content: bytes) -> None:
    root = written(tmp_path, {}, {"caption": 8})
    (root / "_meta" / "timings" / "00000.json").write_bytes(content)
    (root / "_meta" / "timings" / ".00001.json.tmp-0123456789ab").write_bytes(content)
    assert backoffs(root) == {"caption": BackOff(size=8, shards=1)}
    assert images_per_second(root)["caption"] == 2.0
    assert read_record(root).rows == 2
