# SPDX-License-Identifier: Apache-2.0
"""The read stage: every usable picture comes out as an upright RGB JPEG, every other one with a reason."""

import hashlib
import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from stages.columns import IMAGE, RAW
from stages.read import Read
from tests.bad_images import HEIGHT, WIDTH, encoded, jpeg, png16, quadrants, write_corpus

OTHER_LOOK = {
    "grey.jpg",
    "grey16.png",
    "one_bit.png",
    "float.tiff",
    "not_finite.tiff",
    "int32.tiff",
    "lab.tiff",
    "grey_alpha.png",
    "alpha.png",
    "alpha.webp",
    "palette_transparent.png",
    "palette_one_transparent.png",
    "rgb_transparent.png",
    "damaged/cut_in_second_frame.gif",
    "damaged/half_its_rows.png",
    "damaged/short_palette.png",
}
"""Files of the corpus that show something else than the four colours."""


def table(*files: bytes | None) -> pa.Table:
    """Rows as a source hands them over."""
    rows = [
        {"key": f"{i}", "source_key": f"{i}", "source_uri": "", "status": "ok", "source_bytes": data}
        for i, data in enumerate(files)
    ]
    return pa.Table.from_pylist(rows, schema=RAW)


def read(data: bytes, **config: Any) -> dict[str, Any]:
    """What the stage makes of one file."""
    return Read(**config).setup()(table(data)).to_pylist()[0]


