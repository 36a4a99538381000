# SPDX-License-Identifier: Apache-2.0
"""What a process that makes batches ahead does with signals that are meant for the training."""

import os
import signal


def stand_aside(_worker: int = 0) -> None:
    """For `worker_init_fn`: leave Ctrl-C and SIGTERM to the training, which saves, and then ends its workers.

    A terminal, `timeout` or a cluster's scheduler sends them to all processes at once. Of a training that is
    killed, torch's own watch on the parent ends the workers.
    """
    os.setsid()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)
