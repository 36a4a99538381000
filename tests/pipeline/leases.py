# SPDX-License-Identifier: Apache-2.0
"""Leases of other processes for tests: real ones that can be killed, and ones written down by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.holder import this_process
from tests.pipeline.runs import ROOT


class Process:
    """`lease_holder.py`, which takes orders."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("lease_holder.py")), *options],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, **order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, **order: Any) -> dict[str, Any]:
        self.say(**order)
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()


def path_of(root: Path) -> Path:
    return root / "_meta" / "lease.json"


def fields_of(root: Path) -> dict[str, Any]:
    return json.loads(path_of(root).read_bytes())


def write_lease(root: Path, **changes: Any) -> dict[str, Any]:
    """A lease as this very process would have it, but for `changes`; returns its fields."""
    here = this_process()
    fields = {name: getattr(here, name) for name in ("host", "boot", "pid_namespace", "pid", "born")}
    fields |= {"token": "a" * 32, "beat": 3, "state": "running", "started": "2026-01-01T00:00:00+00:00"}
    fields |= changes
    path_of(root).parent.mkdir(parents=True, exist_ok=True)
    draft = path_of(root).with_name("draft")
    draft.write_text(json.dumps(fields))
    draft.replace(path_of(root))
    return fields
