# SPDX-License-Identifier: Apache-2.0
"""`plan --probe`: real stages, a real file, other clusters from it."""

import json
import re
from operator import mul
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.miniature.world import write_scenes
from pipeline.config import load_config
from pipeline.errors import UserError
from pipeline.planning.command import BillRequest, bill
from tests.pipeline.runs import MINIATURE, one_line, subjectforge

FULL_BUT_FOR_ONE = {"cpus": 6, "nodes": 2, "spare_nodes": 1, "as_configured": True}
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
    assert 0 < found["machine"]["driving"] < 1
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
    assert value(run.stdout, "measured").startswith("8 images, of which 8 became samples, on ")


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
        assert re.match(r"busy \d+ % of the time at least, in shards of 1000", value(run.stdout, "driver"))
    # Four times the cluster: the same bill in a quarter of the time, but for beginning and end.
    assert 0.95 * hours[0] < hours[1] < 1.25 * hours[0]


def test_the_pools_that_it_names_are_those_that_it_plans_with(probed):
    _, file = probed
    run = subjectforge("plan", MINIATURE, "--measured", file, "--images", 1000, "--cpus", 16)
    overrides = value(run.stdout, "pools").split()
    assert overrides[::2] == ["--set"] * 3
    again = subjectforge(
        "plan", MINIATURE, *overrides, "--measured", file, "--images", 1000, "--cpus", 16, "--as-configured"
    )
    assert again.returncode == 0, again.stderr
    assert value(again.stdout, "wall time") == value(run.stdout, "wall time")


def test_the_pools_that_it_names_build(probed, scenes, tmp_path):
    _, file = probed
    run = subjectforge("plan", MINIATURE, "--measured", file, "--input", scenes, "--cpus", 2)
    overrides = value(run.stdout, "pools").split()
    build = subjectforge("build", MINIATURE, *overrides, "--input", scenes, "--output", tmp_path / "dataset")
    assert build.returncode == 0, build.stderr
    assert "images in    12" in build.stdout


def test_a_source_without_pictures_has_no_bill(probed, tmp_path):
    source = tmp_path / "none.parquet"
    pq.write_table(pa.table({"key": pa.array([], pa.string()), "image": pa.array([], pa.binary())}), source)
    for given in (["--probe", 8], ["--measured", probed[1]]):
        run = subjectforge("plan", MINIATURE, "--input", source, "--cpus", 2, *given)
        assert "none.parquet" in one_line(run)
        assert "probe: read" not in run.stderr


def test_a_probe_that_nothing_comes_through_measures_nothing(scenes):
    with pytest.raises(UserError, match=r"no picture of 4 came through.*filter_image: too_small 4"):
        bill(asked(["stages.filter_image.min_side=4096"], probe=4, source=str(scenes)), lambda _: None)


def test_what_was_measured_on_a_gpu_is_no_measure_of_cores(probed, tmp_path):
    found = json.loads(probed[1].read_text())
    found["operators"][2]["gpu_memory"] = found["gpu_total"] = 2**30
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"segment\+score\+write was measured on a GPU and holds none"):
        bill(asked(measured=file))


def test_larger_shards_hold_more_memory(probed):
    small, large = (
        bill(asked([f"shard_size={size}"], measured=probed[1], images=5000)).pools for size in (8, 1008)
    )
    rows = [cost["row"] for cost in json.loads(probed[1].read_text())["operators"]]
    grown = [more.cost.memory - less.cost.memory for less, more in zip(small, large, strict=True)]
    assert grown == [round(1000 * row) for row in rows]
    assert min(grown) > 2**20


def test_batches_that_were_not_filled_are_told_in_every_bill(probed):
    line = "in batches of 8 at most, not of 100: a worker takes more memory than told"
    assert any(line in each for each in bill(asked(measured=probed[1])).lines())
    whole = bill(asked(["shard_size=8"], measured=probed[1])).lines()
    assert not any("in batches of" in each for each in whole)


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(scenes, tmp_path):
    told = []
    for path in (tmp_path / "nowhere" / "probe.json", tmp_path):
        with pytest.raises(UserError, match="no such file can be written"):
            bill(asked(probe=8, source=str(scenes), measured=path), told.append)
    assert not told


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
    more = {"memory": None, "price": None, "failures": 0.0, "as_configured": False}
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
        ([], {"cpus": 1024}, "how many machines are 1024 CPUs"),
        ([], {"cpus": 1024, "gpus": 8}, "how many machines are 1024 CPUs"),
        (["stages.caption.resources.workers=3"], {"as_configured": True}, r"hold 3\.6 CPUs"),
        (["stages.detect.resources={workers: 1, cpus: 0.1}"], {}, "another chain"),
        (["stages.caption.batch_size=8"], {}, "other settings of caption were measured"),
        (["stages.segment.resources.decoders=4"], {}, "other settings of segment, score, write"),
        (["stages.segment.resources.gpus=0.5"], {"gpus": 1}, "holds a GPU and was measured without one"),
        ([], {"spare_nodes": 1}, "--spare-nodes 1 leaves none of 1 node"),
        (["stages.segment.segmenter.device=cuda"], {"probe": 4, "source": "SCENES"}, "hold no GPU"),
        (["stages.segment.segmenter.device=cuda"], {}, "hold no GPU|other settings"),
        (["shard_size=4"], {}, "8 images a shard were measured"),
        (["stages.read.resources.gpus=1.5"], {"probe": 4, "source": "SCENES"}, "or whole ones"),
        ([], {"memory": 1.0}, r"take 1\.\d GiB of RAM; it has 1\.0, of which Ray's object store takes 0\.3"),
        ([], {"price": float("inf")}, "--price inf: give a number"),
        ([], {"failures": float("nan")}, "--failures nan: give a number"),
        ([], {"limit": 3}, "give --images alone"),
        ([], {"failures": 3600.0, "cpus": 16}, r"workers failed in .* lower shard_size, or --failures"),
        (["stages.segment.resources.workers=3"], FULL_BUT_FOR_ONE, r"hold 3\.6 CPUs .* has 3"),
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


def test_the_memory_of_workers_is_told_and_fewer_fit_where_there_is_less(probed):
    def planned(memory):
        return bill(asked(measured=probed[1], images=100_000, cpus=32, nodes=2, memory=memory))

    free, tight = planned(None), planned(8.0)
    memories = [cost["memory"] for cost in json.loads(probed[1].read_text())["operators"]]
    counts = [pool.workers for pool in tight.pools]
    assert sum(counts) < sum(pool.workers for pool in free.pools)
    # Two nodes, of each of which Ray leaves seven tenths.
    assert sum(map(mul, counts, memories)) <= 2 * 0.7 * 8 * 2**30
    assert "GiB of workers on the fullest node, of 8.0" in "\n".join(tight.lines())
    assert "(--memory GIB checks it)" in "\n".join(free.lines())


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--measured", "nowhere.json"], "No such file"),
        (["--measured", "nowhere.json", "--output", "dataset"], "a bill is for a whole source"),
        (["--gpus", 64, "--cpus", 1024], "a bill is made of what was measured; give --probe N"),
    ],
)
def test_a_mistake_ends_the_command_with_one_line(options, line):
    assert line in one_line(subjectforge("plan", MINIATURE, *options))
