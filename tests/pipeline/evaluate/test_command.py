# SPDX-License-Identifier: Apache-2.0
"""The smoke configuration as a person runs it, and what is left by runs that were cut off."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
import yaml

from models.miniature.world import Identity
from models.references import names_of_identity, opened_reference
from tests.pipeline.runs import ROOT, digests, one_line, subjectforge

SMOKE = ROOT / "configs" / "evaluate" / "smoke.yaml"
LOCAL = ("--executor", "local")


def evaluated(config, output, *arguments):
    run = subjectforge("evaluate", config, "--output", output, *arguments, *LOCAL)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    return run.stdout


def pictures(output):
    return {str(p.relative_to(output)): p.read_bytes() for p in (output / "images").rglob("*.jpg")}


def small(folder, **changed):
    """Two methods, one of which learns, on one subject."""
    values = yaml.safe_load(SMOKE.read_text())
    values["methods"] = {"plain": {}, "cones2": values["methods"]["cones2"]}
    values |= {"world": {"subjects": 2, "prompts": 2, "references": 2}, "seeds": [0, 1]}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(values | changed))
    return path


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    output = tmp_path_factory.mktemp("evaluation") / "smoke"
    return output, evaluated(SMOKE, output)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    evaluated(small(folder), folder / "whole")
    return folder / "small.yaml", folder / "whole"


def test_every_method_is_drawn_measured_and_told(smoke):
    output, told = smoke
    methods = [*yaml.safe_load(SMOKE.read_text())["methods"]]
    found = json.loads((output / "results.json").read_text())
    assert [*found["methods"]] == methods
    table = pq.read_table(output / "results.parquet")
    assert table.num_rows == len(methods) * 2 * 3
    assert {*table["status"].to_pylist()} == {"ok"}
    for name in (
        "clip_t_whole",
        "dino_subject_reference",
        "judge_identity_pairs",
        "judge_stated",
        "layout_pairs",
        "found",
    ):
        assert table[name].null_count == 0
    for name, method in found["methods"].items():
        assert method["drawn"] == method["pictures"] == 6
        assert f"| {name} |" in told
        assert f"| {name} |" in (output / "table.md").read_text()
        learns = name in ("oneactor", "cones2", "dco", "dco-w1")
        assert (method["tuning_seconds"] > 0) == (method["subject_bytes"] > 0) == learns
    assert found["judge"]["noun"] > 0.9


def test_the_folder_is_a_dataset_like_any_other(smoke):
    output, _ = smoke
    run = subjectforge("verify", output)
    assert run.returncode == 0, run.stdout
    sample = subjectforge("inspect", output, "--key", "00000-00000", "--png", output.parent / "a.png")
    assert sample.returncode == 0, sample.stderr


def test_the_card_says_what_the_folder_is(smoke):
    text = (smoke[0] / "README.md").read_text()
    assert "Pictures that methods have drawn of the same subjects" in text
    assert "| `setting` | string | the method with its options, by its name in the configuration |" in text
    assert "another package" not in text
    assert "<<" not in text


def test_a_knob_of_one_method_uses_what_was_learnt_once(smoke):
    output, _ = smoke
    learnt = [*(output / "_meta" / "subjects" / "dco").iterdir()]
    assert len([path for path in learnt if path.is_dir()]) == 2
    rows = pq.read_table(output / "results.parquet").to_pylist()
    took = {s: {r["tuning_seconds"] for r in rows if r["setting"] == s} for s in ("dco", "dco-w1")}
    assert took["dco"] == took["dco-w1"]


def test_the_report_needs_nothing_else(smoke):
    page = (smoke[0] / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("<svg") >= 5
    assert page.count("data:image/jpeg;base64,") >= 2 * 7 * 3
    assert "<script" not in page


def test_again_there_is_nothing_to_draw(small_run):
    config, whole = small_run
    before = pictures(whole)
    assert ": 0 sets to draw now" in evaluated(config, whole)
    assert pictures(whole) == before


def test_the_judge_is_tested_once_and_again_where_nobody_knows(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    results = output / "results.json"
    found = json.loads(results.read_text())
    kept = {**found, "judge": {**found["judge"], "noun": 0.5}}
    results.write_text(json.dumps(kept))
    assert "[judge 0.500]" in evaluated(config, output)
    results.write_text(json.dumps({**kept, "judge_of": {**kept["judge_of"], "weights": "others"}}))
    assert "[judge 0.500]" not in evaluated(config, output)
    results.write_text("no JSON")
    evaluated(config, output)
    assert json.loads(results.read_text()) == found


def test_what_methods_draw_is_the_same_alone_and_in_any_part(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "parts"
    told = evaluated(config, output, "--methods", "cones2", "--limit", "1")
    assert ": 2 sets to draw now" in told
    assert "| plain |" not in (output / "table.md").read_text()
    assert ": 6 sets to draw now" in evaluated(config, output)
    assert pictures(output) == pictures(whole)


def test_another_method_is_added_and_another_option_refused(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    values = yaml.safe_load(config.read_text())
    more = tmp_path / "more.yaml"
    values["methods"]["consistory"] = {}
    more.write_text(yaml.safe_dump(values))
    assert ": 4 sets to draw now" in evaluated(more, output)
    assert {*pictures(whole)} < {*pictures(output)}
    values["methods"]["cones2"]["options"]["steps"] = 3
    more.write_text(yaml.safe_dump(values))
    run = subjectforge("evaluate", more, "--output", output, *LOCAL)
    assert run.returncode == 2
    assert "changed, the first is 'cones2/000000/" in run.stderr
    assert "begin anew with --overwrite" in run.stderr


def test_a_label_draws_nothing_anew(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    values = yaml.safe_load(config.read_text())
    values["methods"]["cones2"] |= {"about": "for people", "curve": "words"}
    labelled = tmp_path / "labelled.yaml"
    labelled.write_text(yaml.safe_dump(values))
    assert ": 0 sets to draw now" in evaluated(labelled, output)


def test_no_method_chosen_is_a_mistake(small_run, tmp_path):
    run = subjectforge("evaluate", small_run[0], "--output", tmp_path / "run", "--methods", ",", *LOCAL)
    assert "name at least one" in one_line(run)


def test_a_key_that_is_no_word_is_a_mistake(tmp_path):
    (tmp_path / "a.yaml").write_text("? [a]\n: b\n")
    run = subjectforge("evaluate", tmp_path / "a.yaml", "--output", tmp_path / "run", *LOCAL)
    assert "a.yaml is not valid YAML: line 1: a key is no plain word" in one_line(run)


def test_overwritten_nothing_of_the_old_is_left(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    values = yaml.safe_load(config.read_text())
    del values["methods"]["cones2"]
    values["sampler"]["steps"] = 5
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(yaml.safe_dump(values))
    evaluated(fewer, output, "--overwrite")
    assert not (output / "images" / "cones2").is_dir() or not [*(output / "images" / "cones2").rglob("*.jpg")]
    assert not (output / "_meta" / "subjects").exists() or not [
        *(output / "_meta" / "subjects").rglob("*.json")
    ]
    assert pictures(output).keys() == {name for name in pictures(whole) if name.startswith("images/plain")}
    assert pictures(output) != {name: b for name, b in pictures(whole).items() if "plain" in name}


def test_a_run_that_is_killed_goes_on_to_the_same(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "pipeline", "evaluate", str(config), "--output", str(output), *LOCAL]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while not [*output.glob("data/*/*_stats.json")] and run.poll() is None:
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    assert not (output / "results.json").exists()
    evaluated(config, output)
    assert pictures(output) == pictures(whole)
    assert digests(output).keys() == digests(whole).keys()


def test_what_cannot_run_is_told_and_counted(tmp_path):
    lacking = {"method": "subject-diffusion", "model": str(tmp_path / "nowhere")}
    methods = {"plain": {}, "lacking": lacking, "wrong": {"method": "cones2"}}
    config = small(tmp_path, methods=methods, seeds=[0], world={"subjects": 2, "prompts": 2, "references": 0})
    told = evaluated(config, tmp_path / "run")
    assert "- lacking: 4 of 4, generate: cannot_run: no weights for" in told
    assert "- wrong: 4 of 4, generate: cannot_run: " in told
    table = pq.read_table(tmp_path / "run" / "results.parquet").to_pylist()
    assert {row["status"] for row in table if row["setting"] == "lacking"} == {"rejected"}
    found = json.loads((tmp_path / "run" / "results.json").read_text())["methods"]
    assert found["lacking"]["drawn"] == 0
    assert found["lacking"]["values"] == {}
    assert ": 0 sets to draw now" in evaluated(config, tmp_path / "run")
    assert ": 2 sets to draw now" in evaluated(config, tmp_path / "run", "--retry", "--methods", "lacking")


def test_pictures_that_somebody_changes_are_those_of_the_shards_again(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    paths = sorted((output / "images").rglob("*.jpg"))
    flipped = bytearray(paths[0].read_bytes())
    flipped[-5] ^= 255
    paths[0].write_bytes(flipped)
    paths[1].unlink()
    evaluated(config, output)
    assert pictures(output) == pictures(whole)


def test_given_pictures_are_part_of_what_is_asked_for(tmp_path):
    names = names_of_identity(Identity("cat", "red", "blue", "striped", "slim", 1), 2)
    for name, file in zip(names, ("a.png", "b.png"), strict=True):
        opened_reference(name).save(tmp_path / file)
    subject = {"name": "cat-1", "word": "cat", "references": ["a.png"]}
    protocol = {"subjects": [subject], "templates": ["{} on the beach"]}
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump(protocol))
    config, output = small(tmp_path, world=None, prompts="prompts.yaml", seeds=[0]), tmp_path / "run"
    evaluated(config, output)
    before, learnt = pictures(output), states(output)

    shutil.copy(tmp_path / "b.png", tmp_path / "a.png")
    refused = one_line(subjectforge("evaluate", config, "--output", output, *LOCAL))
    assert "changed, the first is" in refused
    assert "look at its method's options, prompt, seed and what is in its given pictures" in refused
    assert "retry" not in refused
    assert "--overwrite" in refused
    evaluated(config, output, "--overwrite")
    assert pictures(output)["images/plain/cat-1/0000-00.jpg"] == before["images/plain/cat-1/0000-00.jpg"]
    assert pictures(output) != before
    assert states(output).keys().isdisjoint(learnt)


def states(output):
    return {
        path.parent.name: path.read_bytes() for path in output.glob("_meta/subjects/*/*/state.safetensors")
    }


def test_what_was_learnt_and_is_damaged_is_learnt_again(small_run, tmp_path):
    config, whole = small_run
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    for path in output.glob("_meta/subjects/*/*/state.safetensors"):
        path.write_bytes(b"no")
    for record in output.glob("data/*/*_stats.json"):
        record.unlink()
    evaluated(config, output)
    assert pictures(output) == pictures(whole)
    assert states(output) == states(whole)


def test_other_commands_leave_an_evaluation_to_its_own(small_run):
    _, whole = small_run
    page = (whole / "report.html").read_bytes()
    for command in (("report", whole), ("retry", whole, "--where", "status=error")):
        assert "is an evaluation; `subjectforge evaluate`" in one_line(subjectforge(*command))
    assert (whole / "report.html").read_bytes() == page
