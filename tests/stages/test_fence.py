# SPDX-License-Identifier: Apache-2.0
"""What the processes of a run see of its lease, whatever is in the file."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from stages.shard.commit import replace
from stages.shard.fence import Fence, Fenced, lease_path


def write(root: Path, token: str, **fields: Any) -> None:
    replace(lease_path(root), json.dumps({"token": token, **fields}).encode())


def test_a_run_may_write_as_long_as_the_token_is_its_own(tmp_path: Path) -> None:
    fence = Fence(str(tmp_path), "ours")
    write(tmp_path, "ours", beat=1)
    fence.check()
    write(tmp_path, "ours", beat=2, state="stopping")
    fence.check()
    write(tmp_path, "theirs")
    with pytest.raises(Fenced, match="took it over") as told:
        fence.check()
    assert str(tmp_path) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("folder", ["empty", "nowhere"])
def test_a_lease_that_was_removed_is_not_ours(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Fenced, match="removed"):
        Fence(str(tmp_path / folder), "ours").check()


def test_a_lease_that_is_gone_for_a_moment_is_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems replace a file in two steps; here the second comes while the fence waits."""
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        write(tmp_path, "ours")

    monkeypatch.setattr("stages.shard.fence.time.sleep", pause)
    Fence(str(tmp_path), "ours").check()
    assert len(pauses) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\x00", b'{"token": 7}', b"[" * 100_000])
def test_a_damaged_lease_is_nobody_elses_and_stops_nobody(tmp_path: Path, content: bytes) -> None:
    replace(lease_path(tmp_path), content)
    fence = Fence(str(tmp_path), "ours")
    fence.check()
    assert not fence.stopping()


def test_a_lease_that_cannot_be_read_is_no_verdict(tmp_path: Path) -> None:
    lease_path(tmp_path).mkdir(parents=True)
    fence = Fence(str(tmp_path), "ours")
    with pytest.raises(IsADirectoryError):
        fence.check()
    assert not fence.stopping()


def test_only_our_own_run_can_stop_us(tmp_path: Path) -> None:
    fence = Fence(str(tmp_path), "ours")
    for token, state, expected in [
        ("ours", "running", False),
        ("ours", "stopping", True),
        ("theirs", "stopping", False),
    ]:
        write(tmp_path, token, state=state)
        assert fence.stopping() is expected
    lease_path(tmp_path).unlink()
    assert not fence.stopping()


def test_without_a_token_everything_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, "theirs", state="stopping")
    for root in (tmp_path, tmp_path / "nowhere"):
        Fence(str(root)).check()
        assert not Fence(str(root)).stopping()


def test_a_fence_reaches_other_processes_as_it_is(tmp_path: Path) -> None:
    fence = Fence(str(tmp_path), "ours")
    write(tmp_path, "ours", state="stopping")
    with ProcessPoolExecutor(1, get_context("spawn")) as worker:
        assert worker.submit(fence.stopping).result()
        assert worker.submit(fence.check).result() is None
        write(tmp_path, "theirs")
        with pytest.raises(Fenced, match="took it over"):
            worker.submit(fence.check).result()
    with pytest.raises(FrozenInstanceError):
        fence.token = "theirs"  # pyright: ignore[reportAttributeAccessIssue]
