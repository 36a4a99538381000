# SPDX-License-Identifier: Apache-2.0
"""How fast each stage was, from the run's log beside the dataset."""

import json
from collections import Counter

from pipeline.dataset.layout import meta_folder
from stages.shard.place import Place, in_order


def images_per_second(root: Place) -> dict[str, float]:
    """For each stage the images that one worker does in a second, over all shards that were timed; images
    that were lost before they came to it do not count."""
    rows: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    logs = sorted((meta_folder(root) / "timings").glob("*.json"))
    for timing in in_order(root, lambda log: json.loads(log.read_text(encoding="utf-8")), logs):
        for stage, spent in timing["seconds"].items():
            rows[stage] += timing["images"][stage]
            seconds[stage] += spent
    return {stage: rows[stage] / spent for stage, spent in seconds.items() if spent > 0}
