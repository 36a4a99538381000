# SPDX-License-Identifier: Apache-2.0
"""What an installation holds, and that the pins are what is tested."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def tracked():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder, clone = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("clone")
    for name in tracked():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    command += ["-w", folder, clone]
    subprocess.run([*map(str, command)], check=True, cwd=folder, capture_output=True, timeout=300)
    return set(zipfile.ZipFile(next(folder.glob("*.whl"))).namelist())


def test_a_wheel_holds_all_modules_the_weights_and_the_reports_parts(wheel):
    for name in tracked():
        package = name.split("/")[0]
        if package in {"models", "stages", "pipeline"} and not name.endswith(
            (".md", "curves.png", "curves_generation.png", "curves_two_cores.png")
        ):
            assert name in wheel, name


def test_a_wheel_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"models", "stages", "pipeline"}


def test_the_console_command_is_the_module(wheel):
    entry = next(point for point in distribution("subjectforge").entry_points if point.name == "subjectforge")
    assert entry.value == "pipeline.cli:main"


def test_every_dependency_is_pinned_and_installed_as_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {name.lower().replace("_", "-"): pin for name, pin in pins.items()}
    extras = project["optional-dependencies"]
    installed = [*project["dependencies"], *extras["dev"]]
    # The others have environments of their own.
    for line in [*installed, *(line for lines in extras.values() for line in lines)]:
        name = Requirement(line).name.lower().replace("_", "-")
        assert line not in installed or version(name).split("+")[0] == pins[name], name
        assert Requirement(line).specifier.contains(pins[name]), line


def test_the_licence_is_apache():
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_miniature_is_small():
    weights = ROOT / "models" / "miniature" / "weights"
    perception = {"captioner", "detector", "segmenter", "tagger"}
    generation = {"clip", "dino", "judge", "text2image", "text2image_xl"}
    subjects = {"subject_diffusion"}
    assert {path.name for path in weights.iterdir()} == perception | generation | subjects
    for names, most in ((perception, 10), (generation, 40), (subjects, 5)):
        sizes = (path.stat().st_size for name in names for path in (weights / name).rglob("*"))
        assert sum(sizes) <= most * 2**20