def pixels(row: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The stored picture, decoded."""
    return np.asarray(Image.open(io.BytesIO(row["image"]))).astype(int)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every regular file of the corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    paths = {case.source_key: folder / case.source_key for case in write_corpus(folder)}
    return {key: path.read_bytes() for key, path in paths.items() if path.is_file()}


def good(corpus: dict[str, bytes]) -> list[str]:
    """The pictures that show the four colours, the right way up."""
    return [key for key in corpus if not key.startswith(("bad/", "one_")) and key not in OTHER_LOOK]


def test_every_picture_looks_as_it_was_meant(corpus: dict[str, bytes]) -> None:
    wanted = np.asarray(quadrants()).astype(int)
    off = {}
    for key in good(corpus):
        difference = np.abs(pixels(read(corpus[key])) - wanted)
        off[key] = difference[difference.max(axis=2) > 40].size / wanted.size + difference.mean() / 100
    assert len(off) > 40
    assert {key: share for key, share in off.items() if share > 0.12} == {}


def test_usable_jpegs_are_kept_to_the_byte_and_all_else_is_marked(corpus: dict[str, bytes]) -> None:
    kept = set()
    for key in good(corpus):
        row = read(corpus[key])
        same = row["image"] == corpus[key]
        assert row["reencoded"] == (not same), key
        if same:
            kept.add(key)
    assert {
        "plain.jpg",
        "progressive.jpg",
        "exif/1.jpg",
        "rgb_components.jpg",
        "trailing_garbage.jpg",
    } <= kept
    assert not kept & {"exif/6.jpg", "cmyk_adobe.jpg", "wrong_name.jpg", "animated.gif"}


def test_what_is_encoded_anew_is_plain_full_colour_jpeg_and_the_same_each_time(
    corpus: dict[str, bytes],
) -> None:
    for key in ("animated.gif", "exif/6.jpg", "alpha.png", "cmyk_adobe.jpg"):
        row = read(corpus[key])
        image: Any = Image.open(io.BytesIO(row["image"]))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (row["width"], row["height"]))
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}, "colour is subsampled"
        assert not {"exif", "comment"} & set(image.info)
        assert row["image"] == read(corpus[key])["image"]


def test_sixteen_bits_are_scaled_and_not_clipped(corpus: dict[str, bytes]) -> None:
    levels = np.linspace(0, 65535, 256).round().reshape(1, 256, 1).repeat(8, axis=0)
    grey = pixels(read(png16(levels)))
    assert np.abs(grey - np.arange(256).reshape(1, 256, 1)).max() <= 2
    dark = pixels(read(png16(np.full((8, 8, 1), 128 * 257))))
    assert np.abs(dark - 128).max() <= 1, "what is dark stays dark"
    colour = pixels(read(png16(np.concatenate([levels, levels[:, ::-1], levels * 0], axis=2))))
    assert np.abs(colour[..., 0] - np.arange(256)).max() <= 4
    assert np.abs(colour[..., 1] - np.arange(256)[::-1]).max() <= 4


@pytest.mark.parametrize(
    ("key", "first", "last"), [("float.tiff", 0, 255), ("int32.tiff", 0, 255), ("not_finite.tiff", 0, 0)]
)
def test_other_depths_span_their_range(corpus: dict[str, bytes], key: str, first: int, last: int) -> None:
    shown = pixels(read(corpus[key]))
    assert np.abs(shown[0, 0] - first).max() <= 2
    assert np.abs(shown[-1, -1] - last).max() <= 2


def test_transparency_is_laid_on_white(corpus: dict[str, bytes]) -> None:
    faint = pixels(read(corpus["alpha.png"]))
    assert faint[0].min() > 245, "nothing but paper where alpha is 0"
    assert np.abs(faint[-1, 0] - np.asarray(quadrants())[-1, 0]).max() <= 8, (
        "its own colour where alpha is 255"
    )
    assert pixels(read(corpus["rgb_transparent.png"]))[4, 4].min() > 245
    palette = pixels(read(corpus["palette_one_transparent.png"]))
    assert (palette.min(axis=2) > 245).mean() == pytest.approx(0.25, abs=0.02)


def test_unusual_colour_spaces_keep_their_meaning(corpus: dict[str, bytes]) -> None:
    grey = np.asarray(quadrants().convert("L")).astype(int)
    assert np.abs(pixels(read(corpus["grey.jpg"])).mean(axis=2) - grey).mean() < 3
    lab = pixels(read(corpus["lab.tiff"]))
    assert np.ptp(lab, axis=2).mean() < 6, "LAB without colour is grey"
    assert np.corrcoef(lab.mean(axis=2).ravel(), grey.ravel())[0, 1] > 0.95


def test_profiles_stay_with_rgb_and_leave_with_other_colours() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored = Image.open(io.BytesIO(read(encoded(quadrants(), "PNG", icc_profile=profile))["image"]))
    assert stored.info["icc_profile"] == profile
    cmyk = jpeg(quadrants().convert("CMYK"), icc_profile=profile[:16] + b"CMYK" + profile[20:])
    assert "icc_profile" not in Image.open(io.BytesIO(read(cmyk)["image"])).info


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 120))
def test_short_side_scales_down_only(width: int, height: int, short_side: int) -> None:
    data = jpeg(Image.new("RGB", (width, height), "teal"))
    row = read(data, short_side=short_side)
    size = row["width"], row["height"]
    assert min(size) == min(width, height, short_side)
    assert (row["original_width"], row["original_height"]) == (width, height)
    assert Image.open(io.BytesIO(row["image"])).size == size
    assert abs(size[0] * height - size[1] * width) <= max(width, height) / 2 + 1e-6
    assert (row["image"] == data) == (min(width, height) <= short_side)


def test_original_size_is_that_of_the_upright_picture(corpus: dict[str, bytes]) -> None:
    row = read(corpus["exif/6.jpg"], short_side=16)
    assert (row["original_width"], row["original_height"], row["width"], row["height"]) == (
        WIDTH,
        HEIGHT,
        24,
        16,
    )


def test_pixel_limit_is_inclusive_and_checked_before_decoding() -> None:
    assert read(jpeg(), max_pixels=WIDTH * HEIGHT)["status"] == "ok"
    # Cut off after its header: had it been decoded, the reason would be another.
    row = read(encoded(quadrants(), "PNG")[:200], max_pixels=WIDTH * HEIGHT - 1)
    assert (row["status"], row["stage"], row["reason"]) == ("rejected", "read", "too_many_pixels")
    assert (row["original_width"], row["original_height"]) == (WIDTH, HEIGHT)


def test_rejects_keep_what_is_known_of_them(corpus: dict[str, bytes]) -> None:
    row = read(corpus["bad/cut.jpeg"])
    assert row["sha256"] == hashlib.sha256(corpus["bad/cut.jpeg"]).hexdigest()
    assert (row["original_width"], row["original_height"]) == (WIDTH, HEIGHT)
    assert "truncated" in row["detail"]
    assert row["image"] is None


def test_columns_are_those_promised_and_the_file_itself_is_dropped() -> None:
    result = Read().setup()(table(jpeg(), b"", jpeg()))
    assert result.schema.names == [name for name in RAW.names if name != "source_bytes"] + IMAGE.names
    assert [result.schema.field(name).type for name in IMAGE.names] == IMAGE.types
    assert result["status"].to_pylist() == ["ok", "rejected", "ok"]
    assert Read().setup()(table()).num_rows == 0


def test_rows_that_already_failed_are_left_alone() -> None:
    verdict = {"status": "error", "stage": "read", "reason": "unreadable", "detail": "gone"}
    rows = [{**row, **verdict} for row in table(None).to_pylist()]
    result = Read().setup()(pa.Table.from_pylist(rows, schema=RAW)).to_pylist()[0]
    assert {name: result[name] for name in verdict} == verdict


def test_damage_anywhere_gives_a_picture_or_a_reason(corpus: dict[str, bytes]) -> None:
    random = np.random.default_rng(7)
    files = [data for data in corpus.values() if 0 < len(data) < 20_000]
    damaged = []
    for _ in range(400):
        data = bytearray(files[random.integers(len(files))])
        for place in random.integers(0, len(data), random.integers(1, 6)):
            data[place] = random.integers(256)
        damaged.append(bytes(data[: random.integers(1, len(data) + 1)] if random.random() < 0.3 else data))
    rows = Read(max_pixels=1_000_000).setup()(table(*damaged)).to_pylist()
    assert [row["detail"] for row in rows if row["status"] not in ("ok", "rejected")] == []
    assert {row["status"] for row in rows} == {"ok", "rejected"}
    for row in rows:
        if row["status"] == "ok":
            assert pixels(row).shape == (row["height"], row["width"], 3)
        else:
            assert row["reason"] != ""
            assert row["detail"]


def test_threads_get_the_same_as_one_alone(corpus: dict[str, bytes]) -> None:
    work = pickle.loads(pickle.dumps(Read(short_side=32))).setup()  # noqa: S301
    tables = [table(*corpus.values())] * 8
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, tables))
    assert all(result.equals(results[0]) for result in results)


def test_pillow_warns_of_nothing(corpus: dict[str, bytes], tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        Read().setup()(table(*corpus.values()))
    assert [str(warning.message) for warning in heard] == []


@pytest.mark.parametrize(
    "config", [{"max_pixels": 0}, {"max_pixels": 10**9}, {"short_side": 0}, {"quality": 0}, {"quality": 101}]
)
def test_impossible_settings_are_refused(config: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(config))):
        Read(**config)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("top", [3.4e38, 1e-40, 0.5])
def test_floats_of_any_range_span_black_to_white(top: float) -> None:
    ramp = np.linspace(-top, top, 96, dtype=np.float64).astype(np.float32).reshape(1, 96).repeat(8, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        shown = pixels(read(encoded(Image.fromarray(ramp), "TIFF")))
    assert shown[0, 0].max() <= 2
    assert top < 0.1 or shown[0, -1].min() >= (253 if top > 1 else 160)


@pytest.mark.parametrize("name", ["profile_bomb.png", "text_bomb.png", "late_text_bomb.png"])
def test_a_bomb_beside_the_picture_is_named_as_such(corpus: dict[str, bytes], name: str) -> None:
    row = read(corpus[f"bad/{name}"])
    assert (row["reason"], "too large" in row["detail"]) == ("undecodable", True)
