# SPDX-License-Identifier: Apache-2.0
"""Somebody else's stage that is wrong: one line that names it."""

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from pipeline.dataset.timings import BackOff, backoffs
from stages.columns import BACKOFF
from tests.pipeline.runs import one_line, subjectforge


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize(
    ("stage", "part"),
    [
        ("SetupFails", "cannot start: ValueError: no such model"),
        ("LosesRows", "does not return the rows that it was given"),
        ("InventsOutcomes", "has to return one outcome a row: 2 for 1"),
        ("NoDataclass", "is no dataclass"),
    ],
)
def test_a_wrong_stage_is_named_in_one_line(tmp_path, executor, stage, part):
    name = f"tests.pipeline.misbehaving:{stage}"
    config, pictures = tmp_path / "config.yaml", tmp_path / "pictures"
    config.write_text(
        yaml.safe_dump({"chain": ["read", name, "tests.pipeline.no_subjects:NoSubjects", "write"]})
    )
    pictures.mkdir()
    Image.new("RGB", (64, 48)).save(pictures / "black.jpg")
    arguments = ("build", config, "--input", pictures, "--output", tmp_path / "out", "--executor", executor)
    line = one_line(subjectforge(*arguments))
    assert name in line
    assert part in line


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_shard_in_which_memory_ran_out_is_like_any_other(tmp_path, executor):
    chain = ["read", "tests.pipeline.misbehaving:RunsOutOfMemory", "tests.pipeline.no_subjects:NoSubjects"]
    stages = {chain[2]: {"resources": {"workers": 1, "cpus": 0.5}}}
    config, pictures, out = tmp_path / "config.yaml", tmp_path / "in", tmp_path / "out"
    config.write_text(yaml.safe_dump({"chain": [*chain, "write"], "shard_size": 2, "stages": stages}))
    pictures.mkdir()
    for number in range(6):
        Image.new("RGB", (64, 48)).save(pictures / f"{number}.jpg")
    run = subjectforge("build", config, "--input", pictures, "--output", out, "--executor", executor)
    assert run.returncode == 0, run.stderr
    assert backoffs(out) == {"hungry": BackOff(size=1, shards=1)}
    verified = subjectforge("verify", out, "--deep")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    rows = pq.read_table(out / "_meta" / "index.parquet")
    assert rows["status"].to_pylist() == ["ok"] * 6
    assert not [name for name in rows.column_names if name.startswith(BACKOFF)]


@pytest.mark.parametrize(("most", "survives"), [(2, True), (99, False)])
def test_a_shard_that_kills_its_workers_is_tried_again_but_not_for_ever(tmp_path, most, survives):
    name, pictures, deaths = "tests.pipeline.misbehaving:TakesItsWorkerDown", tmp_path / "in", tmp_path / "x"
    fields = {"deaths": str(deaths), "most": most, "resources": {"workers": 1, "cpus": 0.5}}
    chain = ["read", name, "tests.pipeline.no_subjects:NoSubjects", "write"]
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"chain": chain, "shard_size": 2, "stages": {name: fields}}))
    pictures.mkdir()
    for number in range(6):
        Image.new("RGB", (64, 48)).save(pictures / f"{number}.jpg")
    run = subjectforge("build", config, "--input", pictures, "--output", tmp_path / "out")
    shards = {path.name for path in (tmp_path / "out" / "data" / "train").glob("*.tar")}
    if survives:
        assert run.returncode == 0, run.stderr
        assert shards == {"00000.tar", "00001.tar", "00002.tar"}
    else:
        assert "13 workers died over shard 00001" in one_line(run)
        assert "00001.tar" not in shards
    assert deaths.stat().st_size == (most + 1 if survives else 13)
