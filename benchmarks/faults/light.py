# SPDX-License-Identifier: Apache-2.0
"""A source and a configuration for builds without models."""

import io
from pathlib import Path

import yaml
from PIL import Image

_WORKS = "benchmarks.faults.light_stages:Works"
_NO_SUBJECTS = "tests.pipeline.no_subjects:NoSubjects"


def pictures(folder: Path, count: int) -> Path:
    """Small pictures, each unlike the others, and every seventh a broken one."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        stream = io.BytesIO()
        Image.new("RGB", (40 + number % 50, 40), (number % 256, number // 256, 30)).save(stream, "JPEG")
        content = stream.getvalue()
        (folder / f"{number:06d}.jpg").write_bytes(
            content[: len(content) // 2] if number % 7 == 3 else content
        )
    return folder


def light_config(path: Path, shard_size: int, seconds: float) -> Path:
    """Three pools of workers: reading, a stage that takes `seconds` over each row, writing."""
    chain = ["read", _WORKS, _NO_SUBJECTS, "write"]
    stages = {
        "read": {"resources": {"workers": 1, "cpus": 0.25}},
        _WORKS: {"seconds": seconds, "resources": {"workers": 2, "cpus": 0.4}},
        _NO_SUBJECTS: {"resources": {"workers": 1, "cpus": 0.25}},
    }
    path.write_text(yaml.safe_dump({"shard_size": shard_size, "chain": chain, "stages": stages}))
    return path
