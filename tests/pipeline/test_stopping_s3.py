# SPDX-License-Identifier: Apache-2.0
"""Runs in an object store: kept apart, stopped, retried like those on disk."""

import signal

from pipeline.dataset.layout import committed_shards
from pipeline.events import read_events
from stages.shard.fence import lease_path
from stages.shard.place import place
from tests.pipeline.light import light_config, pictures
from tests.pipeline.runs import build, one_line, subjectforge
from tests.pipeline.test_build_s3 import store_digests
from tests.pipeline.test_stopping import started, until

LOCAL = ("--executor", "local")


def test_a_second_run_is_refused_and_takes_over_once_the_first_is_dead(tmp_path, bucket):
    source, gate, stored = pictures(tmp_path / "in", list(range(20, 36))), tmp_path / "gate", bucket("sets/a")
    config = light_config(tmp_path / "config.yaml", ("Waits", {"shard": "00002", "until": str(gate)}))
    root = place(stored)
    first = started(config, source, stored, *LOCAL)
    until(lambda: len(committed_shards(root)) == 2, first)
    line = one_line(subjectforge("build", config, "--input", source, "--output", stored, *LOCAL))
    assert f"process {first.pid}" in line
    assert "s3cr" not in line
    first.kill()
    first.wait()
    gate.touch()
    build(source, stored, *LOCAL, config=config)
    build(source, tmp_path / "calm", *LOCAL, config=config)
    assert store_digests(root) == store_digests(tmp_path / "calm")
    assert not lease_path(root).exists()
    assert subjectforge("verify", stored).returncode == 0


def test_sigterm_and_then_what_is_new_and_what_failed(tmp_path, bucket):
    source, gate, stored = pictures(tmp_path / "in", list(range(20, 32))), tmp_path / "gate", bucket("sets/b")
    broken = tmp_path / "broken"
    broken.touch()
    stages = (
        ("Waits", {"shard": "00001", "until": str(gate)}),
        ("Flaky", {"width": 21, "broken": str(broken)}),
    )
    config, root = light_config(tmp_path / "config.yaml", *stages), place(stored)
    run = started(config, source, stored, *LOCAL, "--grace", 60)
    until(lambda: len(committed_shards(root)) == 1, run)
    run.send_signal(signal.SIGTERM)
    gate.touch()
    said, complaints = run.communicate(timeout=120)
    assert run.returncode == 0, complaints
    assert "stopped by SIGTERM" in said
    pictures(source / "later", [40, 41])
    build(source, stored, "--extend", *LOCAL, config=config)
    broken.unlink()
    retried = subjectforge("retry", stored, "--where", "reason=ConnectionError", *LOCAL)
    assert retried.returncode == 0, retried.stderr
    verified = subjectforge("verify", stored)
    assert verified.returncode == 0, verified.stdout
    assert "5 shards, 15 rows (1 of them replaced by newer ones): 14 samples" in verified.stdout
    assert {"start", "stop", "resume", "retry", "end"} <= {event["event"] for event in read_events(root)}
