# SPDX-License-Identifier: Apache-2.0
"""The image filter: limits are exact, stricter limits never let more through, and measures are kept."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stages.columns import IMAGE, LEDGER
from stages.filter_image import FilterImage, white_fraction
from tests.bad_images import jpeg

SCHEMA = pa.schema([*LEDGER, *IMAGE])
TEAL = jpeg(Image.new("RGB", (64, 64), "teal"))


def table(*rows: dict[str, Any]) -> pa.Table:
    """Rows as the read stage leaves them; `size` is the original one."""
    full = [
        {
            "key": str(i),
            "source_key": str(i),
            "source_uri": "",
            "status": "ok",
            "image": TEAL,
            "width": 64,
            "height": 64,
        }
        | row
        for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, schema=SCHEMA)


def verdict(width: int, height: int, image: bytes = TEAL, **config: Any) -> str | None:
    """The reason against a picture of this original size, if any."""
    row = {"original_width": width, "original_height": height, "image": image}
    return FilterImage(**config).setup()(table(row)).to_pylist()[0]["reason"]


def half_white(width: int, height: int, white: int) -> bytes:
    """A JPEG whose `white` leftmost columns are white and the others black."""
    pixels_HWC = np.zeros((height, width, 3), np.uint8)
    pixels_HWC[:, :white] = 255
    return jpeg(Image.fromarray(pixels_HWC))


@pytest.mark.parametrize(
    ("width", "height", "config", "reason"),
    [
        (512, 512, {}, None),
        (511, 512, {}, "too_small"),
        (512, 511, {}, "too_small"),
        (600, 100, {"min_side": 0, "min_any_side": 600, "max_aspect": 6}, None),
        (100, 600, {"min_side": 0, "min_any_side": 600, "max_aspect": 6}, None),
        (599, 599, {"min_side": 0, "min_any_side": 600}, "too_small"),
        (599, 599, {"min_side": 512, "min_any_side": 600}, "too_small"),
        (1536, 512, {}, None),
        (512, 1536, {}, None),
        (1537, 512, {}, "too_elongated"),
        (512, 1537, {}, "too_elongated"),
        (1, 10_000, {"min_side": 0}, "too_elongated"),
        (1, 10_000, {}, "too_small"),
    ],
)
def test_sizes_on_a_limit_pass(width: int, height: int, config: dict[str, Any], reason: str | None) -> None:
    assert verdict(width, height, **config) == reason


def test_white_limit() -> None:
    image = half_white(320, 320, 32)
    share = white_fraction(image)
    assert share == pytest.approx(0.1, abs=0.005)
    assert verdict(600, 600, image, max_white=share) is None
    assert verdict(600, 600, image, max_white=share - 1e-6) == "too_white"
    assert verdict(600, 600, half_white(64, 64, 64)) is None, "by default white rejects nothing"


@pytest.mark.parametrize(("grey", "share"), [(229, 0.0), (230, 1.0)])
def test_white_begins_above_nine_tenths_of_full_scale(grey: int, share: float) -> None:
    assert white_fraction(jpeg(Image.new("RGB", (48, 48), (grey, grey, grey)))) == share


@pytest.mark.parametrize("colour", [(255, 255, 0), (255, 0, 255), (0, 255, 255)])
def test_white_needs_all_three_colours(colour: tuple[int, int, int]) -> None:
    assert white_fraction(jpeg(Image.new("RGB", (48, 48), colour))) == 0.0


@settings(max_examples=15, deadline=None)
@given(st.integers(256, 1600), st.integers(256, 1600), st.floats(0, 1))
def test_the_small_decode_measures_what_the_large_one_would(width: int, height: int, part: float) -> None:
    white = round(width * part)
    assert white_fraction(half_white(width, height, white)) == pytest.approx(white / width, abs=0.01)


def test_rejects_keep_their_measure_and_rows_their_order() -> None:
    rows = [{"original_width": width, "original_height": 600} for width in (600, 100, 5000, 700)]
    before = table(*rows, {"status": "error", "reason": "unreadable", "image": None})
    after = FilterImage().setup()(before)
    assert after["key"].to_pylist() == before["key"].to_pylist()
    assert after["reason"].to_pylist() == [None, "too_small", "too_elongated", None, "unreadable"]
    assert after["stage"].to_pylist() == [None, "filter_image", "filter_image", None, None]
    assert after["white_fraction"].to_pylist() == [0.0, 0.0, 0.0, 0.0, None]
    assert after.schema.field("white_fraction").type == pa.float32()


limits = st.fixed_dictionaries(
    {
        "min_side": st.integers(0, 800),
        "min_any_side": st.integers(0, 800),
        "max_aspect": st.floats(1, 8),
        "max_white": st.floats(0, 1),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 64), limits, limits)
def test_stricter_limits_let_no_more_through(
    width: int, height: int, white: int, one: dict[str, Any], other: dict[str, Any]
) -> None:
    image = half_white(64, 64, white)
    strict = {name: (max if name.startswith("min") else min)(one[name], other[name]) for name in one}
    if verdict(width, height, image, **strict) is None:
        assert verdict(width, height, image, **one) is None
        assert verdict(width, height, image, **other) is None


@pytest.mark.parametrize(
    "config",
    [
        {"min_side": -1},
        {"min_any_side": -1},
        {"max_aspect": 0.5},
        {"max_aspect": float("nan")},
        {"max_white": 1.1},
    ],
)
def test_impossible_settings_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(config))):
        FilterImage(**config)
