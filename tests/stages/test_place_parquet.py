# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
READS = """
import sys
from pathlib import Path
from stages.shard.place import open_parquet
for _ in range(3):
    with open_parquet(Path(sys.argv[1])) as file:
        file.read(columns=["a", "b", "c"])
"""


def test_a_process_that_has_read_a_table_ends_as_it_should(tmp_path):
    """Of processes that read it from a stream of Python's, one in five was aborted at its end."""
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({name: [str(n) for n in range(10)] for name in "abcdefgh"}), path)
    for _ in range(20):
        run = subprocess.run([sys.executable, "-c", READS, path], cwd=ROOT, capture_output=True)
        assert (run.returncode, run.stderr) == (0, b"")
