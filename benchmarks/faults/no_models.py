# SPDX-License-Identifier: Apache-2.0
"""A build without models, of a second, for faults that have nothing to do with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from benchmarks.faults.small_disk import SmallDisk
from stages.base import Stage, TableFunction
from stages.columns import ENTITY
from stages.rows import table_function

MINIATURE = Path(__file__).parents[2] / "configs" / "build" / "miniature.yaml"
"""For faults that have to do with models."""
_STAGE = "benchmarks.faults.no_models:NoSubjects"


@dataclass(frozen=True, kw_only=True)
class NoSubjects(Stage):
    """Finds nothing in any picture."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("entities", pa.list_(ENTITY))])
    disk: str = ""
    """A disk that it makes read-only when the third shard comes by, unless it has done so before."""
    mark: str = ""
    """A file that says so."""

    def setup(self) -> TableFunction:
        """Nothing to load."""
        find = table_function(self, "no_subjects", lambda rows: [{"entities": []} for _ in rows], 64)

        def work(table: pa.Table) -> pa.Table:
            if self.disk and table["key"][0].as_py().startswith("00002") and not Path(self.mark).exists():
                SmallDisk(Path(self.disk)).read_only()
                Path(self.mark).touch()
            return find(table)

        return work


def write_pictures(folder: Path, count: int) -> None:
    """Noise of a few kilobytes a picture."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(count):
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.jpg", quality=90)


def write_config(path: Path, disk: str = "", mark: str = "") -> Path:
    """Five pictures a shard."""
    fields = {_STAGE: {"disk": disk, "mark": mark}}
    path.write_text(yaml.safe_dump({"chain": ["read", _STAGE, "write"], "shard_size": 5, "stages": fields}))
    return path
