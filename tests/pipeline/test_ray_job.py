# SPDX-License-Identifier: Apache-2.0
"""The builder as a Ray job: a head node started here, the checkout sent as the working directory."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.pipeline.runs import ROOT, digests

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster():
    """A head node with a dashboard, behind a token of its own.

    The agent that runs jobs gets a free port as well: Ray's usual one belongs to whatever began first here.
    """
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    port, dashboard, agent = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="sf") as folder:  # sockets lie in it: their paths must be short
        start = ["start", "--head", "--block", "--num-cpus=2", f"--port={port}", "--disable-usage-stats"]
        options = [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}"]
        command = [*RAY, *start, *options, f"--dashboard-agent-listen-port={agent}"]
        head = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for(dashboard)
            wait_for(agent)
            yield f"http://127.0.0.1:{dashboard}", environment
        finally:
            head.terminate()
            head.wait(timeout=60)


def wait_for(port):
    """Until something listens on the port, two minutes at most."""
    for _ in range(240):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise TimeoutError(f"nothing listens on port {port}")


def checkout(folder: Path) -> Path:
    """What a user's clone holds: the tracked files, and nothing of what lies about here."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listing.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
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
