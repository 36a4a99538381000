# SPDX-License-Identifier: Apache-2.0
"""Commands as a person runs them, in processes of their own that begin at once."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORKED = {"generate", "inspect", "ls", "train", "tune", "verify"}
"""Commands whose imports take longer than what tests ask of them."""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


class Server:
    """A process with everything imported, for the tests of one process; it ends with its input."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("command_server.py"))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.lock, self.began_with = threading.Lock(), _environment()
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._told()

    def __call__(self, arguments, cwd, timeout) -> subprocess.CompletedProcess[str]:
        """See `subprocess.run`."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            asked = {"arguments": arguments, "cwd": str(cwd), "out": str(out), "err": str(err)}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            process = self._told()["process"]
            timer = threading.Timer(timeout, os.kill, (process, signal.SIGKILL))
            timer.start()
            code = self._told()["code"]
            timer.cancel()
            texts = (path.read_text() if path.exists() else "" for path in (out, err))
            return subprocess.CompletedProcess(arguments, code, *texts)

    def _told(self) -> dict:
        return json.loads(self._process.stdout.readline())


_servers: list[Server] = []


def _forks(given: list[str]) -> bool:
    """Whether a command starts no cluster, which wants a process that was not forked."""
    local = any(pair == ("--executor", "local") for pair in pairwise(given))
    return bool(given) and "--processes" not in given and (local or given[0] in FORKED)


def run_command(*arguments, cwd=ROOT, timeout=500, **environment) -> subprocess.CompletedProcess[str]:
    """`python -m pipeline` with the given arguments, in a process of its own."""
    given = [*map(str, arguments)]
    if _forks(given) and not environment:
        if not _servers:
            _servers.append(Server())
        server = _servers[0]
        # What a test has set may be read while something is imported, and it does one thing at a time.
        if server.began_with == _environment() and server.lock.acquire(blocking=False):
            try:
                return server(given, cwd, timeout)
            finally:
                server.lock.release()
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *given],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
