# SPDX-License-Identifier: Apache-2.0
"""The commit protocol of object stores, on a folder that behaves as one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.layout import checked_shards
from stages.shard import store_commit
from stages.shard.commit import commit, remove_leftovers, replace, rewrite
from stages.shard.remote_path import RemotePath
from stages.write import write_shard
from tests.shards import shard_table
from tests.stages.deaths import RECORD, ROOT, contents, count_deaths, kill_at_every_step, write_again
from tests.stages.folder_store import folder_store

NAMES = ["00000.tar", "00000.parquet", RECORD]


@pytest.fixture
def root(tmp_path: Path) -> RemotePath:
    return folder_store(tmp_path / "store")


def paths(root: RemotePath) -> list[RemotePath]:
    return [root / "data" / "train" / name for name in NAMES]


def fill(*streams: Any) -> None:
    for number, stream in enumerate(streams):
        stream.write(bytes([number]) * 100)


def names(root: RemotePath) -> list[str]:
    return sorted(path.name for path in (root / "data" / "train").iterdir())


def intents(root: RemotePath) -> list[str]:
    return [path.name for path in (root / "_meta" / "intents" / "train").iterdir()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("killed")
    return folder, kill_at_every_step("store", folder)


def test_a_writer_killed_at_any_step_leaves_a_whole_shard_or_none(killed: tuple[Path, list[str]]) -> None:
    folder, steps = killed
    whole = contents("store", folder / "whole")
    assert len(whole) == 3
    left = [contents("store", folder / str(step)) for step in range(len(steps))]
    committed = [RECORD in found for found in left]
    assert committed == sorted(committed), "a later death undid what an earlier one left"
    closes = [step for step, name in enumerate(steps) if name == "close"]
    assert committed.index(True) == closes[3] + 1, "after intent, tar and parquet; no other step commits"
    assert all(found == whole for found in left[committed.index(True) :])
    assert {len(found) for found in left} == {0, 1, 2, 3}


def test_what_the_dead_left_is_removed_and_nothing_else(
    killed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, steps = killed
    whole = contents("store", folder / "whole")
    for step in range(len(steps)):
        shutil.copytree(folder / str(step), tmp_path / str(step))
        root = folder_store(tmp_path / str(step))
        remove_leftovers(root / "data" / "train")
        assert contents("store", tmp_path / str(step)) in ({}, whole)
        assert intents(root) == []


def test_writing_again_after_any_kill_gives_the_same_bytes(
    killed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, steps = killed
    for step in range(len(steps)):
        shutil.copytree(folder / str(step), tmp_path / str(step))
        write_again("store", tmp_path / str(step))
        assert contents("store", tmp_path / str(step)) == contents("store", folder / "whole")


def test_deaths_are_counted(tmp_path: Path) -> None:
    found = count_deaths("store", tmp_path)
    assert found.points > 20
    assert found.differences == 0


def test_the_record_comes_after_the_data_and_the_intent_goes_last(tmp_path: Path) -> None:
    root, seen = folder_store(tmp_path / "store"), []

    def guard() -> None:
        seen.append((names(root), intents(root)))

    assert commit(paths(root), fill, guard)
    assert seen == [([], []), (["00000.parquet", "00000.tar"], ["00000.json"])]
    assert (names(root), intents(root)) == (sorted(NAMES), [])
    assert [path.read_bytes() for path in paths(root)] == [bytes([number]) * 100 for number in range(3)]


def test_who_comes_second_changes_nothing(root: RemotePath) -> None:
    assert commit(paths(root), fill)
    assert not commit(paths(root), lambda *_: pytest.fail("there was nothing to write"))
    assert intents(root) == []


def test_who_was_faster_while_the_files_were_filled_stays(root: RemotePath) -> None:
    def slow(*streams: Any) -> None:
        assert commit(paths(root), fill)
        for stream in streams:
            stream.write(b"other")

    assert not commit(paths(root), slow)
    assert paths(root)[0].read_bytes() == bytes(100)


@pytest.mark.parametrize("when", [0, 1])
def test_who_is_told_to_stop_commits_nothing(root: RemotePath, when: int) -> None:
    calls = iter(range(2))

    def guard() -> None:
        if next(calls) == when:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        commit(paths(root), fill, guard)
    assert names(root) == sorted(NAMES[:2] * when)
    remove_leftovers(root / "data" / "train")
    assert (names(root), intents(root)) == ([], [])


def test_what_fails_leaves_nothing(root: RemotePath) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        commit(paths(root), fail)
    assert (names(root), intents(root)) == ([], [])


def test_writers_of_one_shard_at_the_same_time(tmp_path: Path) -> None:
    table, barrier = shard_table(0, rows=6), threading.Barrier(4)

    def work(_: int) -> None:
        barrier.wait()
        write_shard(folder_store(tmp_path / "store"), "train", table)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    write_shard(folder_store(tmp_path / "alone"), "train", table)
    assert contents("store", tmp_path / "store") == contents("store", tmp_path / "alone")


def test_a_writer_of_other_bytes_is_noticed_before_the_record(root: RemotePath) -> None:
    calls = iter(range(2))

    def other_run() -> None:
        if next(calls) == 1:
            intent = store_commit.intent_of(paths(root)[-1])
            replace(intent, json.dumps({"attempt": "b", "files": {"00000.tar": {}}}).encode())

    with pytest.raises(OSError, match="another run writes to the same dataset"):
        commit(paths(root), fill, other_run)
    assert RECORD not in names(root)


def test_an_object_that_arrives_cut_off_is_noticed(tmp_path: Path) -> None:
    root = folder_store(tmp_path / "store")

    def cut() -> None:
        tar = tmp_path / "store" / "set" / "data" / "train" / "00000.tar"
        os.truncate(tar, 7)

    looks = iter(range(100))

    def step(name: str) -> None:
        # After two for a record comes the one at the tar that was sent.
        if name == "look" and next(looks) == 2:
            cut()

    with pytest.raises(OSError, match=r"did not take all 100 bytes of it: .*/00000\.tar"):
        commit(paths(folder_store(tmp_path / "store", step)), fill)
    assert RECORD not in names(root)


def test_a_shard_whose_record_was_removed_is_written_again(root: RemotePath) -> None:
    assert commit(paths(root), fill)
    paths(root)[-1].unlink()
    assert commit(paths(root), lambda *streams: [stream.write(b"new") for stream in streams])
    assert {path.read_bytes() for path in paths(root)} == {b"new"}


def test_an_intent_removes_only_its_own_shards_objects(root: RemotePath) -> None:
    folder = root / "data" / "train"
    kept = [*paths(root), folder / "00001.tar", root / "README.md"]
    for path in kept:
        replace(path, b"kept")
    (folder / RECORD).unlink()
    files = {name: {} for name in ("00000.tar", "00001.tar", "../../README.md", "00000.tar/../00001.tar")}
    replace(store_commit.intent_of(folder / RECORD), json.dumps({"files": files}).encode())
    replace(store_commit.intent_of(folder / "00001_stats.json"), b"{ not json")
    remove_leftovers(folder)
    assert names(root) == ["00000.parquet", "00001.tar"]
    assert (root / "README.md").read_bytes() == b"kept"
    assert intents(root) == []


def test_one_object_over_another(root: RemotePath) -> None:
    for content in (b"old", b"", b"new" * 10_000):
        rewrite(root / "x", lambda stream, content=content: stream.write(content))
        assert (root / "x").read_bytes() == content


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
from stages.shard.commit import replace
from tests.stages.folder_store import folder_store

def step(name):
    if name == "write":
        print("writing", flush=True)
        time.sleep(0.5)

replace(folder_store(Path(sys.argv[1]), step) / "x", b"whole" * 1000)
"""


def test_ctrl_c_while_an_object_is_sent_does_not_cut_it_off(tmp_path: Path) -> None:
    replace(folder_store(tmp_path / "store") / "x", b"old")
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "store")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=_with_ctrl_c
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        writer.send_signal(signal.SIGINT)
    assert writer.returncode != 0
    assert (folder_store(tmp_path / "store") / "x").read_bytes() in (b"old", b"whole" * 1000)


def _with_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_what_is_done_is_found_by_one_listing_and_the_records(tmp_path: Path) -> None:
    for number in range(3):
        write_shard(folder_store(tmp_path / "store"), "train", shard_table(number, rows=2))
    steps: list[str] = []
    whole, damaged = checked_shards(folder_store(tmp_path / "store", steps.append))
    assert ([files.number for files in whole], damaged) == ([0, 1, 2], [])
    assert sorted(steps) == ["list", "read", "read", "read"]
