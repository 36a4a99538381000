# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pytest
from PIL import Image

from stages.base import Resources
from stages.caption import Caption
from stages.images import decoded, decoding


def jpeg(number, side=400):
    stream = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def test_a_picture_is_decoded_smaller_where_that_is_enough():
    assert decoded(jpeg(0)).size == (400, 400)
    assert decoded(jpeg(0), 100).size == (100, 100)
    assert decoded(jpeg(0), 101).size == (200, 200)


def test_a_stages_threads_decode_its_pictures():
    prepare = decoding(Caption(resources=Resources(decoders=3)), 100)
    assert prepare.threads == 3
    assert prepare.work({"image": jpeg(0)}).size == (100, 100)
    assert decoding(Caption(resources=None)).threads == 1
    with pytest.raises(OSError, match="identify"):
        prepare.work({"image": b"no picture"})
