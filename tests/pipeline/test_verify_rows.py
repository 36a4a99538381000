# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from tests.pipeline.checks import about, check, vouch
from tests.shards import shard_table, write_source, write_tables


def test_rows_that_are_not_the_listings(dataset: Path) -> None:
    tables = [shard_table(number, rows=7) for number in range(3)]
    tables[1] = tables[1].slice(0, 5)
    write_source(dataset, tables)
    finish_dataset(dataset)
    problems = check(dataset).problems
    assert [problem.shard for problem in problems] == ["train/00001"]
    assert "from row 5 on" in problems[0].what


def replace_member(dataset: Path, edit: Callable[[bytes], bytes], extension: str) -> None:
    """Change the first sample's member in place, same length, and make the stats vouch for it."""
    path = dataset / "data/train/00001.tar"
    row, content = first_row(dataset), path.read_bytes()
    start = row[f"{extension}_offset"]
    end = start + row[f"{extension}_size"]
    new = edit(content[start:end])
    assert new != content[start:end]
    assert len(new) == end - start
    path.write_bytes(content[:start] + new + content[end:])
    vouch(dataset, 1)


def first_row(dataset: Path) -> dict[str, Any]:
    return pq.read_table(dataset / "data/train/00001.parquet").to_pylist()[0]


EDITS: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "score": ("json", lambda old: old.replace(b'"det_score":0.', b'"det_score":1.', 1), "det_score"),
    "number": (
        "json",
        lambda old: old.replace(b'"schema_version":2', b'"schema_version":1'),
        "schema_version",
    ),
    "label": ("json", lambda old: old.replace(b'"background"', b'"backgroynd"'), "mask is not the list"),
    "status": ("json", lambda old: old.replace(b'"status":"ok"', b'"status":"ko"'), "status"),
    "type": ("json", lambda old: old.replace(b'"width":96', b'"width":"6'), "unreadable"),
    "field": ("json", lambda old: old.replace(b'"caption"', b'"captain"'), "other fields"),
    "not a number": ("json", lambda old: old.replace(b'"height":96,', b'"height":NaN', 1), "unreadable"),
    "text": ("txt", lambda old: old[::-1], "neither the row's alt text nor its caption"),
    "jpg": ("jpg", lambda old: old[:-40] + bytes(40), "not the source's"),
    "png": ("png", lambda old: old[:60] + bytes([old[60] ^ 1]) + old[61:], "checksum"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_forged_member_is_found_by_what_the_row_says(dataset: Path, edit: str) -> None:
    extension, change, words = EDITS[edit]
    replace_member(dataset, change, extension)
    found = check(dataset)
    problems = about(found, words)
    assert problems
    assert {(problem.shard, problem.key) for problem in found.problems} == {("train/00001", "00001-00000")}
    row = first_row(dataset)
    start, size = row[f"{extension}_offset"], row[f"{extension}_size"]
    assert all(start <= problem.offset <= start + size for problem in problems)


def entity(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        row["entities"][0] |= values

    return change


def column(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update(values)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "area": (entity(area=3), "area is 3"),
    "mask box": (entity(mask_box=[0, 0, 1, 1]), "mask_box"),
    "box outside": (entity(box=[0.0, 0.0, 97.0, 5.0]), "the box"),
    "box reversed": (entity(box=[5.0, 5.0, 1.0, 9.0]), "the box"),
    "box of three": (entity(box=[5.0, 5.0, 9.0]), "the box"),
    "score above one": (entity(det_score=1.5), "det_score"),
    "score below the next": (entity(det_score=0.01), "det_score"),
    "container": (entity(contained_in=1), "contained_in"),
    "span": (entity(span=[1, 4]), "the caption"),
    "head of a noun": (lambda row: row["nouns"][0].update(head_span=[0, 1]), "the caption"),
    "fill": (entity(fill=0.5), "fill is"),
    "span outside": (entity(span=[1, 400]), "the caption"),
    "digest": (column(sha256="0" * 64), "not the source's"),
    "ok with a reason": (column(stage="detect", reason="no_box"), "an ok row"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_rows_that_contradict_themselves(tmp_path: Path, wrong: str) -> None:
    change, words = WRONG[wrong]
    table = shard_table(0, rows=3)
    rows = table.to_pylist()
    place = next(i for i, row in enumerate(rows) if len(row["entities"]) > 1 and not row["reencoded"])
    change(rows[place])
    finish_dataset(write_tables(tmp_path, [pa.Table.from_pylist(rows, table.schema)]))
    problems = check(tmp_path).problems
    assert {problem.key for problem in problems} == {f"00000-0000{place}"}
    assert any(words in problem.what for problem in problems)


def test_picture_of_another_size(tmp_path: Path) -> None:
    other = shard_table(0, rows=1, size=64).to_pylist()[0]
    values = {"image": other["image"], "sha256": other["sha256"], "reencoded": False}
    finish_dataset(write_tables(tmp_path, [shard_table(0, rows=1, **values)]))
    problems = check(tmp_path).problems
    assert [problem.what for problem in problems] == ["the JPEG is RGB, 64 x 64 pixels"]
