# SPDX-License-Identifier: Apache-2.0
import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def little_to_collect() -> Iterator[None]:
    """What the other tests have left in this process does not count when memory is freed."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
