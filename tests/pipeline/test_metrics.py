# SPDX-License-Identifier: Apache-2.0
"""A real head node, a real driver, and what Prometheus would get from them."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.pipeline.runs import ROOT
from tests.pipeline.test_ray_job import RAY, free_port, wait_for

EXPECTED = {
    ("rows_total", "ok"): 21.0,
    ("rows_total", "rejected"): 9.0,
    ("rows_total", "error"): 10.0,
    ("shards_total", ""): 4.0,
    ("instances_total", ""): 36.0,
    ("backoffs_total", "detect"): 2.0,
    ("backoffs_total", "segment"): 1.0,
    ("stage_seconds_total", "caption"): 4.5,
    ("stage_seconds_total", "write"): 0.75,
    ("worker_deaths_total", ""): 1.0,
    ("shards_to_do", ""): 1.0,
}


@pytest.fixture
def cluster():
    """A head node behind a token of its own: its address, where its metrics are, and the environment."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment["PYTHONPATH"] = str(ROOT)
    port, metrics = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="sf") as folder:  # sockets lie in it: their paths must be short
        start = ["start", "--head", "--block", "--num-cpus=1", f"--port={port}", "--disable-usage-stats"]
        options = ["--include-dashboard=false", f"--metrics-export-port={metrics}", f"--temp-dir={folder}"]
        command = [*RAY, *start, *options]
        head = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for(port)
            wait_for(metrics)
            yield f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics}/metrics", environment
        finally:
            head.terminate()
            head.wait(timeout=60)


def scraped(url):
    """Our metrics by name and tag, without Ray's own tags."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name.removeprefix("ray_subjectforge_"), "".join(sample.labels.get(t, "") for t in TAGS)): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("ray_subjectforge_")
    }


TAGS = ("status", "stage")


def test_prometheus_gets_what_the_driver_counted(cluster):
    address, url, environment = cluster
    driver = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("feed_metrics.py"))],
        env=environment | {"RAY_ADDRESS": address},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert driver.stdout
        assert driver.stdout.readline() == "fed\n"
        found = {}
        for _ in range(120):
            found = scraped(url)
            if found == EXPECTED:
                break
            time.sleep(1)
        assert found == EXPECTED
        rest, _ = driver.communicate()
        assert rest == "after the end\n"
        assert driver.returncode == 0
    finally:
        driver.kill()
        driver.wait()


def test_importing_them_does_not_load_ray():
    code = "import sys, pipeline.metrics, pipeline.events, pipeline.lease; print('ray' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"
