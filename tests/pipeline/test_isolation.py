# SPDX-License-Identifier: Apache-2.0
"""Rows that kill the process that works on them are found; their neighbours come to no harm."""

import pytest

from pipeline.events import read_events
from tests.pipeline.light import events_of, light_config, pictures, rows_of
from tests.pipeline.runs import build, digests, subjectforge

WIDTHS = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]
OWN = {"resources": {"workers": 1, "cpus": 0.5}}


@pytest.mark.parametrize(("stage", "own"), [("Deadly", True), ("Deadly", False), ("DeadlyTable", True)])
def test_a_row_that_kills_its_worker_becomes_an_error_and_the_run_goes_on(tmp_path, stage, own):
    widths = [13 if place in (2, 9) else width for place, width in enumerate(WIDTHS)]
    source, fields = pictures(tmp_path / "in", widths), OWN if own else {}
    config = light_config(tmp_path / "config.yaml", (stage, fields), shard_size=6)
    dataset = tmp_path / "out"
    build(source, dataset, config=config)
    rows = rows_of(dataset)
    assert list(rows.index[rows.status != "ok"]) == ["00000-00002", "00001-00003"]
    lost = rows.loc["00000-00002"]
    assert (lost.status, lost.reason) == ("error", "worker_died")
    assert "deadly" in lost.stage.lower()
    assert subjectforge("verify", dataset).returncode == 0
    deaths = {event["shard"]: event["deaths"] for event in read_events(dataset) if event["event"] == "shard"}
    assert deaths == {"00000": 4, "00001": 4}
    assert events_of(dataset).count("row_isolated") == 2
    assert not (dataset / "_meta" / "inflight").exists()


def test_rows_that_only_kill_together_are_done_alone(tmp_path):
    source = pictures(tmp_path / "in", WIDTHS[:4])
    config = light_config(tmp_path / "config.yaml", ("Crowded", OWN))
    build(source, tmp_path / "out", config=config)
    assert set(rows_of(tmp_path / "out").status) == {"ok"}
    calm = light_config(tmp_path / "calm.yaml", ("Crowded", {"most": 9}))
    build(source, tmp_path / "calm", "--executor", "local", config=calm)
    assert digests(tmp_path / "out") == digests(tmp_path / "calm")
