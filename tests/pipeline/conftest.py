# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess

import pytest

from models.miniature.world import write_scenes
from pipeline.dataset.finish import finish_dataset
from tests.pipeline.again import LOCAL, WIDTHS
from tests.pipeline.light import light_config, pictures
from tests.pipeline.runs import build
from tests.shards import write_dataset


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """40 rendered scenes: `images/` and `truth.jsonl`."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, count=40, seed=71)
    return folder


@pytest.fixture(scope="session")
def built(scenes, tmp_path_factory):
    """The dataset that the command makes of them in one process, in 4 shards."""
    dataset = tmp_path_factory.mktemp("built") / "dataset"
    build(scenes / "images", dataset, "--set", "shard_size=10", "--executor", "local")
    return dataset


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    """A finished dataset of 3 shards with 7 rows each, made without models."""
    root = write_dataset(tmp_path_factory.mktemp("clean") / "dataset", shards=3, rows=7)
    finish_dataset(root)
    return root


@pytest.fixture
def dataset(clean, tmp_path):
    """A copy of `clean`, to be damaged."""
    return shutil.copytree(clean, tmp_path / "dataset")


@pytest.fixture
def config(tmp_path):
    return light_config(tmp_path / "config.yaml", ("Flaky", {"broken": str(tmp_path / "broken")}))


@pytest.fixture
def source(tmp_path):
    return pictures(tmp_path / "in", WIDTHS)


@pytest.fixture
def flawed(tmp_path, source, config):
    """A dataset with one row that failed."""
    (tmp_path / "broken").touch()
    build(source, tmp_path / "flawed", *LOCAL, config=config)
    return tmp_path / "flawed"
