# SPDX-License-Identifier: Apache-2.0
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.shard.commit import commit, remove_leftovers, replace
from stages.write import Write
from tests.shards import shard_table
from tests.stages.deaths import count_deaths, kill_at_every_step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(root: Path) -> dict[str, bytes]:
    folder = root / "data" / "train"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("killed")
    return folder, kill_at_every_step("posix", folder)


def test_a_writer_killed_at_any_step_leaves_a_whole_shard_or_none(killed: tuple[Path, list[str]]) -> None:
    folder, steps = killed
    whole = contents(folder / "whole")
    assert len(whole) == 3
    committed = ["00000_stats.json" in contents(folder / str(step)) for step in range(len(steps))]
    assert committed == sorted(committed), "a later death undid what an earlier one left"
    assert steps.count("replace") == 4
    renames = [step for step, name in enumerate(steps) if name == "replace"]
    assert committed.index(True) == renames[2] + 1, "the third rename, and no other step, commits"
    for step in range(committed.index(True), len(steps)):
        assert contents(folder / str(step)) == whole


def test_writing_again_after_any_kill_gives_the_same_bytes(killed: tuple[Path, list[str]]) -> None:
    folder, steps = killed
    whole, table = contents(folder / "whole"), shard_table(0, rows=5)
    unfinished = 0
    for step in range(len(steps)):
        root = folder / str(step)
        unfinished += any(name.startswith(".") for name in contents(root))
        Write(folder=str(root)).setup()(table)
        assert contents(root) == whole
    assert unfinished > 20


def test_deaths_are_counted(tmp_path: Path) -> None:
    found = count_deaths("posix", tmp_path)
    assert found.points > 100
    assert found.differences == 0


def test_a_guard_is_asked_before_the_data_and_before_the_mark(tmp_path: Path) -> None:
    paths, seen = [tmp_path / "a", tmp_path / "mark"], []

    def guard() -> None:
        seen.append([path.exists() for path in paths])

    assert commit(paths, lambda *streams: [stream.write(b"x") for stream in streams], guard)
    assert seen == [[False, False], [True, False]]


@pytest.mark.parametrize("when", [0, 1])
def test_who_is_told_to_stop_commits_nothing(tmp_path: Path, when: int) -> None:
    calls = iter(range(2))

    def guard() -> None:
        if next(calls) == when:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        commit([tmp_path / "a", tmp_path / "mark"], lambda *streams: None, guard)
    assert names(tmp_path) == ["a"] * when


def test_writers_of_one_shard_at_the_same_time(tmp_path: Path) -> None:
    table, barrier = shard_table(0, rows=6), threading.Barrier(4)

    def work(_: int) -> bool:
        write = Write(folder=str(tmp_path)).setup()
        barrier.wait()
        return write(table)["written"][0].as_py()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(work, range(4))) == [False, False, False, True]
    Write(folder=str(tmp_path / "alone")).setup()(table)
    assert contents(tmp_path) == contents(tmp_path / "alone")


def test_who_comes_second_changes_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert commit([tmp_path / "a", mark], lambda *streams: [stream.write(b"first") for stream in streams])

    def refuse(*_: object) -> None:
        pytest.fail("there was nothing to write")

    assert not commit([tmp_path / "a", mark], refuse)
    assert (tmp_path / "a").read_bytes() == mark.read_bytes() == b"first"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(first: object, second: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        commit([tmp_path / "a", tmp_path / "b"], fail)
    assert names(tmp_path) == []


def test_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".b.tmp-0123456789ab"
    left.write_bytes(b"half")
    (tmp_path / ".keep").touch()

    def look(*_: object) -> None:
        assert len(names(tmp_path)) == 4
        remove_leftovers(tmp_path)
        assert len(names(tmp_path)) == 3
        assert not left.exists()

    assert commit([tmp_path / "a", tmp_path / "mark"], look)
    assert names(tmp_path) == [".keep", "a", "mark"]


def test_a_shards_leftovers_go_when_it_is_written(tmp_path: Path) -> None:
    other, own = tmp_path / ".other.tmp-0123456789ab", tmp_path / ".a.tmp-0123456789ab"
    other.touch()
    own.touch()
    assert commit([tmp_path / "a"], lambda stream: stream.write(b"x"))
    assert names(tmp_path) == [other.name, "a"]


def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path, stop, seen = tmp_path / "file", threading.Event(), set()
    replace(path, b"0" * 100_000)

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for digit in b"1234567890":
        replace(path, bytes([digit]) * 100_000)
    stop.set()
    reader.join()
    assert {len(content) for content in seen} == {100_000}
    assert all(len(set(content)) == 1 for content in seen)
    assert names(tmp_path) == ["file"]
