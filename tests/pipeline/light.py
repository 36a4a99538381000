# SPDX-License-Identifier: Apache-2.0
"""Builds without models: small pictures, `read`, a stage to try, no subjects, `write`."""

from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

from pipeline.events import read_events

FAULTY = "tests.pipeline.faulty_stages:"


def pictures(folder: Path, widths: list[int]) -> Path:
    """A picture of each width, named by its place."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, width in enumerate(widths):
        Image.new("RGB", (width, 40), (number % 256, 90, 30)).save(folder / f"{number:04d}.jpg")
    return folder


def light_config(path: Path, *stages: tuple[str, dict], shard_size: int = 4) -> Path:
    """A configuration with these stages of `tests.pipeline.faulty_stages` and their fields."""
    names = [FAULTY + name for name, _ in stages]
    fields = {FAULTY + name: values for name, values in stages}
    chain = ["read", *names, "tests.pipeline.no_subjects:NoSubjects", "write"]
    path.write_text(yaml.safe_dump({"chain": chain, "shard_size": shard_size, "stages": fields}))
    return path


def rows_of(dataset: Path) -> pd.DataFrame:
    """All rows of a dataset, by key."""
    paths = sorted((dataset / "data" / "train").glob("*.parquet"))
    return pd.concat(map(pd.read_parquet, paths)).set_index("key")


def events_of(dataset: Path) -> list[str]:
    """The names of all events, in order."""
    return [event["event"] for event in read_events(dataset)]
