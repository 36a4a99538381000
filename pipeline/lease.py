# SPDX-License-Identifier: Apache-2.0
"""One run at a time in an output folder.

The run that has the folder keeps `_meta/lease.json`: its token, who it is, and a number that grows every
few seconds, so that others can see that it lives.
"""

import json
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from pipeline.errors import UserError
from pipeline.holder import this_process
from pipeline.takeover import alone_in, take_folder
from pipeline.ticker import Ticker
from stages.shard.commit import replace
from stages.shard.fence import RUNNING, STOPPING, Fence, lease_content, lease_fields, lease_path
from stages.shard.place import Place, address

EVERY = 10.0
"""Seconds from one beat to the next."""


def _tell(line: str) -> None:
    print(f"subjectforge: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Left:
    """What the last run in a folder has left behind."""

    died: bool
    """Whether it did not come to its end."""
    retry: int | None
    """The first shard of the retry that it was at."""

    @classmethod
    def by_whoever_was(cls, root: Place) -> Self:
        """As the lease says that is there."""
        content = lease_content(root)
        shard = (lease_fields(content or b"") or {}).get("retry")
        return cls(content is not None, shard if type(shard) is int else None)


class Lease:
    """The right to write into an output folder, until the `with` block ends or another run takes it."""

    def __init__(self, root: Place, every: float) -> None:
        """Nothing is done yet; see `take`."""
        folder = address(root.resolve())
        self.lost = threading.Event()
        """Set once another run has the folder, or somebody removed the lease."""
        self.fence = Fence(folder, uuid.uuid4().hex)
        """For the processes that work for this run."""
        self._root = root
        self._fields: dict[str, Any] = {
            "token": self.fence.token,
            **asdict(this_process()),
            "beat": 0,
            "state": RUNNING,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._released = False
        # A handler of a signal may come in while its own thread writes.
        self._turn = threading.RLock()
        self._ticker = Ticker(every, self._beat)

    @classmethod
    def take(
        cls,
        root: Place,
        *,
        every: float = EVERY,
        patience: float | None = None,
        settle: float = 1.0,
        tell: Callable[[str], object] = _tell,
    ) -> Self:
        """Get the folder; the `with` block then keeps it with a beat in a thread of its own.

        The folder of a run on this machine that has ended is taken over at once, that of a run elsewhere once
        it has been silent for `patience`.

        Args:
            root: the dataset's root; made if it is not there.
            every: seconds from one beat to the next.
            patience: seconds to watch a holder that cannot be seen from here; three beats if not given.
            settle: seconds to wait for others that may have written at the same time, where the file system
                keeps nobody out.
            tell: gets the one line that is said before the watching.

        Raises:
            UserError: if another run has the folder, or if it cannot be written to.
        """
        lease = cls(root, every)
        try:
            # Until this run says otherwise, what it takes over is what it is at.
            lease._fields["retry"] = Left.by_whoever_was(root).retry
            take_folder(root, lease._content(), 3 * every if patience is None else patience, settle, tell)
        except OSError as error:
            why = error.strerror or str(error)
            raise UserError(f"cannot write to {root}: {why}; mend this, or give another --output") from error
        return lease

    @property
    def token(self) -> str:
        """The run's own name, unlike any other's."""
        return self.fence.token

    def stop_new_work(self) -> None:
        """Tell everyone who works for this run to begin nothing new; said again with every beat."""
        with self._turn:
            self._fields["state"] = STOPPING
            self._beat()

    def at_retry(self, shard: int) -> None:
        """Say that the run is at the retry whose first shard this is: if it dies, the next one can tell."""
        with self._turn:
            self._fields["retry"] = shard
            self._beat()

    def release(self) -> None:
        """Give the folder back if it is still ours; if that fails, the next run takes it over."""
        with self._turn:
            self._released = True
            with suppress(OSError), alone_in(self._root):
                found = lease_fields(lease_content(self._root) or b"")
                if found and found["token"] == self.token:
                    lease_path(self._root).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self._ticker.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticker.__exit__()
        self.release()

    def _beat(self) -> None:
        with self._turn:
            if self._released or self.lost.is_set():
                return
            # A full disk or a network that is gone for a while must not end the run.
            with suppress(OSError), alone_in(self._root):
                content = lease_content(self._root)
                found = lease_fields(content or b"")
                if content is None or (found and found["token"] != self.token):
                    self.lost.set()
                    return
                self._fields["beat"] += 1
                replace(lease_path(self._root), self._content())

    def _content(self) -> bytes:
        return json.dumps(self._fields).encode() + b"\n"
