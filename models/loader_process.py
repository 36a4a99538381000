# SPDX-License-Identifier: Apache-2.0
"""What a process that makes batches ahead does with signals that are meant for the training."""

import os
import signal
from collections.abc import Iterator
from typing import Any


def stand_aside(_worker: int = 0) -> None:
    """For `worker_init_fn`: leave Ctrl-C and SIGTERM to the training, which saves, and then ends its workers.

    A terminal, `timeout` or a cluster's scheduler sends them to all processes at once. Of a training that is
    killed, torch's own watch on the parent ends the workers.
    """
    os.setsid()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)


def end_workers(batches: Iterator[Any]) -> None:
    """End the processes of a `DataLoader`'s iterator, which is of no use afterwards.

    Left to the end of the program, where an error's traceback still holds the iterator, they would be sent a
    SIGTERM that they do not heed, and be waited for.
    """
    # It has no public name; an iterator without processes has none at all.
    end = getattr(batches, "_shutdown_workers", None)
    if end is not None:
        end()
