# SPDX-License-Identifier: Apache-2.0
"""The right to write into an output folder, as the processes of one run see it.

A run holds a lease, a file with its token in it (`pipeline.lease`). Who works for the run looks at the
token before it makes anything appear: a run that was taken for dead and is not must stop by itself.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from stages.parse import parse_json
from stages.shard.place import Place, place

RUNNING, STOPPING = "running", "stopping"
_LOOKS = 3
_PAUSE = 0.2
"""Seconds from one look to the next."""


class Fenced(Exception):
    """The output folder is no longer this run's; nothing more may be written into it."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A run's token, to be sent to whoever works for the run."""

    folder: str = field(default="", repr=False)
    """The dataset's root."""
    token: str = ""
    """Empty where there is no lease: then everything is allowed."""

    def check(self) -> None:
        """See that the folder is still this run's. A lease that cannot be understood is nobody else's.

        Raises:
            Fenced: if another run has the folder, or if the lease is gone.
            OSError: if the lease cannot be read.
        """
        if not self.token:
            return
        content = self._content()
        if content is None:
            raise Fenced(f"{place(self.folder)} is no longer this run's: its lease was removed")
        found = lease_fields(content)
        if found and found["token"] != self.token:
            raise Fenced(f"{place(self.folder)} is no longer this run's: another run took it over")

    def stopping(self) -> bool:
        """Whether the run wants no new work to begin; False where that cannot be found out."""
        if not self.token:
            return False
        try:
            found = lease_fields(lease_path(place(self.folder)).read_bytes())
        except OSError:
            return False
        return found is not None and found["token"] == self.token and found.get("state") == STOPPING

    def _content(self) -> bytes | None:
        # Where replacing a file takes two steps, it is gone for a moment.
        for look in range(_LOOKS):
            if look:
                time.sleep(_PAUSE)
            content = lease_content(place(self.folder))
            if content is not None:
                return content
        return None


NO_FENCE = Fence()
"""For who works for no run."""


def lease_path(root: Place) -> Place:
    """The lease: a JSON object."""
    return root / "_meta" / "lease.json"


def lease_content(root: Place) -> bytes | None:
    """What is in the lease; None if there is none.

    Raises:
        OSError: if it cannot be read.
    """
    try:
        return lease_path(root).read_bytes()
    except FileNotFoundError:
        return None


def lease_fields(content: bytes) -> dict[str, Any] | None:
    """The fields of a lease, `token` among them; None if it is damaged."""
    try:
        fields = parse_json(content)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and isinstance(fields.get("token"), str) else None
