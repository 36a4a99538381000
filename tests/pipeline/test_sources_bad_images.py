# SPDX-License-Identifier: Apache-2.0
"""From a folder with every kind of bad picture to the end of the read stage: nothing is lost on the way."""

from collections import Counter

import pyarrow as pa
import pytest

from pipeline.sources import LISTING, open_source, other_files
from pipeline.sources.fetch import FETCHED
from stages.read import Read
from tests.bad_images import OTHER_FILES, Case, write_corpus


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Case], pa.Table, pa.Table]:
    """The cases, the listing, and what the read stage made of it."""
    folder = tmp_path_factory.mktemp("corpus")
    cases = write_corpus(folder)
    source = open_source(str(folder))
    listing = source.listing()
    fetched = source.fetch(listing)
    assert fetched.schema.equals(FETCHED)
    return cases, listing, Read().setup()(fetched)


def test_every_file_gives_exactly_one_row(run: tuple[list[Case], pa.Table, pa.Table]) -> None:
    cases, listing, result = run
    assert listing.schema.equals(LISTING)
    assert listing["source_key"].to_pylist() == [case.source_key for case in cases]
    assert result["source_key"].to_pylist() == [case.source_key for case in cases]
    assert other_files(listing) == OTHER_FILES


def test_every_kind_becomes_what_is_expected(run: tuple[list[Case], pa.Table, pa.Table]) -> None:
    cases, _, result = run
    rows = result.to_pylist()
    wanted = {case.source_key: (case.status, case.reason, case.size) for case in cases}
    found = {
        row["source_key"]: (
            row["status"],
            row["reason"],
            (row["width"], row["height"]) if row["status"] == "ok" else None,
        )
        for row in rows
    }
    assert found == wanted
    anew = {row["source_key"]: row["reencoded"] for row in rows if row["status"] == "ok"}
    assert anew == {case.source_key: case.reencoded for case in cases if case.status == "ok"}


def test_every_failure_says_where_and_why(run: tuple[list[Case], pa.Table, pa.Table]) -> None:
    _, _, result = run
    failed = [row for row in result.to_pylist() if row["status"] != "ok"]
    assert all(
        row["stage"] == "read" and row["reason"] and row["detail"] and row["image"] is None for row in failed
    )
    assert len(Counter(row["reason"] for row in failed)) == 7
