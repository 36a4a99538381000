# SPDX-License-Identifier: Apache-2.0
"""Datasets in an object store, from the command line to an S3 server: the same bytes as on disk."""

import hashlib

import pyarrow.parquet as pq
import pytest

from pipeline.dataset.layout import checked_shards
from pipeline.dataset.local_copy import local_copy
from pipeline.dataset.verify import verify
from stages.shard.commit import replace
from stages.shard.files import ShardFiles
from stages.shard.place import place
from stages.write import Write
from tests.pipeline.runs import MINIATURE, build, digests, one_line, subjectforge
from tests.shards import shard_table


def store_digests(root):
    """SHA-256 of every object under `data/`."""
    data = root / "data"
    found = [path for split in data.iterdir() for path in split.iterdir()]
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def upload(folder, root):
    """Every file of a folder into the store."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            replace(root / path.relative_to(folder).as_posix(), path.read_bytes())


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    replace(path, bytes(content))


def build_into(uri, source, *arguments):
    run = build(source, uri, "--set", "shard_size=10", "--executor", "local", *arguments)
    assert "s3cr" not in run.stdout + run.stderr
    return run


def test_a_dataset_in_a_store_is_used_like_one_on_disk(scenes, built, bucket, tmp_path):
    stored = bucket("sets/one")
    root = place(stored)
    first = build_into(stored, scenes / "images")
    assert f"report       {root}/report.html" in first.stdout
    assert store_digests(root) == digests(built)
    assert not list((root / "_meta" / "intents" / "train").iterdir())

    again = build_into(stored, scenes / "images")
    assert f"nothing to do: {root} is complete" in again.stdout
    verified = subjectforge("verify", stored, "--deep")
    assert verified.returncode == 0, verified.stdout
    shown = subjectforge("inspect", stored, "--key", "00001-00002", "--png", tmp_path / "x.png")
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "x.png").stat().st_size > 1000
    page = (root / "report.html").read_bytes()
    (root / "report.html").unlink()
    assert subjectforge("report", stored).stdout.strip() == f"{root}/report.html"
    assert (root / "report.html").read_bytes() == page


def test_a_build_that_stopped_goes_on_to_the_same_bytes(scenes, built, bucket):
    root = place(stored := bucket("sets/one"))
    upload(built, root)
    train = root / "data" / "train"
    (train / "00001_stats.json").unlink()
    replace(train / "00002.tar", b"cut off")
    (train / "00003.parquet").unlink()
    shards = ["--set", "shard_size=10", "--input", scenes / "images"]
    planned = subjectforge("plan", MINIATURE, "--output", stored, *shards)
    assert "40 images in 4 shards: 1 done, 3 to do" in planned.stdout
    run = build_into(stored, scenes / "images")
    assert "1 done, 3 to do" in run.stdout
    assert "2 damaged shards to be built anew" in run.stdout
    assert store_digests(root) == digests(built)
    assert verify(root, workers=1).ok


def test_workers_write_into_the_store(scenes, built, bucket):
    root = place(stored := bucket("sets/one"))
    upload(scenes / "images", place(bucket("in")))
    held = [f"stages.{name}.resources.cpus=0.25" for name in ("read", "caption", "detect", "segment")]
    build(
        bucket("in"), stored, "--set", "shard_size=10", *(part for value in held for part in ("--set", value))
    )
    found = store_digests(root)
    # A row's parquet says where its picture was.
    tars = {name: digest for name, digest in digests(built).items() if name.endswith(".tar")}
    assert {name: digest for name, digest in found.items() if name.endswith(".tar")} == tars
    with local_copy(ShardFiles(root / "data" / "train", 0)) as near:
        uris = pq.read_table(near.parquet)["source_uri"].to_pylist()
    for path in [root / "README.md", root / "report.html", *(root / "_meta").glob("*.*")]:
        assert b"s3cr" not in path.read_bytes(), path
    assert uris == [
        f"{place(bucket('in'))}/{path.name}" for path in sorted((scenes / "images").iterdir())[:10]
    ]
    assert verify(root, workers=1).ok


def test_what_is_wrong_in_a_store_is_named(built, bucket):
    root = place(stored := bucket("set"))
    upload(built, root)
    train = root / "data" / "train"
    flip(train / "00001.tar", 5000)
    flip(train / "00002.parquet", 50)
    replace(train / "00009.tar", b"?")
    replace(root / "_meta" / "intents" / "train" / "00009.json", b'{"files": {"00009.tar": {}}}')
    (train / "00003.tar").unlink()
    run = subjectforge("verify", stored)
    assert run.returncode == 1
    for line in (
        "train/00001: 00001.tar has the sha256",
        "train/00002: 00002.parquet has the sha256",
        "train/00003: 00003.tar is missing",
        "data/train/00009.tar is a file that a writer did not finish",
    ):
        assert line in run.stdout
    assert "train/00000" not in run.stdout


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_write_stage_gives_the_bytes_that_it_gives_on_disk(bucket, tmp_path, split):
    uri, table = bucket("a set"), shard_table(3, rows=8)
    on_disk = Write(folder=str(tmp_path), split=split).setup()(table)
    assert Write(folder=uri, split=split).setup()(table) == on_disk
    assert store_digests(place(uri)) == digests(tmp_path)
    again = Write(folder=uri, split=split).setup()(table).to_pylist()[0]
    assert again == on_disk.to_pylist()[0] | {"written": False}
    assert "s3cr" not in repr(Write(folder=uri))
    whole, damaged = checked_shards(place(uri), split)
    assert ([shard.number for shard in whole], damaged) == ([3], [])


def test_mistakes_are_one_line(scenes, bucket):
    inside = bucket("in")
    upload(scenes / "images", place(inside))
    nowhere = bucket("x").replace("bucket-", "missing-")
    for arguments, says in [
        (("build", MINIATURE, "--input", scenes, "--output", "s3://b/x?nonsense=1"), "nonsense"),
        (("build", MINIATURE, "--input", scenes, "--output", nowhere), "s3://missing-"),
        (("build", MINIATURE, "--input", inside, "--output", bucket("in/out")), "lies inside --input"),
        (("build", MINIATURE, "--input", scenes, "--output", bucket("in")), "holds no dataset"),
        (("verify", bucket("nothing")), "does not exist"),
        (("verify", bucket("in")), "is not a dataset"),
        (("inspect", bucket("nothing"), "--key", "00000-00000"), "does not exist"),
        (("report", "nothing://x/y"), "cannot be opened"),
    ]:
        line = one_line(subjectforge(*arguments))
        assert says in line
        assert "s3cr" not in line
