# SPDX-License-Identifier: Apache-2.0
"""`plan --probe`: real stages, a real file, other clusters from it."""

import json
import re
from pathlib import Path

import pytest

from models.miniature.world import write_scenes
from pipeline.config import load_config
from pipeline.errors import UserError
from pipeline.planning.command import BillRequest, bill
from tests.pipeline.runs import MINIATURE, one_line, subjectforge

OPERATORS = ["read+filter_image", "caption+nouns+detect+select", "segment+score+write"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 12, seed=5)
    return folder / "images"


@pytest.fixture(scope="module")
def probed(scenes, tmp_path_factory):
    file = tmp_path_factory.mktemp("probe") / "probe.json"
    run = subjectforge("plan", MINIATURE, "--input", scenes, "--probe", 8, "--measured", file, "--cpus", 2)
    assert run.returncode == 0, run.stderr
    return run, file


def value(text, name):
    return next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name).strip()


def test_a_probe_measures_every_operator(probed):
    run, file = probed
    found = json.loads(file.read_text())
    assert [each["name"] for each in found["operators"]] == OPERATORS
    assert found["images"] == 8
    assert found["output"] > 1000
    assert found["machine"]["start"] > 0
    assert found["machine"]["crowded"] >= 1
    for each in found["operators"]:
        assert each["cpu_seconds"] > 0
        assert 0 < sum(each["stages"].values()) <= each["seconds"] * 1.01
        assert each["memory"] > 50 * 2**20
        assert [*each["stages"]] == each["name"].split("+")
    assert "for 12 images" in run.stdout
    lines = run.stderr.splitlines()
    assert [line for line in lines if line.endswith(", 8 images")] == [
        f"probe: {name}, 8 images" for name in OPERATORS
    ]
    assert any("8 images do not fill a batch of caption (100)" in line for line in lines)
    assert value(run.stdout, "measured").startswith("8 images on ")


def test_the_file_of_a_probe_is_enough_for_other_clusters(probed):
    _, file = probed
    asked = ["--measured", file, "--images", 40_000_000, "--price", 0.1, "--failures", 0.2]
    asked += ["--set", "shard_size=1000"]
    bills = [subjectforge("plan", MINIATURE, *asked, "--cpus", cpus, "--nodes", 16) for cpus in (256, 1024)]
    hours = []
    for run in bills:
        assert run.returncode == 0, run.stderr
        hours.append(float(value(run.stdout, "CPU-hours").replace(",", "")))
        price = float(
            re.match(r"([\d,.]+) at 0.1 a CPU-hour", value(run.stdout, "price"))[1].replace(",", "")
        )
        assert price == pytest.approx(0.1 * hours[-1], rel=1e-3)
        assert "40,000,000 images" in run.stdout
        assert int(value(run.stdout, "failures").split()[0].replace(",", "")) > 0
    # Four times the cluster: the same bill in a quarter of the time, but for beginning and end.
    assert 0.95 * hours[0] < hours[1] < 1.25 * hours[0]


def test_the_pools_that_it_names_are_a_build_that_runs(probed):
    _, file = probed
    run = subjectforge("plan", MINIATURE, "--measured", file, "--images", 1000, "--cpus", 16)
    overrides = value(run.stdout, "pools").split()
    assert overrides[::2] == ["--set"] * 3
    again = subjectforge(
        "plan", MINIATURE, *overrides, "--measured", file, "--images", 1000, "--cpus", 16, "--as-configured"
    )
    assert again.returncode == 0, again.stderr
    assert value(again.stdout, "wall time") == value(run.stdout, "wall time")


def asked(overrides=(), **given):
    usual = {
        "source": None,
        "probe": None,
        "measured": None,
        "images": 5,
        "limit": None,
        "gpus": 0,
        "cpus": 2,
        "nodes": None,
    }
    more = {"price": None, "failures": 0.0, "as_configured": False}
    return BillRequest(config=load_config(MINIATURE, overrides), **{**usual, **more, **given})


@pytest.mark.parametrize(
    ("overrides", "given", "line"),
    [
        ([], {"probe": 8}, "--probe measures pictures; give --input"),
        ([], {"measured": Path("nowhere.json")}, "--measured nowhere.json: No such file"),
        ([], {"measured": MINIATURE}, "it is no file of a probe"),
        ([], {"images": None}, "how many images"),
        ([], {"cpus": 1}, "hold 2 CPUs"),
        ([], {"cpus": 9, "nodes": 2}, "are not 2 equal nodes"),
        (["stages.caption.resources.workers=3"], {"as_configured": True}, r"hold 3\.6 CPUs"),
        (["stages.detect.resources={workers: 1, cpus: 0.1}"], {}, "another chain"),
        (["stages.caption.batch_size=8"], {}, "other settings of caption were measured"),
        (["stages.segment.resources.decoders=4"], {}, "other settings of segment, score, write"),
        (["stages.segment.resources.gpus=0.5"], {"gpus": 1}, "holds a GPU and was measured without one"),
        ([], {"spare_nodes": 1}, "--spare-nodes 1 leaves none of 1 node"),
        (["stages.segment.segmenter.device=cuda"], {"probe": 4, "source": "SCENES"}, "hold no GPU"),
    ],
)
def test_mistakes_are_told(probed, scenes, overrides, given, line):
    filled = {"measured": probed[1], **given}
    filled = {key: str(scenes) if value == "SCENES" else value for key, value in filled.items()}
    with pytest.raises(UserError, match=line) as caught:
        bill(asked(overrides, **filled))
    assert "\n" not in str(caught.value)


def test_the_cpus_of_a_cluster_with_gpus_are_asked_for(probed):
    _, file = probed
    run = subjectforge("plan", MINIATURE, "--measured", file, "--images", 1000, "--gpus", 64)
    assert "give --cpus" in one_line(run)


def test_room_is_left_for_the_workers_of_a_lost_node(probed):
    _, file = probed
    asked = ["--measured", file, "--images", 100_000, "--cpus", 64, "--nodes", 4]
    full, spared = (subjectforge("plan", MINIATURE, *asked, *more) for more in ([], ["--spare-nodes", 1]))
    assert "if the largest node is lost" in value(full.stdout, "a lost node")
    assert "a lost node" not in spared.stdout
    assert spared.returncode == 0, spared.stderr


def test_a_mistake_ends_the_command_with_one_line():
    assert "no such file" in one_line(subjectforge("plan", MINIATURE, "--measured", "nowhere.json")).lower()
