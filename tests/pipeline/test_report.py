# SPDX-License-Identifier: Apache-2.0
"""The report's page against the dataset on disk, counted by other code."""

import base64
import hashlib
import html
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.report import write_report
from tests.pipeline.report_world import (
    HOSTILE,
    card_of,
    data_of,
    entities_of,
    rows_of,
    table_of,
    write_rows,
    write_world,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("report") / "<b>world & all")


@pytest.fixture(scope="module")
def page(world: Path) -> str:
    return write_report(world).read_text("utf-8")


@pytest.fixture(scope="module")
def data(page: str) -> dict[str, Any]:
    return data_of(page)


def test_page_refers_to_nothing_outside_itself(page: str) -> None:
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; img-src data:;")
    code = re.sub(r'<script id="data".*?</script>', "", page, flags=re.DOTALL)
    code = code.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|url\(|<link|\bsrc=|fetch\(|XMLHttpRequest|innerHTML", code)


@pytest.mark.parametrize("tag", ["style", "script"])
def test_policy_allows_the_style_and_the_script_that_are_there(page: str, tag: str) -> None:
    content = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert len(content) == 1
    digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}'" in page


def test_counts_are_those_of_the_tables(world: Path, data: dict[str, Any]) -> None:
    table, entities = table_of(world), entities_of(world)
    assert data["counts"] == {
        "images": len(table),
        "samples": (table.status == "ok").sum(),
        "rejected": (table.status == "rejected").sum(),
        "errors": (table.status == "error").sum(),
        "instances": len(entities),
        "labels": entities.lemma.nunique(),
        "shards": 2,
    }
    counted = sorted(entities.lemma.value_counts().items(), key=lambda item: (-item[1], item[0]))
    assert data["labels"] == [list(item) for item in counted]


def test_funnel_loses_what_the_tables_say(world: Path, data: dict[str, Any]) -> None:
    table, funnel = table_of(world), data["funnel"]
    counted = table[table.status != "ok"].groupby(["stage", "status", "reason"]).size().to_dict()
    assert {(step["stage"], *loss[:2]): loss[2] for step in funnel for loss in step["lost"]} == counted
    assert [step["in"] for step in funnel] == [len(table), *(step["out"] for step in funnel[:-1])]
    assert funnel[-1]["out"] == (table.status == "ok").sum()
    order = [step["stage"] for step in funnel]
    assert order.index("read") < order.index("filter_image") < order.index("nouns") < order.index("score")


def test_histograms_are_those_of_the_tables(world: Path, data: dict[str, Any]) -> None:
    entities = entities_of(world)
    values = {
        "instances": entities.groupby("key").size(),
        "box_score": entities.det_score,
        "mask_score": entities.mask_score,
        "mask_area": entities.area / (entities.width * entities.height),
        "fill": entities.fill,
        "caption_words": table_of(world).query("status == 'ok'").caption.str.split().str.len(),
    }
    assert values.keys() == data["histograms"].keys()
    for name, shown in data["histograms"].items():
        numbers = values[name].to_numpy(np.float64)
        edges = np.linspace(shown["low"], shown["high"], len(shown["counts"]) + 1)
        assert shown["counts"] == np.histogram(numbers.clip(edges[0], edges[-1]), edges)[0].tolist(), name
        assert shown["n"] == len(numbers)
        assert shown["mean"] == pytest.approx(numbers.mean(), abs=1e-3)


def test_seconds_are_those_of_the_timings(world: Path, data: dict[str, Any]) -> None:
    seconds: Counter[str] = Counter()
    for path in (world / "_meta" / "timings").iterdir():
        seconds.update(json.loads(path.read_text())["seconds"])
    assert {"read", "caption", "write"} <= seconds.keys()
    assert dict(data["seconds"]) == pytest.approx(seconds, abs=1e-3)
    assert data["timed_images"] == len(table_of(world))


def test_record_shows_the_run_and_what_differs_from_the_defaults(data: dict[str, Any]) -> None:
    assert data["fingerprint"].startswith("3f9a1c")
    assert data["built"] == "2026-11-03T10:00:00Z"
    assert data["manifest"]["packages.ray"] == "2.60.0"
    assert not [key for key in data["manifest"] if key.startswith("identity.config.")]
    assert data["config"]["shard_size"] == "64"
    assert data["changed"] == ["shard_size"]


def test_hostile_text_stays_text(world: Path, page: str, data: dict[str, Any]) -> None:
    assert page.lower().count("<script") == page.lower().count("</script") == 2
    assert "<img" not in page
    assert "<b>world" not in page
    assert html.escape(world.name) in page
    card = card_of(data, "00000-00001")
    assert "".join(text for text, _ in card["caption"]) == HOSTILE
    assert card["source_key"] == "a<b>&\"'</script>.jpg"
    assert data["name"] == world.name


def test_second_run_gives_the_same_bytes(world: Path, page: str) -> None:
    assert write_report(world).read_bytes() == page.encode()
    assert not list(world.glob(".*"))


def test_dataset_without_samples(tmp_path: Path) -> None:
    row = {"source_key": "a", "source_uri": "s3://x/a", "status": "rejected", "stage": "read"}
    write_rows(tmp_path, 0, [row | {"reason": "no_image"}])
    data = data_of(write_report(tmp_path).read_text())
    assert (data["counts"]["images"], data["counts"]["samples"], data["counts"]["instances"]) == (1, 0, 0)
    assert all(histogram["mean"] is None for histogram in data["histograms"].values())
    assert [card["reason"] for card in data["cards"]] == ["no_image"]
    assert data["changed"] == []


def test_shard_that_is_not_committed_does_not_count(tmp_path: Path) -> None:
    for shard in range(2):
        write_rows(tmp_path, shard, rows_of(shard, 3))
    (tmp_path / "data" / "train" / "00001_stats.json").unlink()
    data = data_of(write_report(tmp_path).read_text())
    assert (data["counts"]["images"], data["counts"]["shards"]) == (3, 1)


@pytest.mark.parametrize("broken", ["_meta/manifest.json", "_meta/config.yaml", "data/train/00001.parquet"])
def test_damaged_file_is_one_line_that_names_it(world: Path, tmp_path: Path, broken: str) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "copy"))
    (copy / broken).write_bytes(b"{]")
    with pytest.raises(UserError) as caught:
        write_report(copy)
    assert Path(broken).name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_what_is_no_dataset_is_an_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match=re.escape(str(tmp_path / place))):
        write_report(tmp_path / place)
