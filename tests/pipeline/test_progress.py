# SPDX-License-Identifier: Apache-2.0
"""Something is said while nothing arrives. The iterators wait for what they want to see, not for a time."""

import io
import threading
import time

import pyarrow as pa
import pytest

from pipeline.progress import shown, watched
from pipeline.ticker import Ticker
from stages.write import RECEIPT

OFTEN = 0.02


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def receipt(shard):
    counts = {"rows": 10, "samples": 8, "rejected": 1, "errors": 1, "instances": 9}
    row = {"shard": shard, **counts, "tar_bytes": 1, "parquet_bytes": 1, "written": True}
    return pa.Table.from_pylist([row | {"tar_sha256": "", "parquet_sha256": ""}], RECEIPT)


def slow(shards, stream, signs):
    """Receipts, each only after its sign has been seen twice on the stream since the last."""
    for shard, sign in zip(range(shards), signs, strict=True):
        before = stream.getvalue().count(sign)
        while stream.getvalue().count(sign) < before + 2:
            time.sleep(OFTEN)
        yield receipt(shard)


def test_lines_come_while_nothing_arrives():
    stream = io.StringIO()
    signs = ["s for the first shard", "s for the next shard", "s for the next shard"]
    assert len(list(watched(slow(3, stream, signs), 3, stream, every=OFTEN))) == 3
    lines = stream.getvalue().splitlines()
    assert {line.partition(" · ")[0] for line in lines} == {f"shard {done}/3" for done in range(4)}
    assert all(line.endswith("s for the first shard") for line in lines if line.startswith("shard 0/3"))
    late = [line for line in lines if line.startswith("shard 1/3") and "waiting" in line]
    assert late
    assert all(line.startswith("shard 1/3 · 10 images · ") for line in late)
    assert all("img/s · ok 80 % · rejected 10 % · errors 10.0 % · waiting" in line for line in late)
    assert all(line.endswith("s for the next shard") for line in late)
    assert lines[-1].startswith("shard 3/3 · 30 images")
    assert "waiting" not in lines[-1]


def test_a_quick_run_says_one_line():
    stream = io.StringIO()
    list(watched(map(receipt, range(4)), 4, stream))
    assert [line.partition(" · ")[0] for line in stream.getvalue().splitlines()] == ["shard 4/4"]


def test_the_bar_goes_on_by_itself(monkeypatch):
    stream = Terminal()
    signs = ["s for the first shard", "s for the next shard"]
    assert len(list(watched(slow(2, stream, signs), 2, stream, every=OFTEN))) == 2
    assert "2/2" in stream.getvalue()
    assert "20 images" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["lines", "bar"])
@pytest.mark.parametrize("end", ["all", "early", "error"])
def test_nothing_goes_on_after_the_end(stream, end):
    def receipts():
        yield receipt(0)
        if end == "error":
            raise OSError("no more")
        yield receipt(1)

    before = set(threading.enumerate())
    stream.truncate(stream.seek(0))
    run = watched(receipts(), 2, stream, every=OFTEN)
    next(run)
    others = set(threading.enumerate()) - before
    assert others
    if end == "error":
        with pytest.raises(OSError, match="no more"):
            next(run)
    else:
        run.close() if end == "early" else list(run)
    for thread in others:
        thread.join()
    assert ("2/2" in stream.getvalue()) == (end == "all")


def test_a_check_of_shards_is_shown_too():
    stream = io.StringIO()
    with shown(3, stream, OFTEN) as tell:
        for done in range(3):
            while f"shard {done}/3" not in stream.getvalue():
                time.sleep(OFTEN)
            tell(done + 1, 3)
    assert stream.getvalue().splitlines()[-1] == "shard 3/3"


def test_a_ticker_never_ticks_after_its_end():
    calls = []
    with Ticker(OFTEN, lambda: calls.append(len(calls))):
        while len(calls) < 3:
            time.sleep(OFTEN)
    seen = len(calls)
    assert calls == list(range(seen))
    time.sleep(5 * OFTEN)
    assert len(calls) == seen
