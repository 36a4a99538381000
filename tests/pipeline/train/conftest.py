# SPDX-License-Identifier: Apache-2.0
import pytest

from pipeline.train.command import train_subjects
from tests.pipeline.train.trainings import WATCHED, short_config


@pytest.fixture(scope="session")
def finished(built, tmp_path_factory):
    """A training of a few steps that has come to its end."""
    run = tmp_path_factory.mktemp("training") / "run"
    more = {"watching.sample_count": 3, "watching.validation_samples": 8, "watching.keep_checkpoints": 1}
    train_subjects(short_config(built, **WATCHED, **more), run)
    return run
