# SPDX-License-Identifier: Apache-2.0
"""A disk with nothing left on it; the fixture `tiny_disk` has one that is soon full."""

from itertools import repeat

import pytest


def fill_up(path):
    """Write a file until there is no room for more."""
    with open(path, "wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        stream.writelines(repeat(bytes(4096)))
