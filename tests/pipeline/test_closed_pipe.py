# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from shlex import join

import pytest

from pipeline.dataset.verify import verify
from tests.pipeline.light import events_of, light_config, pictures
from tests.pipeline.runs import ROOT


def test_a_build_outlives_whoever_reads_what_it_says(tmp_path):
    config, source = light_config(tmp_path / "config.yaml"), pictures(tmp_path / "in", list(range(20, 40)))
    command = [sys.executable, "-m", "pipeline", "build", config, "--input", source]
    command += ["--output", tmp_path / "out", "--executor", "local"]
    run = subprocess.Popen(
        [*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert run.stdout is not None
    assert "to do" in run.stdout.readline()
    run.stdout.close()
    assert run.wait(120) == 0
    assert verify(tmp_path / "out", workers=1).ok
    assert events_of(tmp_path / "out")[-1] == "end"
    assert json.loads((tmp_path / "out" / "_meta" / "shards.json").read_text())


@pytest.mark.parametrize("where", ["2>&-", ">&-", ">&- 2>&-", "> /dev/full", "2> /dev/full"])
def test_a_build_that_cannot_say_anything_works_all_the_same(tmp_path, where):
    config, source = light_config(tmp_path / "config.yaml"), pictures(tmp_path / "in", [20, 21, 22])
    command = [sys.executable, "-m", "pipeline", "build", config, "--input", source]
    line = join(map(str, [*command, "--output", tmp_path / "out", "--executor", "local"]))
    assert subprocess.run(["sh", "-c", f"{line} {where}"], cwd=ROOT, timeout=120).returncode == 0
    assert verify(tmp_path / "out", workers=1).ok


def test_letters_that_the_encoding_lacks_are_no_mistake_of_the_build(tmp_path):
    config, source = light_config(tmp_path / "config.yaml"), pictures(tmp_path / "in", [20, 21, 22])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "pipeline", "build", config, "--input", source]
    command += ["--output", tmp_path / "out", "--executor", "local"]
    run = subprocess.run([*map(str, command)], cwd=ROOT, env=environment, capture_output=True, timeout=120)
    assert run.returncode == 0, run.stderr
