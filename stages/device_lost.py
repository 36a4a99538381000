# SPDX-License-Identifier: Apache-2.0
"""Errors of a GPU that do not end: whatever is asked of the process afterwards fails as well."""

import os
import sys

_EXIT = 70


def end_if_device_is_lost(error: Exception) -> None:
    """End this process if nothing works on its GPU any more (an assertion, or a wrong address, in a kernel).

    Every row after the one that did it would become an error with it. As of any process that dies, its row is
    found by those that come after it. Torch is never imported for this.

    Args:
        error: that a batch ended with.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError as lost:
        first = (str(lost).strip().splitlines() or [type(lost).__name__])[0]
        print(
            f"subjectforge: this worker's GPU works no more: {first} (after {type(error).__name__}); "
            "another worker takes over",
            file=sys.stderr,
            flush=True,
        )
        # Not by an exception: Ray would take it for the shard's.
        os._exit(_EXIT)
