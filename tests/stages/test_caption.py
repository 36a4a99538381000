# SPDX-License-Identifier: Apache-2.0
"""The stage on real pictures with the miniature's captioner."""

import pytest

from models.backends.blip2 import Blip2
from models.miniature.world import render_scene, sample_scene
from stages.caption import Caption
from tests.tables import jpeg, ok_rows

MINIATURE = Blip2(model="miniature:captioner", max_new_tokens=24)


@pytest.fixture(scope="module")
def pictures():
    return [jpeg(render_scene(sample_scene(45, index, count=1), 256).image) for index in range(5)]


def caption(pictures, **fields):
    stage = Caption(captioner=MINIATURE, **fields)
    return stage.setup()(ok_rows(image=pictures)).to_pylist()


def test_captions_do_not_depend_on_how_rows_are_batched(pictures):
    together = [row["caption"] for row in caption(pictures, batch_size=5)]
    assert all(together)
    for size in (1, 2):
        assert [row["caption"] for row in caption(pictures, batch_size=size)] == together


def test_one_broken_picture_is_one_error(pictures):
    rows = caption([*pictures[:2], b"not a picture", *pictures[2:]], batch_size=6)
    assert [row["status"] for row in rows] == ["ok", "ok", "error", "ok", "ok", "ok"]
    assert (rows[2]["stage"], rows[2]["caption"]) == ("caption", None)
    assert [row["caption"] for row in rows if row["caption"]] == [row["caption"] for row in caption(pictures)]
