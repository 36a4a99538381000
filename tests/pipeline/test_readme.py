# SPDX-License-Identifier: Apache-2.0
"""The README does what it says."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.pipeline.runs import ROOT, build, subjectforge

TEXT = (ROOT / "README.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "models/miniature/README.md")]


@pytest.fixture
def with_rejects(scenes, tmp_path):
    """A dataset of some scenes and a picture that is none: its columns have gaps."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        shutil.copy(scenes / "images" / f"{number:06d}.jpg", pictures)
    (pictures / "broken.jpg").write_bytes(b"no picture")
    build(pictures, tmp_path / "dataset", "--executor", "local")
    return tmp_path / "dataset"


def test_the_reading_example_runs_on_a_built_dataset(with_rejects, tmp_path):
    (example, *_) = (code for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "OUT" in code)
    (tmp_path / "OUT").symlink_to(with_rejects)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", example], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("a")


def test_the_world_example_runs():
    text = (ROOT / "models/miniature/README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", example], cwd=ROOT, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_command_that_is_named_exists():
    named = set(re.findall(r"subjectforge (miniature \w+|\w+)", TEXT)) - {"subjectforge"}
    assert {"build", "plan", "verify", "inspect"} <= named
    for command in named:
        run = subjectforge(*command.split(), "--help")
        assert run.returncode == 0, command


def test_there_are_no_blanks_left():
    for page in PAGES:
        assert not re.findall(r"\b[A-Z]+_(?:TABLE|TEXT|STAMP)\b", page.read_text())
