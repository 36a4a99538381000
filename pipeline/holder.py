# SPDX-License-Identifier: Apache-2.0
"""Who holds something, told so that another process can find out whether the holder still runs."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_EXITING = 0x4
"""PF_EXITING of `linux/sched.h`, in the flags of proc(5)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, unlike any other: the kernel gives a number again, but not with the same start."""

    host: str
    boot: str
    """The kernel's name for the time since it started; empty where there is none."""
    pid_namespace: str
    """Where `pid` means something: a container has numbers of its own."""
    pid: int
    born: int
    """When the process started, in the kernel's ticks since it started itself."""

    def is_running(self) -> bool | None:
        """Whether the process runs (also if it is stopped for now); None if that cannot be seen from here."""
        here = this_process()
        if not here.boot or self._place() != here._place():
            return None
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass
        try:
            ended, born = _end_and_birth(self.pid)
        except OSError:
            # It has just ended, or others' processes are hidden from us.
            return None
        return born == self.born and not ended

    def _place(self) -> tuple[str, str, str]:
        return self.host, self.boot, self.pid_namespace


def this_process() -> Holder:
    """The process that asks."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(_PROC / "self/ns/pid")
        _, born = _end_and_birth(os.getpid())
    except OSError:
        boot, namespace, born = "", "", 0
    return Holder(socket.gethostname(), boot, namespace, os.getpid(), born)


def holder_of(fields: dict[str, Any]) -> Holder | None:
    """The holder that is written down in `fields`, among others; None if something is missing or odd."""
    kinds = {"host": str, "boot": str, "pid_namespace": str, "pid": int, "born": int}
    found = {name: fields.get(name) for name in kinds}
    if any(type(found[name]) is not kind for name, kind in kinds.items()) or fields["pid"] < 1:
        return None
    return Holder(**{name: fields[name] for name in kinds})


def _end_and_birth(pid: int) -> tuple[bool, int]:
    # The name comes second and may hold anything, also spaces and brackets.
    rest = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    # A killed process gives its memory back first, which takes a while; then it waits for its parent.
    ended = rest[0] in (b"Z", b"X") or bool(int(rest[6]) & _EXITING)
    return ended, int(rest[19])
