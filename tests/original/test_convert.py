# SPDX-License-Identifier: Apache-2.0
"""`convert` as a user calls it, and a build through both backends."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from pycocotools import mask as coco_mask

from tests.original.conftest import TEXT
from tests.pipeline.runs import ROOT, one_line, subjectforge


def convert(path, folder, *more):
    return subjectforge("convert", "--from-original", path, "--to", folder, *more)


@pytest.mark.parametrize(("which", "more"), [("dino", ("--text", TEXT)), ("sam", ("--decoder-heads", "4"))])
def test_a_checkpoint_becomes_a_folder_and_both_are_compared(request, tmp_path, which, more):
    done = convert(request.getfixturevalue(f"{which}_path"), tmp_path / "to", *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("differ by") == 2
    assert (tmp_path / "to" / "model.safetensors").is_file()
    assert "is there already" in one_line(convert("x.pth", tmp_path / "to"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    done = subjectforge("miniature", "scenes", folder, "--count", "24", "--seed", "5")
    assert done.returncode == 0, done.stderr
    return folder / "images"


def built(folder, scenes, detector, segmenter):
    config = yaml.safe_load((ROOT / "configs" / "build" / "miniature.yaml").read_text())
    stages = config["stages"]
    # Of boxes made by chance, those that score most.
    stages["detect"] = {"detector": {**detector, "short_side": 96, "long_side": 128}, "box_threshold": 0.35}
    stages["select"] = {"max_entities": 200}
    stages["segment"] = {"segmenter": segmenter}
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config))
    done = subjectforge("build", path, "--input", scenes, "--output", folder, "--executor", "local")
    assert done.returncode == 0, done.stderr
    rows = [row for path in folder.glob("data/*/*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["key"])


def test_both_backends_build_the_same_dataset(dino_path, sam_path, scenes, tmp_path):
    for path, name, more in (
        (dino_path, "dino", ("--text", TEXT)),
        (sam_path, "sam", ("--decoder-heads", "4")),
    ):
        assert convert(path, tmp_path / name, *more).returncode == 0
    ours = built(
        tmp_path / "ours",
        scenes,
        {"name": "grounding_dino", "model": str(tmp_path / "dino")},
        {"name": "sam", "model": str(tmp_path / "sam")},
    )
    theirs = built(
        tmp_path / "theirs",
        scenes,
        {"name": "groundingdino_py", "model": str(dino_path), "text": TEXT},
        {"name": "segment_anything", "model": str(sam_path), "decoder_heads": 4},
    )
    same(ours, theirs)
    provenance = (tmp_path / "theirs" / "_meta").rglob("*.json")
    assert any(dino_path.name in path.read_text() for path in provenance)


def same(ours, theirs):
    """Rows, reasons and labels alike; boxes, masks and scores within what may differ."""
    assert [row["key"] for row in ours] == [row["key"] for row in theirs]
    instances = apart = pixels = 0
    for one, other in zip(ours, theirs, strict=True):
        assert (one["status"], one["reason"]) == (other["status"], other["reason"])
        some, others = one["entities"] or [], other["entities"] or []
        assert [each["text"] for each in some] == [each["text"] for each in others]
        for mine, its in zip(some, others, strict=True):
            assert mine["box"] == pytest.approx(its["box"], abs=1e-5 * one["width"])
            assert mine["det_score"] == pytest.approx(its["det_score"], abs=1e-4)
            assert mine["mask_score"] == pytest.approx(its["mask_score"], abs=1e-4)
            assert (mine["rle"] is None) == (its["rle"] is None) == (one["status"] != "ok")
            if mine["rle"] is None:
                continue
            masks = [coco_mask.decode(as_coco(each["rle"])) for each in (mine, its)]
            apart += int((masks[0] != masks[1]).sum())
            pixels += masks[0].size
            instances += 1
    assert instances > 20, json.dumps([row["reason"] for row in ours])
    assert apart / pixels <= 1e-5


def as_coco(rle):
    counts = rle["counts"]
    return {"size": rle["size"], "counts": counts.encode() if isinstance(counts, str) else counts}
