# SPDX-License-Identifier: Apache-2.0
"""Running the command line as a person does, and comparing what it leaves."""

import hashlib
import subprocess
from pathlib import Path

from tests.commands import ROOT
from tests.commands import run_command as subjectforge

MINIATURE = ROOT / "configs" / "build" / "miniature.yaml"


def build(source, output, *arguments, config=MINIATURE) -> subprocess.CompletedProcess[str]:
    """`subjectforge build` that has to succeed."""
    run = subjectforge("build", config, "--input", source, "--output", output, *arguments)
    assert run.returncode == 0, run.stderr[-3000:]
    return run


def digests(dataset: Path) -> dict[str, str]:
    """SHA-256 of every file under `data/`."""
    data = dataset / "data"
    files = sorted(path for path in data.rglob("*") if path.is_file())
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    """The single line that a user's mistake must give."""
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    # On a busy machine it may take so long that progress is reported first.
    lines = [line for line in run.stderr.splitlines() if line.strip() and not line.startswith("shard ")]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("subjectforge: ")
    return lines[0]
