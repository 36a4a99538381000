# SPDX-License-Identifier: Apache-2.0
"""How fast each stage was, from the run's log beside the dataset."""

import json
from collections import Counter
from pathlib import Path

from pipeline.dataset.layout import meta_folder


def images_per_second(root: Path) -> dict[str, float]:
    """For each stage the images that one worker does in a second, over all shards that were timed; images
    that were lost before they came to it do not count."""
    rows: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for path in sorted((meta_folder(root) / "timings").glob("*.json")):
        timing = json.loads(path.read_text(encoding="utf-8"))
        for stage, spent in timing["seconds"].items():
            rows[stage] += timing["images"][stage]
            seconds[stage] += spent
    return {stage: rows[stage] / spent for stage, spent in seconds.items() if spent > 0}
