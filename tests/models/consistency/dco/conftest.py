# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from models.consistency.dco.dco import Dco
from models.consistency.method import Subject
from tests.models.consistency.dco.subjects import (
    CAT,
    PICTURES,
    SAMPLING,
    SHORT,
)
from tests.models.consistency.tiny import sd_pipe, xl_pipe


@pytest.fixture(scope="module", params=[xl_pipe, sd_pipe], ids=["xl", "sd"])
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def state(pipe):
    return Dco(SHORT).fit(pipe, CAT, SAMPLING)


@pytest.fixture(scope="module")
def style(pipe):
    options = replace(SHORT.style(), rank=2, steps=2, lr=1e-2)
    return Dco(options).fit(pipe, Subject(words=("cat",), pictures=PICTURES[:1]), SAMPLING)
