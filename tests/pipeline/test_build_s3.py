# SPDX-License-Identifier: Apache-2.0
"""Datasets in an object store, from the command line to an S3 server: the same bytes as on disk."""

import hashlib

import pytest

from stages.shard.place import place
from tests.pipeline.runs import build, digests, subjectforge


def store_digests(root):
    """SHA-256 of every object under `data/`."""
    found = [path for split in (root / "data").iterdir() for path in split.iterdir()]
    data = root / "data"
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture
def stored(scenes, bucket):
    """A dataset that the command has built in the store; its URI."""
    uri = bucket("sets/one")
    run = build(scenes / "images", uri, "--set", "shard_size=10", "--executor", "local")
    assert "s3cr" not in run.stdout + run.stderr
    return uri


def test_a_dataset_in_a_store_is_used_like_one_on_disk(scenes, built, stored, bucket, tmp_path):
    root = place(stored)
    assert store_digests(root) == digests(built)
    assert not list((root / "_meta" / "intents" / "train").iterdir())

    again = build(scenes / "images", stored, "--set", "shard_size=10", "--executor", "local")
    assert f"nothing to do: {root} is complete" in again.stdout
    verified = subjectforge("verify", stored, "--deep")
    assert verified.returncode == 0, verified.stdout
    shown = subjectforge("inspect", stored, "--key", "00001-00002", "--png", tmp_path / "x.png")
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "x.png").stat().st_size > 1000
    page = (root / "report.html").read_bytes()
    (root / "report.html").unlink()
    assert subjectforge("report", stored).stdout.strip() == str(root / "report.html")
    assert (root / "report.html").read_bytes() == page
