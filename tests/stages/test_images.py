# SPDX-License-Identifier: Apache-2.0
import io
import threading

import numpy as np
import pytest
from PIL import Image

from stages import images
from stages.base import Resources
from stages.caption import Caption
from stages.images import all_decoded, decoded


def jpeg(number, side=400):
    stream = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def test_a_picture_is_decoded_smaller_where_that_is_enough():
    assert decoded(jpeg(0)).size == (400, 400)
    assert decoded(jpeg(0), 100).size == (100, 100)
    assert decoded(jpeg(0), 101).size == (200, 200)


@pytest.mark.parametrize("decoders", [1, 3])
def test_pictures_come_in_order_and_are_the_same_in_any_number_of_threads(decoders):
    batch = [jpeg(number, 300 - 20 * number) for number in range(7)]
    found = all_decoded(iter(batch), Caption(resources=Resources(decoders=decoders)), 100)
    assert [np.array(image).tobytes() for image in found] == [
        np.array(decoded(data, 100)).tobytes() for data in batch
    ]


def test_threads_decode_side_by_side(monkeypatch):
    # Each waits for the other: in one thread this would not end.
    together = threading.Barrier(2, timeout=20)
    monkeypatch.setattr(images, "decoded", lambda data, at_least: together.wait())
    assert sorted(all_decoded([b"", b""], Caption(resources=Resources(decoders=2)))) == [0, 1]


def test_a_broken_picture_is_an_exception_in_any_number_of_threads():
    with pytest.raises(OSError, match="identify"):
        all_decoded([jpeg(0), b"no picture"], Caption(resources=Resources(decoders=2)))


def test_a_stage_in_the_workers_of_another_has_one_thread():
    assert len(all_decoded([jpeg(0)], Caption(resources=None))) == 1
