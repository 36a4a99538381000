# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pyarrow import fs

# Small models wait for their threads longer than they compute, above all with a worker on every core.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """What a test asks of torch must not slow down those after it: threads that wait for a core spin."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.one_ray import OneRay

    return OneRay(config, log)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """HOST:PORT of an S3 server on this machine, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("s3_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"127.0.0.1:{int(server.stdout.readline())}"
        # Processes forked meanwhile may hold its input open, so that it would not see the end.
        server.kill()


@pytest.fixture
def bucket(s3_server: str) -> Callable[[str], str]:
    """The URI, with all that is needed to open it, of a path in a bucket of the test's own."""
    name = f"bucket-{uuid4().hex[:8]}"
    options = {"access_key": "key", "secret_key": "s3cr/e+t", "scheme": "http", "region": "us-east-1"}
    store = fs.S3FileSystem(endpoint_override=s3_server, allow_bucket_creation=True, **options)
    store.create_dir(name)
    query = f"endpoint_override={s3_server}&scheme=http&region=us-east-1&access_key=key&secret_key=s3cr/e+t"
    return lambda path: f"s3://{name}/{path}?{query}"
