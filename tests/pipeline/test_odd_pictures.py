# SPDX-License-Identifier: Apache-2.0
"""Pictures that are broken, odd, or simply real: the build runs through and says what it found."""

import json
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest
import skimage.data
import sklearn.datasets

from tests.bad_images import OTHER_FILES, write_corpus
from tests.pipeline.runs import build, subjectforge


def rows_of(dataset):
    return pd.concat(pd.read_parquet(path) for path in sorted((dataset / "data" / "train").glob("*.parquet")))


def test_every_malformed_picture_is_a_row_with_its_reason(tmp_path):
    cases = write_corpus(tmp_path / "corpus")
    dataset = tmp_path / "dataset"
    options = ["--executor", "local", "--set", "stages.filter_image.min_side=0"]
    run = build(tmp_path / "corpus", dataset, *options)
    assert f"{OTHER_FILES} other files" in run.stdout
    rows = rows_of(dataset).set_index("source_key")
    assert sorted(rows.index) == sorted(case.source_key for case in cases)
    for case in cases:
        row = rows.loc[case.source_key]
        if case.status == "ok":
            assert row.stage != "read", case
            assert row.status in {"ok", "rejected"}, (case, row.detail)
        else:
            assert (row.status, row.stage, row.reason) == (case.status, "read", case.reason), case
    assert subjectforge("verify", dataset, "--deep").returncode == 0


@pytest.fixture
def photographs(tmp_path):
    """What scikit-image and scikit-learn come with."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for place in (Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images"):
        for path in place.iterdir():
            if path.suffix in {".png", ".jpg", ".tif", ".gif"}:
                shutil.copy(path, folder)
    return folder


def test_photographs_run_through_and_nothing_is_invented(photographs, tmp_path):
    """The miniature knows cartoon cats, not photographs: most must be told apart as "nothing found"."""
    dataset = tmp_path / "dataset"
    run = build(photographs, dataset, "--executor", "local")
    rows = rows_of(dataset)
    assert len(rows) == len(list(photographs.iterdir())) >= 25
    assert (rows.status == "error").sum() == 0
    assert {"coffee.png", "chelsea.png", "rocket.jpg"} <= set(rows.source_key)
    assert rows[rows.status == "rejected"].reason.notna().all()
    assert (rows.status == "rejected").mean() > 0.5
    assert "rejected" in run.stdout
    assert subjectforge("verify", dataset, "--deep").returncode == 0


def test_tars_as_img2dataset_writes_them(scenes, tmp_path):
    tars = tmp_path / "tars"
    tars.mkdir()
    with tarfile.open(tars / "00000.tar", "w") as tar:
        for path in sorted((scenes / "images").iterdir())[:6]:
            tar.add(path, f"{path.stem}.jpg")
            note = tmp_path / "note.json"
            note.write_text(json.dumps({"url": f"http://example.org/{path.stem}", "caption": "alt"}))
            tar.add(note, f"{path.stem}.json")
    dataset = tmp_path / "dataset"
    build(tars, dataset, "--executor", "local")
    rows = rows_of(dataset)
    assert list(rows.source_key) == [f"00000.tar/{index:06d}" for index in range(6)]
    assert set(rows.alt_text) == {"alt"}
    assert rows.url.str.startswith("http://example.org/").all()


def test_a_parquet_with_image_bytes(scenes, tmp_path):
    pictures = [path.read_bytes() for path in sorted((scenes / "images").iterdir())[:5]]
    folder = tmp_path / "parquet"
    folder.mkdir()
    pd.DataFrame({"image": pictures, "licence": "CC0"}).to_parquet(folder / "part.parquet")
    dataset = tmp_path / "dataset"
    build(folder, dataset, "--executor", "local")
    rows = rows_of(dataset)
    assert len(rows) == 5
    assert rows.source_meta.str.contains("CC0").all()
