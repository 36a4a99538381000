# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from pipeline.dataset.run_lengths import decode_run_lengths

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)


def encode(mask: np.ndarray) -> str:
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return counts.decode() if isinstance(counts, bytes) else counts


@given(arrays.arrays(bool, SHAPES))
def test_reads_what_pycocotools_writes(mask: np.ndarray) -> None:
    assert (decode_run_lengths(encode(mask), *mask.shape) == mask).all()


def test_reads_long_runs() -> None:
    mask = np.zeros((900, 1100), bool)
    mask[10:890, 3:700] = True
    mask[400:500, 300:400] = False
    assert (decode_run_lengths(encode(mask), *mask.shape) == mask).all()


@given(st.text(max_size=30), st.integers(0, 20), st.integers(0, 20))
def test_anything_else_is_a_mask_of_that_size_or_an_error(counts: str, height: int, width: int) -> None:
    try:
        mask = decode_run_lengths(counts, height, width)
    except ValueError:
        return
    assert mask.shape == (height, width)
    assert mask.dtype == bool


@pytest.mark.parametrize("counts", ["", "4", "0", "a", "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP", "°", "00N", "\0"])
def test_malformed_counts_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="run length"):
        decode_run_lengths(counts, 3, 3)
