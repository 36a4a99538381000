# SPDX-License-Identifier: Apache-2.0
"""What can run a build's stages."""

from enum import StrEnum


class Executor(StrEnum):
    """Both write the same bytes."""

    ray = "ray"
    """Worker processes, on this machine or a cluster."""
    local = "local"
    """One process, one shard after another: for tests and debugging."""
