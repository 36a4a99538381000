# SPDX-License-Identifier: Apache-2.0
"""What a person gets wrong, from the command line: one line each, and nothing left behind."""

import os
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.pipeline.runs import MINIATURE, ROOT, build, digests, one_line, subjectforge

LOCAL = ("--executor", "local")
WRONG_WEIGHTS = ("--set", "stages.segment.segmenter.model=miniature:detector")


def mistake(*arguments, **where) -> str:
    return one_line(subjectforge(*arguments, **where))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ["--input"]),
        (("--input",), ["--input"]),
        (("--inptu", "x"), ["--inptu"]),
        (("--input", "x", "--output", "y", "--executor", "abacus"), ["abacus", "'ray', 'local'"]),
        (("--input", "x", "--output", "y", "--limit", "0"), ["--limit"]),
    ],
)
def test_wrong_options(arguments, parts):
    line = mistake("build", MINIATURE, *arguments)
    for part in parts:
        assert part in line


def test_a_command_that_does_not_exist():
    assert "'bild'" in mistake("bild")


def test_without_arguments_there_is_help():
    for arguments in ((), ("miniature",)):
        run = subjectforge(*arguments)
        assert "Usage" in run.stdout + run.stderr


@pytest.mark.parametrize("command", ["build", "plan"])
def test_output_inside_the_input(scenes, command):
    for inside in (scenes / "images" / "out", scenes / "images" / ".." / "images"):
        arguments = (command, MINIATURE, "--input", scenes / "images", "--output", inside)
        assert "lies inside" in mistake(*arguments)
    assert not (scenes / "images" / "out").exists()


def test_output_that_is_a_file(scenes, tmp_path):
    (tmp_path / "file").write_text("precious")
    arguments = ("build", MINIATURE, "--input", scenes / "images", "--output", tmp_path / "file")
    assert "Not a directory" in mistake(*arguments)


@pytest.mark.parametrize("executor", ["ray", "local"])
def test_what_cannot_run_leaves_the_folder_free(scenes, tmp_path, executor):
    output = tmp_path / "out"
    arguments = ("build", MINIATURE, "--input", scenes / "images", "--output", output, "--limit", 2)
    line = mistake(*arguments, "--executor", executor, *WRONG_WEIGHTS)
    assert "miniature:detector" in line
    assert "SamModel" in line
    build(scenes / "images", output, "--limit", 1, *LOCAL)


def test_a_gpu_for_workers_that_hold_none(scenes, tmp_path):
    device = ("--set", "stages.caption.captioner.device=cuda")
    arguments = ("build", MINIATURE, "--input", scenes / "images", "--output", tmp_path / "out", *device)
    assert "stages.caption.resources.gpus" in mistake(*arguments)
    assert "no device 'cuda'" in mistake(*arguments, *LOCAL)


def test_a_damaged_manifest(built, scenes, tmp_path):
    dataset = shutil.copytree(built, tmp_path / "dataset")
    path = dataset / "_meta" / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    arguments = ("build", MINIATURE, "--input", scenes / "images", "--output", dataset)
    assert "manifest.json is damaged" in mistake(*arguments)


def test_a_claim_that_was_cut_off_is_no_dataset(scenes, tmp_path):
    output = tmp_path / "out"
    (output / "_meta").mkdir(parents=True)
    (output / "_meta" / "config.yaml").write_text("shard_size: 3\n")
    build(scenes / "images", output, "--limit", 1, *LOCAL)


@pytest.mark.parametrize("lost", ["README.md", "report.html", "_meta/index.parquet", "_meta/shards.json"])
def test_what_follows_from_the_shards_comes_back(scenes, built, tmp_path, lost):
    dataset = shutil.copytree(built, tmp_path / "dataset")
    (dataset / lost).unlink()
    run = build(scenes / "images", dataset, "--set", "shard_size=10")
    assert "nothing to do" in run.stdout
    assert "restored" in run.stdout
    assert (dataset / lost).read_bytes() == (built / lost).read_bytes()


def test_a_build_that_was_stopped_before_its_first_shard_holds_nothing(scenes, built, tmp_path):
    dataset = shutil.copytree(built, tmp_path / "dataset")
    for path in (dataset / "data" / "train").glob("*_stats.json"):
        path.unlink()
    for name in ("README.md", "report.html"):
        (dataset / name).unlink()
    run = build(scenes / "images", dataset, "--set", "shard_size=20", "--limit", 20, *LOCAL)
    assert "1 to do" in run.stdout


def test_a_free_folder_forgets_the_listing_of_the_run_before(scenes, built, tmp_path):
    dataset, pictures = shutil.copytree(built, tmp_path / "dataset"), tmp_path / "pictures"
    shutil.rmtree(dataset / "data")
    for name in ("README.md", "report.html"):
        (dataset / name).unlink()
    pictures.mkdir()
    for path in (scenes / "images").iterdir():
        (pictures / f"other_{path.name}").write_bytes(b"no picture, but as many of them")
    build(pictures, dataset, "--set", "shard_size=10", *LOCAL)
    listing = pq.read_table(dataset / "_meta" / "source" / "00000.parquet")["source_key"].to_pylist()
    assert listing == sorted(path.name for path in pictures.iterdir())


