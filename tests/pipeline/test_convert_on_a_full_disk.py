# SPDX-License-Identifier: Apache-2.0
from tests.models.backends.original.checkpoints import checkpoint
from tests.pipeline.runs import one_line, subjectforge


def test_a_disk_that_is_full_is_told_and_nothing_is_left(tiny_disk, tmp_path):
    path = checkpoint("sam", tmp_path)
    run = subjectforge("convert", "--from-original", path, "--to", tiny_disk / "new", "--decoder-heads", "4")
    assert "cannot write to" in (line := one_line(run))
    assert "No space left" in line
    assert [*tiny_disk.iterdir()] == []
