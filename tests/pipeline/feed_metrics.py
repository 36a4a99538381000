# SPDX-License-Identifier: Apache-2.0
"""A driver on the cluster at RAY_ADDRESS that counts three shards, and stays until its input ends."""

import sys

import ray

from pipeline.metrics import Metrics


def receipt(shard: int) -> dict[str, int]:
    return {"shard": shard, "rows": 10, "samples": 7, "rejected": 3, "errors": 0, "instances": 12}


def main() -> None:
    ray.init(log_to_driver=False)
    metrics = Metrics(5)
    for shard in range(3):
        metrics.committed(receipt(shard))
        metrics.happened("shard", {"shard": shard, "seconds": {"caption": 1.5, "write": 0.25, "read": 0}})
    metrics.committed(receipt(3) | {"samples": 0, "rejected": 0, "errors": 10, "instances": 0})
    for stage in ("detect", "segment", "detect"):
        metrics.happened("backoff", {"stage": stage, "batch": 4})
    metrics.happened("worker_died", {"stage": "detect"})
    metrics.happened("stall", {"stage": "detect"})
    print("fed", flush=True)
    sys.stdin.read()
    ray.shutdown()
    metrics.committed(receipt(4))
    metrics.happened("worker_died", {})
    print("after the end", flush=True)


if __name__ == "__main__":
    main()
