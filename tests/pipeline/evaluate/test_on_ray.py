# SPDX-License-Identifier: Apache-2.0
"""Workers on a Ray cluster draw what one process draws."""

import yaml

from tests.pipeline.evaluate.test_command import evaluated, pictures, small
from tests.pipeline.runs import subjectforge


def test_two_workers_draw_what_one_process_draws(tmp_path):
    config = small(tmp_path)
    evaluated(config, tmp_path / "one")
    values = yaml.safe_load(config.read_text())
    values["workers"] = {"workers": 2, "cpus": 0.5}
    config.write_text(yaml.safe_dump(values))
    run = subjectforge("evaluate", config, "--output", tmp_path / "two")
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    assert len(pictures(tmp_path / "two")) == 16
    assert pictures(tmp_path / "two") == pictures(tmp_path / "one")