def test_a_dataset_whose_name_is_not_unicode(scenes, tmp_path):
    named = tmp_path / os.fsdecode(b"caf\xe9")
    named.mkdir()
    assert "not UTF-8" in mistake("build", MINIATURE, "--input", scenes / "images", "--output", named / "out")
    assert "not UTF-8" in mistake("verify", "out", cwd=named)


def test_names_that_no_folder_can_have(scenes, tmp_path):
    for name in ("x" * 300, "", " "):
        for command in (
            ("build", MINIATURE, "--input", scenes / "images", "--output", name),
            ("retry", name),
        ):
            mistake(*command, *LOCAL, cwd=tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_dataset_that_may_not_be_read(built, tmp_path):
    """As root, who may read everything, without the right to."""
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    drop = [*drop, "--inh-caps=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    dataset = shutil.copytree(built, tmp_path / "dataset")
    known = ("index.parquet", "source/00000.parquet", "manifest.json", "config.yaml", "shards.json", "source")
    for name in (*(f"_meta/{each}" for each in known), "_meta", "data/train", "data"):
        path, mode = dataset / name, (dataset / name).stat().st_mode
        path.chmod(0)
        for command in ("verify", "retry"):
            arguments = [*drop, sys.executable, "-m", "pipeline", command, str(dataset)]
            run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
            assert "Traceback" not in run.stderr, run.stderr
            # What a retry does not open is in nobody's way.
            assert run.returncode in ((1, 2) if command == "verify" else (0, 2))
            assert not run.returncode or name in run.stdout + run.stderr
        path.chmod(mode)


@pytest.mark.parametrize("harm", ["short tar", "no parquet", "no JSON"])
def test_a_damaged_shard_is_built_anew(scenes, built, tmp_path, harm):
    dataset = shutil.copytree(built, tmp_path / "dataset")
    folder = dataset / "data" / "train"
    if harm == "short tar":
        (folder / "00001.tar").write_bytes((folder / "00001.tar").read_bytes()[:3000])
    elif harm == "no parquet":
        (folder / "00001.parquet").unlink()
    else:
        (folder / "00001_stats.json").write_text("garbage")
    run = build(scenes / "images", dataset, "--set", "shard_size=10", *LOCAL)
    assert "1 damaged shard to be built anew" in run.stdout
    assert digests(dataset) == digests(built)


def test_a_lost_or_damaged_listing_comes_back(scenes, built, tmp_path):
    dataset = shutil.copytree(built, tmp_path / "dataset")
    path = dataset / "_meta" / "source" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:50])
    build(scenes / "images", dataset, "--set", "shard_size=10")
    assert path.read_bytes() == (built / "_meta" / "source" / "00000.parquet").read_bytes()


def test_another_split(scenes, tmp_path):
    output = tmp_path / "out"
    arguments = ("--limit", 2, "--set", "stages.write.split=val", *LOCAL)
    build(scenes / "images", output, *arguments)
    assert (output / "data" / "val" / "00000.tar").exists()
    assert "data/val/*.tar" in (output / "README.md").read_text()
    assert "nothing to do" in build(scenes / "images", output, *arguments).stdout
    assert subjectforge("verify", output).returncode == 0


def test_plan_refuses_what_a_build_would(scenes, built, tmp_path):
    arguments = ("plan", MINIATURE, "--input", scenes / "images", "--output", built)
    assert "shard_size" in mistake(*arguments)
    run = subjectforge(*arguments, "--set", "shard_size=10")
    assert "40 images in 4 shards: 4 done, 0 to do" in run.stdout
    assert mistake("plan", MINIATURE, "--input", tmp_path / "nowhere")


def test_one_is_one(scenes, tmp_path):
    run = subjectforge("plan", MINIATURE, "--input", scenes / "images", "--limit", 1)
    assert "1 image in 1 shard of 100" in run.stdout


@pytest.mark.parametrize("png", ["nowhere/sample.png", "sample.pgn", "."])
def test_a_picture_that_cannot_be_saved(built, tmp_path, png):
    key = "00000-00000"
    assert "--png" in mistake("inspect", built, "--key", key, "--png", tmp_path / png)


def test_a_report_of_damaged_stats(built, tmp_path):
    dataset = shutil.copytree(built, tmp_path / "dataset")
    (dataset / "data" / "train" / "00001_stats.json").write_text("{")
    assert "00001_stats.json" in mistake("report", dataset)


def test_scenes_over_other_files(scenes, tmp_path):
    folder = shutil.copytree(scenes, tmp_path / "scenes")
    assert "000003.jpg" in mistake("miniature", "scenes", folder, "--count", 3)
    assert (folder / "truth.jsonl").exists()
    (tmp_path / "file").touch()
    assert "give another folder" in mistake("miniature", "scenes", tmp_path / "file", "--count", 1)


def test_scores_of_what_is_not_there(scenes, built, tmp_path):
    truth = scenes / "truth.jsonl"
    assert "does not exist" in mistake("miniature", "score", tmp_path / "nowhere", truth)
    assert "nowhere.jsonl" in mistake("miniature", "score", built, tmp_path / "nowhere.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"file": 3\n')
    assert "bad.jsonl" in mistake("miniature", "score", built, tmp_path / "bad.jsonl")
    (tmp_path / "other.jsonl").write_text('{"file": "x.jpg", "objects": []}\n')
    assert "x.jpg" in mistake("miniature", "score", built, tmp_path / "other.jsonl")
