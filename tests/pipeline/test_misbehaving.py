# SPDX-License-Identifier: Apache-2.0
"""Somebody else's stage that is wrong: one line that names it."""

import pytest
import yaml
from PIL import Image

from tests.pipeline.runs import one_line, subjectforge


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize(
    ("stage", "part"),
    [
        ("SetupFails", "cannot start: ValueError: no such model"),
        ("LosesRows", "does not return the rows that it was given"),
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
        assert "workers died" in one_line(run)
        assert "00001.tar" not in shards
    assert deaths.stat().st_size == (most + 1 if survives else 4)
