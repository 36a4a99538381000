# SPDX-License-Identifier: Apache-2.0
"""Commands upon a dataset that is there, and what it is looked at for afterwards."""

import pandas as pd

from tests.pipeline.runs import subjectforge

LOCAL = ("--executor", "local")
WIDTHS = [20, 21, 13, 23, 24, 25, 26, 27, 28, 29]


def index_of(dataset):
    return pd.read_parquet(dataset / "_meta" / "index.parquet").set_index("source_key")


def retry(dataset, *where, code=0):
    options = [part for condition in where for part in ("--where", condition)]
    run = subjectforge("retry", dataset, *options, *LOCAL)
    assert run.returncode == code, run.stderr
    return run


def assert_whole(dataset):
    run = subjectforge("verify", dataset)
    assert run.returncode == 0, run.stdout


def everything(dataset):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in dataset.rglob("*") if path.is_file()
    }
