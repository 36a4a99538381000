# SPDX-License-Identifier: Apache-2.0
"""What every registered stage has to hold, by its definition alone."""

import dataclasses
import pickle

import pyarrow as pa
import pytest

from pipeline.config import plain_fields
from pipeline.listings import field_help
from stages import STAGES, stage_class
from stages.base import Stage
from stages.columns import RAW

CLASSES = {name: stage_class(name) for name in STAGES}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_a_frozen_picklable_dataclass_with_documented_fields(name):
    stage = CLASSES[name]()
    assert isinstance(stage, Stage)
    assert pickle.loads(pickle.dumps(stage)) == stage  # noqa: S301 - what it loads is its own
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.resources = None
    undocumented = {field.name for field in dataclasses.fields(stage)} - set(field_help(CLASSES[name]))
    assert not undocumented
    assert plain_fields(stage)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_reads_and_writes(name):
    cls = CLASSES[name]
    assert cls.inputs
    assert isinstance(cls.outputs, pa.Schema)
    assert len(cls.outputs)
    assert cls.version >= 1


def test_every_column_that_is_read_is_written_before():
    there = set(RAW.names)
    for cls in CLASSES.values():
        assert set(cls.inputs) <= there
        there |= set(cls.outputs.names)
