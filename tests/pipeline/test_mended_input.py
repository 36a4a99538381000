# SPDX-License-Identifier: Apache-2.0
"""Input that was broken, or is odd, when a dataset was made, and what becomes of it later."""

import io
import os
import tarfile

import pytest

from tests.pipeline.again import LOCAL, assert_whole, index_of
from tests.pipeline.light import light_config, pictures, rows_of
from tests.pipeline.runs import build, one_line, subjectforge


@pytest.fixture
def config(tmp_path):
    return light_config(tmp_path / "config.yaml")


def test_what_lay_behind_a_break_is_added_once_the_file_is_mended(tmp_path, config):
    source, output = tmp_path / "tars", tmp_path / "out"
    source.mkdir()
    with tarfile.open(source / "a.tar", "w") as tar:
        for file in sorted(pictures(tmp_path / "in", range(20, 30)).iterdir()):
            tar.add(file, file.name)
    whole = (source / "a.tar").read_bytes()
    (source / "a.tar").write_bytes(whole[: len(whole) // 2])
    build(source, output, *LOCAL, config=config)
    before = index_of(output)
    assert before.status["a.tar/!broken"] == "error"
    run = subjectforge("retry", output, *LOCAL)
    assert run.returncode == 0, run.stderr
    assert "1 row of where files break off left out" in run.stdout
    assert "nothing to do" in run.stdout
    (source / "a.tar").write_bytes(whole)
    command = ("build", config, "--input", source, "--output", output, *LOCAL)
    assert "--extend" in one_line(subjectforge(*command))
    build(source, output, "--extend", *LOCAL, config=config)
    after = index_of(output)
    assert {f"a.tar/{n:04d}" for n in range(10)} | {"a.tar/!broken"} == set(after.index)
    assert len(rows_of(output)) == 11
    assert_whole(output)
    assert "nothing to do" in subjectforge(*command).stdout


def tar_of(folder, names):
    """Samples of a picture and a text each, in this order, and where each member begins."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "a.tar", "w") as tar:
        for file in sorted(pictures(folder.parent / "in", range(20, 20 + names)).iterdir()):
            tar.add(file, file.name)
            text = tarfile.TarInfo(f"{file.stem}.txt")
            text.size = 3
            tar.addfile(text, io.BytesIO(b"cat"))
    with tarfile.open(folder / "a.tar") as tar:
        return {member.name: member.offset for member in tar}


def test_a_break_inside_of_a_sample(tmp_path, config):
    source, output = tmp_path / "tars", tmp_path / "out"
    begins = tar_of(source, 6)
    whole = (source / "a.tar").read_bytes()
    (source / "a.tar").write_bytes(whole[: begins["0002.txt"]])
    build(source, output, *LOCAL, config=config)
    (source / "a.tar").write_bytes(whole)
    for _ in range(2):
        build(source, output, "--extend", *LOCAL, config=config)
        after = index_of(output)
        assert {f"a.tar/{n:04d}" for n in range(6)} | {"a.tar/!broken"} == set(after.index)
        assert after.alt_text["a.tar/0003"] == "cat"
        assert_whole(output)


def test_a_break_that_left_the_size_as_it_was(tmp_path, config):
    source, output = tmp_path / "tars", tmp_path / "out"
    begins = tar_of(source, 6)
    whole = (source / "a.tar").read_bytes()
    damaged = bytearray(whole)
    damaged[begins["0003.jpg"] + 150] ^= 0x7F
    (source / "a.tar").write_bytes(damaged)
    build(source, output, *LOCAL, config=config)
    extend = ("--extend", *LOCAL)
    assert "nothing to do" in build(source, output, *extend, config=config).stdout
    (source / "a.tar").write_bytes(whole)
    build(source, output, *extend, config=config)
    assert {f"a.tar/{n:04d}" for n in range(6)} <= set(index_of(output).index)
    assert "nothing to do" in build(source, output, *extend, config=config).stdout
    assert_whole(output)


def test_a_mended_picture_is_what_a_retry_is_for(tmp_path, config):
    source, output = pictures(tmp_path / "in", [20, 21, 22]), tmp_path / "out"
    whole = (source / "0001.jpg").read_bytes()
    (source / "0001.jpg").write_bytes(whole[:100])
    build(source, output, *LOCAL, config=config)
    (source / "0001.jpg").write_bytes(whole)
    line = one_line(subjectforge("build", config, "--input", source, "--output", output, *LOCAL))
    assert "`subjectforge retry` makes rows of mended files anew" in line
    run = subjectforge("retry", output, "--where", "status=rejected", *LOCAL)
    assert run.returncode == 0, run.stderr
    assert index_of(output).status["0001.jpg"] == "ok"
    assert_whole(output)


def test_a_pipe_is_an_error_row_however_often_it_is_tried(tmp_path, config):
    source, output = pictures(tmp_path / "in", [20, 21]), tmp_path / "out"
    os.mkfifo(source / "pipe.jpg")
    build(source, output, *LOCAL, config=config)
    for _ in range(2):
        run = subjectforge("retry", output, *LOCAL)
        assert run.returncode == 0, run.stderr
        assert index_of(output).reason["pipe.jpg"] == "unreadable"
    assert_whole(output)


def test_a_name_and_its_escape_are_never_taken_for_one_another(tmp_path, config):
    source, output = pictures(tmp_path / "in", [20, 21]), tmp_path / "out"
    strange = os.fsencode(source) + b"/\xff.jpg"
    os.rename(source / "0000.jpg", strange)
    build(source, output, *LOCAL, config=config)
    with open(strange, "rb") as stream:
        (source / "\\xff.jpg").write_bytes(stream.read()[:-1] + b"\0")
    line = one_line(subjectforge("build", config, "--input", source, "--output", output, "--extend", *LOCAL))
    assert "xff.jpg" in line
    assert "changed" in line
    assert_whole(output)
