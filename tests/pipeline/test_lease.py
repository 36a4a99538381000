# SPDX-License-Identifier: Apache-2.0
"""Real processes that want one folder, that die, that are stopped, and that were never here."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.lease import Lease
from stages.shard.fence import Fence, Fenced
from tests.pipeline.full_disk import fill_up
from tests.pipeline.leases import Process, fields_of, path_of, write_lease

QUICK = {"every": 0.05, "patience": 1.0, "settle": 0.05}
NEVER = {"every": 1000.0, "patience": 1.0, "settle": 0.05}
ELSEWHERE = {"host": "another", "boot": "0-0"}


@pytest.fixture
def crowd():
    """Starts processes, and ends them all."""
    processes = []

    def start(count=1, *options):
        new = [Process(*options) for _ in range(count)]
        processes.extend(new)
        for process in new:
            assert process.answer() == {"ready": True}
        return new

    yield start
    for process in processes:
        process.end()


def silent(line):
    pytest.fail(f"there was nothing to watch: {line}")


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


def refusal(root, **options):
    with pytest.raises(UserError) as told:
        Lease.take(root, **(QUICK | options))
    line = str(told.value)
    assert "\n" not in line
    assert str(root) in line
    return line


def winner(processes, root, settle):
    """Let all of them take the folder at the same instant; the token of the only one that got it."""
    at = time.monotonic() + 0.1
    for process in processes:
        process.say(do="take", root=str(root), at=at, **(NEVER | {"settle": settle}))
    answers = [process.answer() for process in processes]
    tokens = [answer["token"] for answer in answers if "token" in answer]
    assert len(tokens) == 1
    assert all("is being written by another run" in a["refused"] for a in answers if "token" not in a)
    return tokens[0]


@pytest.mark.parametrize(
    ("rounds", "settle", "options"), [(16, 0.0, ()), (4, 1.5, ["--no-locks"])], ids=["locks", "no locks"]
)
def test_of_eight_that_start_together_exactly_one_gets_a_free_folder_or_a_dead_ones(
    crowd, tmp_path, rounds, settle, options
):
    processes = crowd(8, *options)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for number in range(rounds):
        root = tmp_path / str(number)
        if number % 2:
            write_lease(root, pid=ended.pid, born=1)
        token = winner(processes, root, settle)
        assert fields_of(root)["token"] == token
        for process in processes:
            process.ask(do="release")
        assert not path_of(root).exists()


def test_whoever_is_alive_here_is_not_disturbed(crowd, tmp_path):
    (process,) = crowd()
    token = process.ask(do="take", root=str(tmp_path), **NEVER)["token"]
    line = refusal(tmp_path, tell=silent)
    assert f"process {process.process.pid}" in line
    assert socket.gethostname() in line
    assert fields_of(tmp_path)["started"] in line
    assert "another --output" in line
    assert fields_of(tmp_path)["token"] == token


def test_a_stopped_process_is_alive(crowd, tmp_path):
    (process,) = crowd()
    process.ask(do="take", root=str(tmp_path), **NEVER)
    os.kill(process.process.pid, signal.SIGSTOP)
    try:
        assert f"process {process.process.pid}" in refusal(tmp_path, tell=silent)
    finally:
        os.kill(process.process.pid, signal.SIGCONT)
    assert process.ask(do="release") == {}


@pytest.mark.parametrize("moment", ["as it ends", "ended"])
def test_a_killed_ones_folder_is_taken_over_at_once(crowd, tmp_path, moment):
    (process,) = crowd()
    token = process.ask(do="take", root=str(tmp_path), **NEVER)["token"]
    process.process.send_signal(signal.SIGKILL)
    assert process.process.stdout.read() == ""
    if moment == "ended":
        # Nobody has asked how: it is still in the list of processes.
        os.waitid(os.P_PID, process.process.pid, os.WEXITED | os.WNOWAIT)
    with Lease.take(tmp_path, tell=silent) as lease:
        assert fields_of(tmp_path)["token"] == lease.token != token
    assert not path_of(tmp_path).exists()


def test_a_number_given_again_is_another_process(tmp_path):
    born = write_lease(tmp_path)["born"]
    refusal(tmp_path, tell=silent)
    write_lease(tmp_path, born=born - 1)
    with Lease.take(tmp_path, tell=silent):
        pass


@pytest.mark.parametrize("change", [ELSEWHERE, {"pid_namespace": "pid:[1]"}, {"boot": ""}])
def test_a_silent_run_elsewhere_is_watched_and_then_taken_over(tmp_path, change):
    write_lease(tmp_path, **change)
    told = []
    with Lease.take(tmp_path, **QUICK, tell=told.append) as lease:
        assert fields_of(tmp_path)["token"] == lease.token
    assert len(told) == 1
    assert "watching" in told[0]


def test_a_run_elsewhere_that_beats_keeps_its_folder(tmp_path):
    fields, done = write_lease(tmp_path, **ELSEWHERE), threading.Event()

    def beat():
        while not done.wait(0.05):
            write_lease(tmp_path, **ELSEWHERE, beat=fields_of(tmp_path)["beat"] + 1)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        # It takes as long as it takes until the first beat is seen.
        line = refusal(tmp_path, patience=15.0, tell=str)
    finally:
        done.set()
        thread.join()
    assert "host another" in line
    assert fields_of(tmp_path)["token"] == fields["token"]


@pytest.mark.parametrize("years", [-30, 30])
def test_no_clock_is_believed(tmp_path, years):
    write_lease(tmp_path, **ELSEWHERE, started=f"{2026 + years}-01-01T00:00:00+00:00")
    when = time.time() + years * 365.25 * 86400
    os.utime(path_of(tmp_path), (when, when))
    told = []
    Lease.take(tmp_path, **QUICK, tell=told.append)
    assert len(told) == 1


def test_an_older_beat_of_a_changed_lease_counts_too(tmp_path):
    """What is written lives, whatever it writes: only silence is an end."""
    write_lease(tmp_path, **ELSEWHERE)
    refusal(tmp_path, patience=15.0, tell=lambda _: write_lease(tmp_path, **ELSEWHERE, beat=0))


def test_a_folder_given_back_while_we_watch_is_ours(tmp_path):
    write_lease(tmp_path, **ELSEWHERE)
    with Lease.take(tmp_path, patience=15.0, tell=lambda _: path_of(tmp_path).unlink()) as lease:
        assert fields_of(tmp_path)["token"] == lease.token


def test_who_takes_over_while_we_watch_is_judged_anew(tmp_path):
    write_lease(tmp_path, **ELSEWHERE)
    line = refusal(tmp_path, patience=15.0, tell=lambda _: write_lease(tmp_path, token="b" * 32))
    assert f"process {os.getpid()}" in line


DAMAGED = [b"", b"{", b"[]", b"\xff\x00", b'{"token": 7}', b"[" * 100_000]
ODD = [{"pid": "1"}, {"pid": -1}, {"pid": True}, {"born": None}, {"host": ["x"]}]


@pytest.mark.parametrize("content", [*DAMAGED, *ODD], ids=range(len(DAMAGED + ODD)))
def test_a_damaged_lease_is_watched_like_a_silent_run(tmp_path, content):
    write_lease(tmp_path, **content) if isinstance(content, dict) else None
    if isinstance(content, bytes):
        write_lease(tmp_path)
        path_of(tmp_path).write_bytes(content)
    told = []
    with Lease.take(tmp_path, **QUICK, tell=told.append) as lease:
        assert fields_of(tmp_path)["token"] == lease.token
    assert len(told) == 1


def test_a_damaged_lease_that_somebody_writes_is_in_use(tmp_path):
    write_lease(tmp_path)
    path_of(tmp_path).write_bytes(b"{")
    refusal(tmp_path, patience=15.0, tell=lambda _: path_of(tmp_path).write_bytes(b'{"'))


def test_the_beat_goes_on_and_mends_a_damaged_lease(tmp_path):
    with Lease.take(tmp_path, **QUICK) as lease:
        before = fields_of(tmp_path)["beat"]
        wait_for(lambda: fields_of(tmp_path)["beat"] > before + 2)
        path_of(tmp_path).write_bytes(b"{")
        lease.fence.check()
        wait_for(lambda: path_of(tmp_path).read_bytes() not in (b"{", b""))
        lease.fence.check()
        assert not lease.lost.is_set()


@pytest.mark.parametrize("how", ["taken over", "removed"])
def test_a_lost_lease_is_noticed_and_left_alone(tmp_path, how):
    with Lease.take(tmp_path, **QUICK) as lease:
        lease.fence.check()
        if how == "removed":
            path_of(tmp_path).unlink()
        else:
            write_lease(tmp_path)
        assert lease.lost.wait(60)
        lease.stop_new_work()
        with pytest.raises(Fenced, match=how.replace("taken over", "took it over")):
            lease.fence.check()
    if how == "removed":
        assert not path_of(tmp_path).exists()
    else:
        fields = fields_of(tmp_path)
        assert (fields["token"], fields["beat"], fields["state"]) == ("a" * 32, 3, "running")


def test_a_process_that_comes_back_after_a_takeover_stops(crowd, tmp_path):
    (process,) = crowd()
    token = process.ask(do="take", root=str(tmp_path), **QUICK)["token"]
    os.kill(process.process.pid, signal.SIGSTOP)
    # As if it ran on another machine, where nobody can see that it is only stopped.
    write_lease(tmp_path, **(fields_of(tmp_path) | ELSEWHERE))
    with Lease.take(tmp_path, **NEVER, tell=str) as lease:
        os.kill(process.process.pid, signal.SIGCONT)
        assert process.ask(do="wait_until_lost") == {"lost": True}
        with pytest.raises(Fenced):
            Fence(str(tmp_path), token).check()
        process.ask(do="release")
        lease.fence.check()
        assert fields_of(tmp_path)["token"] == lease.token


def test_everybody_who_works_for_the_run_learns_that_it_stops(tmp_path):
    with Lease.take(tmp_path, **QUICK) as lease:
        fence = lease.fence
        with ProcessPoolExecutor(1, get_context("spawn")) as worker:
            assert not worker.submit(fence.stopping).result()
            lease.stop_new_work()
            assert worker.submit(fence.stopping).result()
        before = fields_of(tmp_path)["beat"]
        wait_for(lambda: fields_of(tmp_path)["beat"] > before)
        assert fence.stopping()
        fence.check()
        assert not Fence(str(tmp_path), "b" * 32).stopping()
    assert not fence.stopping()
    with pytest.raises(Fenced, match="removed"):
        fence.check()


def test_given_back_before_the_end_is_not_lost(tmp_path):
    with Lease.take(tmp_path, **QUICK) as lease:
        lease.release()
        lease.stop_new_work()
        assert not path_of(tmp_path).exists()
        with Lease.take(tmp_path, **QUICK) as other:
            before = fields_of(tmp_path)["beat"]
            wait_for(lambda: fields_of(tmp_path)["beat"] > before + 2)
            assert not lease.lost.is_set()
            lease.release()
            assert fields_of(tmp_path)["token"] == other.token


def test_nothing_but_the_lease_is_left_while_held_and_nothing_after(tmp_path):
    with Lease.take(tmp_path / "new" / "folder", **QUICK):
        names = [path.name for path in (tmp_path / "new" / "folder").rglob("*")]
        assert {"_meta", "lease.json"} <= set(names)
    assert [path.name for path in (tmp_path / "new" / "folder").rglob("*")] == ["_meta"]


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / "file").write_text("precious")
    assert "Not a directory" in refusal(tmp_path / "file")
    assert "Not a directory" in refusal(tmp_path / "file" / "below")
    (tmp_path / "folder" / "_meta").mkdir(parents=True)
    path_of(tmp_path / "folder").mkdir()
    assert "Is a directory" in refusal(tmp_path / "folder")
    assert (tmp_path / "file").read_text() == "precious"
    path_of(tmp_path / "folder").rmdir()
    path_of(tmp_path / "folder").symlink_to("nowhere/lease.json")
    assert "others keep taking it" in refusal(tmp_path / "folder")


def test_a_full_disk_is_one_line_and_leaves_no_lease(tiny_disk):
    (tiny_disk / "_meta").mkdir()
    fill_up(tiny_disk / "full")
    assert "No space left" in refusal(tiny_disk)
    assert not path_of(tiny_disk).exists()


def test_a_disk_that_is_full_for_a_while_does_not_end_the_run(tiny_disk):
    with Lease.take(tiny_disk, **QUICK) as lease:
        fill_up(tiny_disk / "full")
        before = fields_of(tiny_disk)["beat"]
        time.sleep(0.5)
        assert fields_of(tiny_disk)["beat"] <= before + 1
        lease.fence.check()
        (tiny_disk / "full").unlink()
        wait_for(lambda: fields_of(tiny_disk)["beat"] > before + 1)
        assert not lease.lost.is_set()


def test_a_folder_locked_by_a_stopped_process_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.takeover._TURNS", 3)
    with ExitStack() as stack:
        handle = os.open(tmp_path, os.O_RDONLY)
        stack.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "locked" in refusal(tmp_path)
    with Lease.take(tmp_path):
        pass


def test_the_lease_says_who_holds_it(tmp_path):
    with Lease.take(tmp_path) as lease:
        fields = json.loads(Path(lease.fence.folder, "_meta", "lease.json").read_bytes())
    assert fields["pid"] == os.getpid()
    assert fields["host"] == socket.gethostname()
    assert fields["pid_namespace"] == os.readlink("/proc/self/ns/pid")
    assert fields["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert fields["state"] == "running"
