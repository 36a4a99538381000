# SPDX-License-Identifier: Apache-2.0
"""The dataset opens in the tools that people use, and says the same in all of them."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from pipeline.dataset.finish import finish_dataset
from tests.pipeline.official_reader import accepted
from tests.shards import write_dataset

MEMBERS = {"jpg", "json", "png", "txt"}


@pytest.fixture(scope="module", params=["written", "built"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset's root: one with exact masks and every oddity, and one that the whole chain has built."""
    if request.param == "built":
        return request.getfixturevalue("built")
    root = write_dataset(tmp_path_factory.mktemp("interop") / "dataset", shards=2, rows=16)
    finish_dataset(root)
    return root


@pytest.fixture(scope="module")
def tars(dataset: Path) -> list[str]:
    return [str(path) for path in sorted((dataset / "data" / "train").glob("*.tar"))]


@pytest.fixture(scope="module")
def samples(dataset: Path) -> dict[str, dict[str, Any]]:
    """The `ok` rows by key."""
    files = sorted((dataset / "data" / "train").glob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    found = {row["key"]: row for row in rows if row["status"] == "ok"}
    assert found
    return found


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
    """The `datasets` module, offline, and where it is to keep what it makes."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets, {"cache_dir": str(tmp_path / "cache")}


def check_masks(labels: np.ndarray, entities: Any) -> None:
    """The label map is the masks, the best of them on top."""
    covered = np.zeros(labels.shape, bool)
    for entity in entities:
        mask = coco_mask.decode(entity["rle"]).astype(bool)
        assert mask.shape == labels.shape
        assert int(mask.sum()) == entity["area"]
        assert (labels[mask & ~covered] == entity["id"]).all()
        covered |= mask
    assert (labels[~covered] == 0).all()


def test_webdataset(tars: list[str], samples: dict[str, Any]) -> None:
    import webdataset

    read = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in read] == list(samples)
    for sample in read:
        assert {name for name in sample if not name.startswith("__")} == MEMBERS
        row, record = samples[sample["__key__"]], sample["json"]
        assert isinstance(record, dict)
        assert sample["jpg"].size == (record["width"], record["height"]) == (row["width"], row["height"])
        # `decode("pil")` makes RGB of every picture: only an 8-bit grey map keeps its ids through this.
        channels = np.moveaxis(np.asarray(sample["png"].convert("RGB")), -1, 0)
        assert (channels[0] == channels[1]).all()
        check_masks(channels[0], record["entities"])
        assert sample["txt"] == (row["alt_text"] or row["caption"])


@pytest.mark.parametrize("decoded", [True, False])
def test_ray(ray_cluster: Any, tars: list[str], samples: dict[str, Any], decoded: bool) -> None:
    decoder = {} if decoded else {"decoder": None}
    rows = ray_cluster.data.read_webdataset(tars, **decoder).take_all()
    assert sorted(row["__key__"] for row in rows) == sorted(samples)
    for row in rows:
        assert {name for name in row if not name.startswith("__")} == MEMBERS
        if not decoded:
            assert all(isinstance(row[name], bytes) for name in MEMBERS)
            continue
        assert row["json"]["source_key"] == samples[row["__key__"]]["source_key"]
        check_masks(np.asarray(row["png"]), row["json"]["entities"])


@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_datasets(
    hugging_face: tuple[Any, dict[str, str]], tars: list[str], samples: dict[str, Any], streaming: bool
) -> None:
    datasets, cache = hugging_face
    read = datasets.load_dataset(
        "webdataset", data_files={"train": tars}, split="train", streaming=streaming, **cache
    )
    assert isinstance(read.features["jpg"], datasets.Image)
    assert isinstance(read.features["png"], datasets.Image)
    rows = list(read)
    assert [row["__key__"] for row in rows] == list(samples)
    for row in rows:
        check_masks(np.asarray(row["png"]), row["json"]["entities"])
        assert row["json"]["mask"][1]["box"] == row["json"]["entities"][0]["box"]
        assert row["txt"]


def test_hugging_face_reads_the_card(
    hugging_face: tuple[Any, dict[str, str]], dataset: Path, samples: dict[str, Any]
) -> None:
    datasets, cache = hugging_face
    read = datasets.load_dataset(str(dataset), **cache)
    assert list(read) == ["train"]
    assert read["train"].num_rows == len(samples)
    assert {name for name in read["train"].column_names if not name.startswith("__")} == MEMBERS


def test_records_become_tables_again(
    hugging_face: tuple[Any, dict[str, str]], tars: list[str], samples: dict[str, Any], tmp_path: Path
) -> None:
    datasets, cache = hugging_face
    read = datasets.load_dataset("webdataset", data_files={"train": tars}, split="train", **cache)
    read.to_parquet(str(tmp_path / "all.parquet"))
    table = pq.read_table(tmp_path / "all.parquet")
    assert table["__key__"].to_pylist() == list(samples)
    assert table["json"][0].as_py()["extra"] is None


def test_pandas(dataset: Path, samples: dict[str, Any]) -> None:
    files = sorted((dataset / "data" / "train").glob("*.parquet"))
    rows = pd.read_parquet(files)  # type: ignore[arg-type]
    assert rows["key"].is_unique
    assert rows["key"].is_monotonic_increasing
    assert set(rows["status"]) <= {"ok", "rejected", "error"}
    assert rows["source_key"].notna().all()
    lost = rows[rows["status"] != "ok"]
    assert lost[["stage", "reason"]].notna().all(axis=None)
    assert len(rows) - len(lost) == len(samples)
    index = pd.read_parquet(dataset / "_meta" / "index.parquet")
    plain = [name for name in rows if name not in ("nouns", "entities")]
    pd.testing.assert_frame_equal(index[plain], rows[plain])


def test_members_lie_where_the_parquet_says(dataset: Path, samples: dict[str, Any]) -> None:
    for key, row in samples.items():
        with (dataset / "data" / "train" / f"{key.partition('-')[0]}.tar").open("rb") as tar:
            tar.seek(row["png_offset"])
            labels = np.asarray(Image.open(io.BytesIO(tar.read(row["png_size"]))))
        check_masks(labels, row["entities"])


def test_subject_diffusions_own_loader(tars: list[str]) -> None:
    import webdataset

    used = 0
    for sample in webdataset.WebDataset(tars, shardshuffle=False).decode("pil"):
        arrays = {name: np.asarray(sample[name]) for name in ("jpg", "png")}
        arrays["png"] = arrays["png"][..., 0] if arrays["png"].ndim == 3 else arrays["png"]
        subjects = accepted({**sample, **arrays})
        used += bool(subjects)
        for entry, mask in subjects:
            left, top, right, bottom = (round(value) for value in entry["box"])
            assert mask[top:bottom, left:right].any()
    assert used > 0, "the loader would train on none of the samples"
