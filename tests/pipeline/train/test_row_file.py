# SPDX-License-Identifier: Apache-2.0
import os

import numpy as np
import pytest

from pipeline.train.row_file import RowFile

SIZE = 100
RNG = np.random.default_rng(0)
DATA = RNG.integers(0, 256, (5, SIZE), np.uint8)


@pytest.fixture
def file(tmp_path):
    file = RowFile(tmp_path / "rows.bin", SIZE)
    yield file
    file.close()


def test_what_was_kept_is_read_in_any_order_and_by_another(file, tmp_path):
    file.keep([7, 0, 3], DATA[:3])
    again = RowFile(tmp_path / "rows.bin", SIZE)
    for one in (file, again):
        assert np.array_equal(one.read([3, 7, 7, 0]), DATA[[2, 0, 0, 1]])
    again.close()


def test_a_row_that_was_never_kept_is_not_there_whatever_lies_around_it(file):
    assert file.read([0]) is None
    file.keep([5], DATA[:1])
    assert file.read([4]) is None
    assert file.read([6]) is None
    assert file.read([5, 4]) is None


def test_what_is_there_stays(file):
    file.keep([1], DATA[:1])
    there = file.keep([1, 2], DATA[1:3])
    assert np.array_equal(there, DATA[[0, 2]])
    assert np.array_equal(file.read([1, 2]), DATA[[0, 2]])


@pytest.mark.parametrize("damage", ["cut", "changed", "zeros"])
def test_a_damaged_record_is_not_there_and_can_be_kept_anew(file, tmp_path, damage):
    file.keep([0, 1], DATA[:2])
    path = tmp_path / "rows.bin"
    size = path.stat().st_size
    if damage == "cut":
        os.truncate(path, size - 1)
    else:
        with path.open("r+b") as stream:
            stream.seek(size - 50)
            stream.write(bytes(50) if damage == "zeros" else b"x")
    again = RowFile(path, SIZE)
    assert again.read([1]) is None
    assert np.array_equal(again.read([0]), DATA[:1])
    again.keep([1], DATA[1:2])
    assert np.array_equal(again.read([0, 1]), DATA[:2])
    again.close()


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    os.symlink("/dev/full", tmp_path / "rows.bin")
    full = RowFile(tmp_path / "rows.bin", SIZE)
    with pytest.raises(OSError, match="space"):
        full.keep([0], DATA[:1])
    full.close()
