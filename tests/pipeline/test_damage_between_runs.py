# SPDX-License-Identifier: Apache-2.0
"""What is known of a build was damaged since: nothing is built upon it, and there is a way on."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

from tests.pipeline.again import LOCAL, assert_whole, index_of
from tests.pipeline.light import pictures
from tests.pipeline.runs import digests, one_line, subjectforge

LISTING = "_meta/source/00000.parquet"


@pytest.fixture
def command(flawed, source, config):
    return ("build", config, "--input", source, "--output", flawed, *LOCAL)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


def spoil_keys(table, name="key"):
    """Zeros where the rows' keys are."""
    column = pq.ParquetFile(table).metadata.row_group(0).column(0)
    assert column.path_in_schema == name
    start, size = column.dictionary_page_offset or column.data_page_offset, column.total_compressed_size
    content = table.read_bytes()
    table.write_bytes(content[:start] + bytes(size) + content[start + size :])


@pytest.mark.parametrize("name", ["_meta/manifest.json", "_meta/config.yaml"])
def test_a_build_seals_no_damage(flawed, command, name):
    before = digests(flawed)
    if name == "_meta/manifest.json":
        path = flawed / name
        path.write_text(path.read_text().replace('"created": "20', '"created": "19'))
    else:
        flip(flawed / name, 0.1)
    (flawed / "data/train/00000_stats.json").unlink()
    sealed = (flawed / "_meta/digests.json").read_bytes()
    for again in (command, ("retry", flawed, *LOCAL), (*command, "--extend")):
        assert f"{name} is not as the last run left it" in one_line(subjectforge(*again))
    assert (flawed / "_meta/digests.json").read_bytes() == sealed
    assert subjectforge(*command, "--overwrite").returncode == 0
    assert digests(flawed) == before
    assert_whole(flawed)


@pytest.mark.parametrize("way", [(), ("--extend",), ("--overwrite",)])
def test_a_damaged_listing_is_made_again(flawed, command, way):
    """As long as it is the only one, and the source is the same."""
    before, path = digests(flawed), flawed / LISTING
    sound = path.read_bytes()
    flip(path, 0.1)
    (flawed / "data/train/00000_stats.json").unlink()
    assert f"{LISTING} is not as the last run left it" in one_line(subjectforge("retry", flawed, *LOCAL))
    assert subjectforge(*command, *way).returncode == 0
    assert path.read_bytes() == sound
    assert digests(flawed) == before
    assert_whole(flawed)


def test_a_damaged_listing_is_not_made_again_where_there_are_others(tmp_path, flawed, command):
    (tmp_path / "broken").unlink()
    assert subjectforge("retry", flawed, *LOCAL).returncode == 0
    flip(flawed / LISTING, 0.1)
    (flawed / "data/train/00000_stats.json").unlink()
    sealed = (flawed / "_meta/digests.json").read_bytes()
    for again in (command, (*command, "--extend"), ("retry", flawed, *LOCAL)):
        assert f"{LISTING} is not as the last run left it" in one_line(subjectforge(*again))
    assert (flawed / "_meta/digests.json").read_bytes() == sealed


