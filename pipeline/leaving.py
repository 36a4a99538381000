# SPDX-License-Identifier: Apache-2.0
"""How the process ends."""

import atexit
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End with an exit code.

    Where Ray's compiled code is loaded, and was stopped while it began, taking it apart may abort the process
    after everything has been said; then it ends without that.
    """
    if "ray" not in sys.modules:
        sys.exit(code)
    # Ray ends its processes there.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
