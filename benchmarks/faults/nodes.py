# SPDX-License-Identifier: Apache-2.0
"""A node that is lost in the middle of a build, in a simulated cluster of three on this machine.

COMMAND  python -m benchmarks.faults.nodes [--losses 5] [--seed 20261121]
"""

import argparse
import os
import random
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.faults.light import light_config, pictures
from benchmarks.faults.same import data_digests, differing

SHARDS, SHARD_SIZE = 12, 8
_LIMIT = 300.0
"""Seconds that one build may take."""


@dataclass(frozen=True, slots=True)
class Result:
    """How many losses a build survived."""

    losses: int
    identical: int
    seconds: float

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return self.identical == self.losses

    def line(self) -> str:
        """The row of a table."""
        told = f"{self.identical} of {self.losses} identical ({self.seconds:.0f} s)"
        return f"| node loss in a simulated cluster of 3 | {told} |"


def run(losses: int = 5, seed: int = 20261121) -> Result:
    """Build `losses` times while a node is taken away without grace, and compare with a calm build."""
    started, identical, rng = time.monotonic(), 0, random.Random(seed)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        source = pictures(root / "in", SHARDS * SHARD_SIZE)
        config = light_config(root / "config.yaml", SHARD_SIZE, seconds=0.02)
        _build(config, source, root / "calm", "--executor", "local")
        for number in range(losses):
            after = rng.randrange(SHARDS - 4)
            output = root / f"out{number}"
            said = _build_while_losing(config, source, output, after)
            wrong = [*filter(None, [said]), *differing(data_digests(output), data_digests(root / "calm"))]
            identical += not wrong
            told = ", ".join(wrong) or "identical"
            print(f"node lost after shard {after}: {told}", file=sys.stderr, flush=True)
    return Result(losses, identical, time.monotonic() - started)


def _build_while_losing(config: Path, source: Path, output: Path, after: int) -> str:
    """What the build said, if it failed."""
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.connect()
    try:
        command = [*_command(config, source, output), "--address", cluster.address]
        build = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + _LIMIT
        while build.poll() is None and len([*output.glob("data/*/*_stats.json")]) <= after:
            if time.monotonic() > deadline:
                build.kill()
            time.sleep(0.05)
        cluster.remove_node(_busiest(nodes), allow_graceful=False)
        said, _ = build.communicate(timeout=_LIMIT)
        return f"exit code {build.returncode}: {said[-2000:]}" if build.returncode else ""
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()


def _busiest(nodes: list[Any]) -> Any:
    """The node with the most of the build's workers; without any its loss would prove nothing."""
    from ray._private.state import actors

    alive = [actor["Address"]["NodeID"] for actor in actors().values() if actor["State"] == "ALIVE"]
    node = max(nodes, key=lambda node: alive.count(node.node_id))
    if node.node_id not in alive:
        raise RuntimeError("no worker of the build is on a node that can be taken away")
    return node


def _build(config: Path, source: Path, output: Path, *options: str) -> None:
    subprocess.run([*_command(config, source, output), *options], check=True, capture_output=True)


def _command(config: Path, source: Path, output: Path) -> list[str]:
    command = [sys.executable, "-m", "pipeline", "build", str(config)]
    return [*command, "--input", str(source), "--output", str(output)]


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20261121)
    arguments = parser.parse_args()
    print(run(arguments.losses, arguments.seed).line())


if __name__ == "__main__":
    main()
