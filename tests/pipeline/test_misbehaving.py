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
