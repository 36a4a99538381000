# SPDX-License-Identifier: Apache-2.0
"""The builder from the command line: real images, real (small) models, real processes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pandas as pd
import pytest

from pipeline.dataset.parts import read_parts
from pipeline.score_miniature import score_dataset
from tests.pipeline.runs import MINIATURE, ROOT, build, digests, one_line, subjectforge


def rows_of(dataset):
    return pd.concat(pd.read_parquet(path) for path in sorted((dataset / "data" / "train").glob("*.parquet")))


def test_every_source_item_has_exactly_one_row(scenes, built):
    rows = rows_of(built)
    assert sorted(rows.source_key) == sorted(path.name for path in (scenes / "images").iterdir())
    assert rows.key.is_unique
    assert set(rows.status) <= {"ok", "rejected", "error"}
    assert (rows.status == "error").sum() == 0
    assert rows[rows.status != "ok"].reason.notna().all()


def test_the_dataset_is_about_right(scenes, built):
    scores = score_dataset(built, scenes / "truth.jsonl")
    assert scores.few_nouns.right >= 0.85 * scores.few_nouns.wanted
    assert scores.boxes.right >= 0.75 * scores.boxes.wanted
    assert scores.boxes.right >= 0.85 * scores.boxes.answers
    assert sum(scores.mask_ious) / len(scores.mask_ious) >= 0.8


def test_entities_are_traced_to_the_words_of_the_caption(built):
    rows = rows_of(built)
    for row in rows[rows.status == "ok"].itertuples():
        for entity in row.entities:
            start, end = entity["span"]
            assert row.caption[start:end] == entity["text"]
            assert entity["lemma"] in entity["text"]


def test_verify_and_report_accept_what_was_built(built):
    run = subjectforge("verify", built, "--deep")
    assert run.returncode == 0, run.stdout
    assert (built / "report.html").stat().st_size > 10_000
    assert (built / "README.md").exists()


def test_ray_writes_the_same_bytes_with_any_number_of_workers(scenes, built, tmp_path):
    for workers in (1, 2):
        held = [f"stages.{name}.resources.workers={workers}" for name in ("caption", "detect", "segment")]
        held += [f"stages.{name}.resources.cpus=0.25" for name in ("read", "caption", "detect", "segment")]
        options = [part for value in held for part in ("--set", value)]
        dataset = tmp_path / f"ray{workers}"
        build(scenes / "images", dataset, "--set", "shard_size=10", *options)
        assert digests(dataset) == digests(built)


def test_a_finished_build_does_nothing_again(scenes, built):
    before = digests(built)
    stamps = {path: path.stat().st_mtime_ns for path in (built / "data").rglob("*")}
    run = build(scenes / "images", built, "--set", "shard_size=10")
    assert "nothing to do" in run.stdout
    assert digests(built) == before
    assert {path: path.stat().st_mtime_ns for path in (built / "data").rglob("*")} == stamps


def test_a_build_that_stopped_goes_on_to_the_same_bytes(scenes, built, tmp_path):
    dataset = tmp_path / "dataset"
    shutil.copytree(built, dataset)
    for name in ("00001_stats.json", "00003_stats.json", "00003.tar"):
        (dataset / "data" / "train" / name).unlink()
    run = build(scenes / "images", dataset, "--set", "shard_size=10", "--executor", "local")
    assert "2 done, 2 to do" in run.stdout
    assert digests(dataset) == digests(built)


def test_a_build_that_is_interrupted_says_so_and_goes_on_to_the_same_bytes(scenes, built, tmp_path):
    dataset = tmp_path / "dataset"
    options = ["--set", "shard_size=10", "--executor", "local"]
    command = [sys.executable, "-m", "pipeline", "build", MINIATURE, "--input", scenes / "images"]
    first = dataset / "data" / "train" / "00000_stats.json"
    # Whoever started the tests in the background has had Ctrl-C ignored, for children too.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    run = subprocess.Popen(
        [*command, "--output", dataset, *options], cwd=ROOT, stderr=PIPE, text=True, **heard
    )
    with run:
        while not first.exists() and run.poll() is None:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        said = run.communicate()[1]
    assert run.returncode == 130, said
    assert said.splitlines()[-1] == "subjectforge: stopped; the same command again goes on"
    assert "Traceback" not in said
    build(scenes / "images", dataset, *options)
    assert digests(dataset) == digests(built)


def test_limit_takes_the_first_items_and_is_part_of_the_run(scenes, tmp_path):
    dataset = tmp_path / "dataset"
    build(scenes / "images", dataset, "--limit", 3, "--executor", "local")
    assert list(rows_of(dataset).source_key) == [f"{i:06d}.jpg" for i in range(3)]
    again = subjectforge("build", MINIATURE, "--input", scenes / "images", "--output", dataset, "--limit", 4)
    assert "--limit (4, was 3)" in one_line(again)


def test_another_runs_output_is_refused_with_what_changed(scenes, built):
    run = subjectforge(
        "build", MINIATURE, "--input", scenes / "images", "--output", built, "--set", "shard_size=10",
        "--set", "stages.detect.box_threshold=0.5",
    )  # fmt: skip
    assert "config.stages.detect.box_threshold" in one_line(run)


def test_more_workers_are_no_other_run(scenes, built):
    options = ["--set", "shard_size=10", "--set", "stages.segment.resources.workers=1"]
    assert "nothing to do" in build(scenes / "images", built, *options).stdout


def test_a_folder_with_other_things_in_it_is_refused(scenes, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    run = subjectforge("build", MINIATURE, "--input", scenes / "images", "--output", tmp_path)
    assert "not empty" in one_line(run)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--set", "stages.detect.box_treshold=1"], "did you mean 'box_threshold'"),
        (["--set", "stages.caption.captioner.model=/no/such/folder"], "/no/such/folder"),
        (["--set", "stages.nouns.tagger.model=no_such_pipeline", "--executor", "local"], "no_such_pipeline"),
        (["--executor", "abacus"], "abacus"),
        (["--set", "stages.segment.resources.cpus=64"], "CPUs"),
        (["--address", "127.0.0.1:1"], "127.0.0.1:1"),
    ],
)
def test_a_mistake_is_one_line(scenes, tmp_path, arguments, part):
    output = tmp_path / "out"
    run = subjectforge("build", MINIATURE, "--input", scenes / "images", "--output", output, *arguments)
    assert part in one_line(run)


def test_missing_and_empty_input(tmp_path):
    for source in (tmp_path / "nowhere", tmp_path):
        run = subjectforge("build", MINIATURE, "--input", source, "--output", tmp_path / "out")
        assert str(source) in one_line(run)


def test_plan_touches_nothing(scenes, tmp_path):
    output = tmp_path / "out"
    run = subjectforge("plan", MINIATURE, "--input", scenes / "images", "--output", output)
    assert run.returncode == 0, run.stderr
    assert "40 images in 1 shard of 100: 0 done, 1 to do" in run.stdout
    assert not output.exists()


def test_inspect_shows_a_sample_and_draws_it(built, tmp_path):
    rows = rows_of(built)
    key = rows[rows.status == "ok"].key.iloc[0]
    run = subjectforge("inspect", built, "--key", key, "--png", tmp_path / "sample.png")
    assert run.returncode == 0, run.stderr
    assert rows[rows.key == key].caption.iloc[0] in run.stdout
    assert (tmp_path / "sample.png").read_bytes().startswith(b"\x89PNG")
    assert "no/such/key" in one_line(subjectforge("inspect", built, "--key", "no/such/key"))


def test_the_manifest_says_what_made_it(built):
    manifest = json.loads((built / "_meta" / "manifest.json").read_text())
    assert [(part.kind, part.items, part.shards) for part in read_parts(built)] == [("build", 40, 4)]
    assert Path(manifest["input"]).is_dir()
    assert manifest["identity"]["config"]["stages"]["detect"]["detector"]["name"] == "grounding_dino"
    assert all(manifest["identity"]["weights"].values())
