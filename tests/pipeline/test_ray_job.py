# SPDX-License-Identifier: Apache-2.0
"""The builder as a Ray job: a head node started here, the checkout sent as the working directory."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.runs import ROOT, digests

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster(tmp_path):
    """A head node with a dashboard, behind a token of its own."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    port, dashboard = free_port(), free_port()
    start = ["start", "--head", "--num-cpus=2", f"--port={port}", f"--dashboard-port={dashboard}"]
    options = ["--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1", f"--temp-dir={tmp_path}/r"]
    subprocess.run([*RAY, *start, *options], env=environment, check=True, capture_output=True, timeout=180)
    try:
        yield f"http://127.0.0.1:{dashboard}", environment
    finally:
        stop = [*RAY, "stop", "--force"]
        subprocess.run(stop, env=environment, check=False, capture_output=True, timeout=120)


def checkout(folder: Path) -> Path:
    """What a user's clone holds: the tracked files, without the caches that lie about here."""
    folder.mkdir()
    for name in ("pipeline", "stages", "models", "configs", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_a_submitted_job_writes_the_same_bytes(cluster, scenes, built, tmp_path):
    address, environment = cluster
    dataset = tmp_path / "dataset"
    command = [sys.executable, "-m", "pipeline", "build", "configs/build/miniature.yaml"]
    command += ["--input", str(scenes / "images"), "--output", str(dataset), "--set", "shard_size=10"]
    submit = [*RAY, "job", "submit", "--address", address]
    submit += ["--working-dir", str(checkout(tmp_path / "clone")), "--"]
    run = subprocess.run([*submit, *command], env=environment, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "samples out" in run.stdout
    assert digests(dataset) == digests(built)