def test_a_listing_that_is_damaged_while_no_digests_are_there(flawed, command):
    """As after a kill: the pages have checksums of their own."""
    before, path = digests(flawed), flawed / LISTING
    (flawed / "_meta/digests.json").unlink()
    (flawed / "data/train/00000_stats.json").unlink()
    sound, refused = path.read_bytes(), 0
    for byte in range(4, 400, 23):
        path.write_bytes(sound[:byte] + bytes([sound[byte] ^ 1]) + sound[byte + 1 :])
        run = subjectforge(*command)
        if run.returncode:
            refused += 1
            assert LISTING in one_line(run) or "_meta/source" in one_line(run)
        else:
            assert digests(flawed) == before
            (flawed / "_meta/digests.json").unlink()
            (flawed / "data/train/00000_stats.json").unlink()
    assert refused > 5
    path.write_bytes(sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
    assert subjectforge(*command, "--overwrite").returncode == 0
    assert digests(flawed) == before


def test_a_stray_listing_builds_nothing_twice(flawed, command):
    before = digests(flawed)
    for name in ("3.parquet", "00003.parquet"):
        stray = flawed / "_meta/source" / name
        shutil.copy(flawed / LISTING, stray)
        subjectforge(*command)
        assert digests(flawed) == before
        assert f"_meta/source/{name}" in subjectforge("verify", flawed).stdout
        stray.unlink()
    assert_whole(flawed)


def test_a_retry_that_was_lost_leaves_no_row_behind(tmp_path, flawed, command):
    (tmp_path / "broken").unlink()
    assert subjectforge("retry", flawed, *LOCAL).returncode == 0
    (flawed / "data/train/00003_stats.json").unlink()
    assert subjectforge("retry", flawed, "--where", "reason=none", *LOCAL).returncode == 0
    assert index_of(flawed).status["0002.jpg"] == "error"
    assert_whole(flawed)
    assert "nothing to do" in subjectforge(*command).stdout


def test_a_retry_of_items_that_are_gone(flawed, source):
    (source / "0002.jpg").unlink()
    assert subjectforge("retry", flawed, *LOCAL).returncode == 0
    assert index_of(flawed).status["0002.jpg"] == "error"
    assert_whole(flawed)


def test_overwriting_with_another_split_leaves_nothing_of_the_old_one(flawed, command):
    assert subjectforge(*command, "--overwrite", "--set", "stages.write.split=val").returncode == 0
    assert [path.name for path in (flawed / "data").iterdir()] == ["val"]
    assert_whole(flawed)


def test_overwriting_is_a_way_past_shards_that_nothing_lists(flawed, command):
    before = digests(flawed)
    shutil.copy(flawed / "data/train/00002_stats.json", flawed / "data/train/00009_stats.json")
    assert "--overwrite" in one_line(subjectforge(*command))
    assert subjectforge(*command, "--overwrite").returncode == 0
    assert digests(flawed) == before
    assert_whole(flawed)


def test_what_is_left_of_a_folder_that_was_removed_during_a_run_is_in_nobodys_way(flawed, command):
    before = digests(flawed)
    shutil.rmtree(flawed)
    (flawed / "_meta").mkdir(parents=True)
    (flawed / "_meta/events.jsonl").write_text("{}\n")
    (flawed / "data/train").mkdir(parents=True)
    (flawed / "data/train/.00001.tar.tmp-0123456789ab").write_bytes(b"half")
    assert subjectforge(*command).returncode == 0
    assert digests(flawed) == before
    assert_whole(flawed)


def test_shards_of_nobody_known_are_in_the_way(flawed, command):
    for name in ("_meta", "README.md", "report.html"):
        path = flawed / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (flawed / "data/train").glob("*_stats.json"):
        path.unlink()
    for way in ((), ("--overwrite",)):
        assert "holds no dataset; move away what is in it" in one_line(subjectforge(*command, *way))
    assert (flawed / "data/train/00002.tar").is_file()


def test_drafts_of_dead_writers_go_wherever_they_are(flawed, command):
    folders = ("", "_meta", "_meta/timings", "_meta/source", "data/train")
    drafts = [flawed / folder / ".a.json.tmp-0123456789ab" for folder in folders]
    for draft in drafts:
        draft.write_bytes(b"half")
    (flawed / "data/train/00000_stats.json").unlink()
    assert subjectforge(*command).returncode == 0
    assert not any(draft.exists() for draft in drafts)
    assert_whole(flawed)


def test_a_link_to_itself_among_the_shards_is_named(flawed, command):
    os.symlink("x", flawed / "data/train/x")
    assert "data/train/x is a link" in subjectforge("verify", flawed).stdout
    assert "nothing to do" in subjectforge(*command).stdout


def test_a_table_that_cannot_be_read_says_how_it_is_mended(flawed, command):
    path = flawed / "data/train/00001.parquet"
    before, content = digests(flawed), path.read_bytes()
    path.write_bytes(content[:-12] + bytes(8) + content[-4:])
    line = one_line(subjectforge("retry", flawed, *LOCAL))
    assert "delete 00001_stats.json and run the build again" in line
    (flawed / "data/train/00001_stats.json").unlink()
    assert subjectforge(*command).returncode == 0
    assert digests(flawed) == before


@pytest.mark.parametrize("builds", [False, True])
def test_a_table_that_is_damaged_inside_is_named_by_whoever_reads_it(tmp_path, flawed, command, builds):
    """Its size is right, so no build takes notice of it."""
    spoil_keys(flawed / "data/train/00001.parquet")
    (tmp_path / "broken").unlink()
    inspect = ("inspect", flawed, "--key", "00001-00000", "--png", tmp_path / "sample.png")
    if builds:
        (flawed / "data/train/00000_stats.json").unlink()
        assert "00001.parquet cannot be read" in one_line(subjectforge(*command))
        (flawed / "data/train/00001_stats.json").unlink()
        assert subjectforge(*command).returncode == 0
    for again in (("retry", flawed, *LOCAL), ("report", flawed), inspect):
        run = subjectforge(*again)
        assert run.returncode == 0 or "train/00001" in one_line(run)
        assert "Traceback" not in run.stderr
    (flawed / "data/train/00001_stats.json").unlink(missing_ok=True)
    assert subjectforge(*command).returncode == 0
    assert subjectforge("retry", flawed, *LOCAL).returncode == 0
    assert_whole(flawed)


def test_no_index_is_made_of_a_table_that_is_not_what_was_written(flawed, command, source):
    before, stats = digests(flawed), flawed / "data/train/00001_stats.json"
    about = json.loads(stats.read_text())
    about["files"]["parquet"]["sha256"] = "0" * 64
    stats.write_text(json.dumps(about))
    pictures(source / "later", [30])
    line = one_line(subjectforge(*command, "--extend"))
    assert "00001.parquet cannot be read (it is not what was written)" in line
    (flawed / "data/train/00001_stats.json").unlink()
    assert subjectforge(*command, "--extend").returncode == 0
    assert {name: found for name, found in digests(flawed).items() if name in before} == before
    assert_whole(flawed)


def test_a_retry_names_the_listing_that_is_damaged_and_no_sound_shard(flawed):
    (flawed / "_meta/digests.json").unlink()
    spoil_keys(flawed / LISTING, "source_key")
    line = one_line(subjectforge("retry", flawed, *LOCAL))
    assert f"{LISTING} is damaged" in line
    assert "_stats.json" not in line


def test_a_listing_is_read_through_before_it_is_sealed(flawed, command, source):
    pictures(source / "later", [30, 31])
    assert subjectforge(*command, "--extend").returncode == 0
    (flawed / "_meta/digests.json").unlink()
    sound = (flawed / LISTING).read_bytes()
    column = pq.ParquetFile(flawed / LISTING).metadata.row_group(0).column(0)
    place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
    (flawed / LISTING).write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    assert f"{LISTING} is damaged" in one_line(subjectforge(*command, "--extend"))
    assert not (flawed / "_meta/digests.json").exists()
    (flawed / LISTING).write_bytes(sound)
    assert subjectforge(*command, "--extend").returncode == 0
    assert_whole(flawed)


def test_damage_to_a_listing_is_not_blamed_on_shards_or_their_index(tmp_path, flawed):
    (tmp_path / "broken").unlink()
    assert subjectforge("retry", flawed, *LOCAL).returncode == 0
    digest = (flawed / "_meta/digests.json").read_text()
    for harm in ("flipped", "lost", "digest", "no digest"):
        listing = flawed / "_meta/source/00003.parquet"
        sound, told = listing.read_bytes(), digest
        if harm == "flipped":
            flip(listing, 0.1)
        elif harm == "lost":
            listing.unlink()
        else:
            place = digest.index("00003.parquet") + len('00003.parquet": "')
            letter = "g" if harm == "no digest" else "1" if digest[place] == "0" else "0"
            told = digest[:place] + letter + digest[place + 1 :]
        (flawed / "_meta/digests.json").write_text(told)
        run = subjectforge("verify", flawed)
        assert run.returncode == 1
        assert "index.parquet" not in run.stdout
        assert "train/0000" not in run.stdout
        assert ("delete _meta/digests.json" in run.stdout) == (harm in ("flipped", "digest"))
        listing.write_bytes(sound)
    (flawed / "_meta/digests.json").write_text(digest)
    assert_whole(flawed)


@pytest.mark.parametrize("option", ["--grace", "--stall-after", "--stall-limit"])
def test_a_time_without_end_is_refused(command, option):
    assert option in one_line(subjectforge(*command, option, "inf"))
