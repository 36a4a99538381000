# SPDX-License-Identifier: Apache-2.0
"""The gallery's samples: which ones, how many, and whether they look as they should."""

import base64
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.dataset.layout import all_shards
from pipeline.dataset.new_part import write_part
from pipeline.dataset.run_lengths import decode_run_lengths
from pipeline.report import write_report
from pipeline.report.card import caption_pieces
from pipeline.report.collect import Totals, light_batches
from pipeline.report.embed import script_json
from pipeline.report.gallery import Picks
from pipeline.report.record import read_record
from pipeline.report.rows import build_cards
from pipeline.sources import open_source
from stages.shard.files import ShardFiles
from tests.pipeline.report_world import (
    UNICODE,
    Row,
    card_of,
    data_of,
    entities_of,
    rows_of,
    table_of,
    write_rows,
    write_world,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("gallery") / "world")


@pytest.fixture(scope="module")
def data(world: Path) -> dict[str, Any]:
    return data_of(write_report(world).read_text("utf-8"))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of 150 rows, nearly half of them lost."""
    root = tmp_path_factory.mktemp("crowd")
    for shard in range(3):
        write_rows(root, shard, rows_of(shard, 150, size=48))
    return root


def picked(shards: list[ShardFiles]) -> Picks:
    totals, picks = Totals(), Picks()
    for shard in shards:
        for first_row, batch in light_batches(shard):
            picks.add(shard, first_row, batch, totals.add(batch))
    return picks


def image_of(card: Row) -> np.ndarray:
    encoded = base64.b64decode(card["picture"]["uri"].removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(encoded)), np.float64)


def differs(card: Row, encoded: bytes) -> float:
    """Mean difference of a card's picture to the encoded one, of 255."""
    return float(np.abs(image_of(card) - np.asarray(Image.open(io.BytesIO(encoded)), np.float64)).mean())


def test_large_dataset_shows_a_bounded_choice(crowd: Path) -> None:
    cards = data_of(write_report(crowd).read_text())["cards"]
    table = table_of(crowd)
    lost = table[table.status != "ok"].groupby(["status", "stage", "reason"]).size()
    assert (lost > 20).all()
    assert Counter(name for card in cards for name in card["sets"]) == {
        "random": 100,
        "worst": 50,
        "lost": 20 * len(lost),
    }
    assert len({card["key"] for card in cards}) == len(cards)


def test_worst_are_those_with_the_weakest_instance(crowd: Path) -> None:
    entities = entities_of(crowd)
    scores = (entities.det_score * entities.mask_score).groupby(entities.key).min()
    cards = data_of(write_report(crowd).read_text())["cards"]
    worst = {card["key"] for card in cards if "worst" in card["sets"]}
    assert worst == set(scores.nsmallest(50).index)


def test_choice_does_not_depend_on_the_order_of_reading(crowd: Path) -> None:
    shards = all_shards(crowd)
    assert picked(shards).places() == picked(shards[::-1]).places()


def test_counting_does_not_read_the_masks(crowd: Path) -> None:
    _, batch = next(light_batches(all_shards(crowd)[0]))
    fields = [field.name for field in batch.schema.field("entities").type.value_type]
    assert "det_score" in fields
    assert "rle" not in fields


@pytest.mark.parametrize("budget", [0, 30_000, 200_000])
def test_cards_stay_within_their_budget(crowd: Path, budget: int) -> None:
    picks, record = picked(all_shards(crowd)), read_record(crowd)
    everything = build_cards(crowd, record, picks)
    assert len(script_json(everything).encode()) > budget
    cards = build_cards(crowd, record, picks, budget)
    assert len(script_json(cards).encode()) <= budget + 2
    assert bool(cards) == bool(budget)
    for card in cards:
        assert (card["picture"] is None) == bool(card["absence"])


def test_pictures_are_those_of_the_samples(data: dict[str, Any]) -> None:
    shown = [card for card in data["cards"] if card["status"] == "ok"]
    assert len(shown) == 12
    for card in shown:
        assert differs(card, rows_of(1000 + int(card["key"][-5:]), 1, size=192)[0]["image"]) < 12


def test_rejected_are_shown_from_their_source(data: dict[str, Any]) -> None:
    rejected = [card for card in data["cards"] if card["status"] == "rejected"]
    reasons = Counter(card["reason"] for card in rejected)
    assert reasons == {"too_small": 20, "too_many_nouns": 6, "empty_mask": 3}
    for card in rejected:
        assert differs(card, rows_of(2000 + int(card["key"][-5:]), 1)[0]["source_bytes"]) < 12


def test_broken_ones_say_why_there_is_no_picture(data: dict[str, Any]) -> None:
    errors = {card["source_key"]: card for card in data["cards"] if card["status"] == "error"}
    assert {key: card["absence"] for key, card in errors.items()} == {
        "broken.jpg": "the file is not a readable picture",
        "a.jpg": "the source is not on this machine",
        "gone.jpg": "the source cannot be read",
    }
    assert all(card["picture"] is None for card in errors.values())


def test_source_that_has_changed_is_not_shown(tmp_path: Path) -> None:
    root = write_world(tmp_path / "world", 3)
    for path in (tmp_path / "world-source").glob("ä*.jpg"):
        path.write_bytes(rows_of(5000, 1)[0]["image"])
    cards = data_of(write_report(root).read_text())["cards"]
    absences = {card["absence"] for card in cards if card["status"] == "rejected"}
    assert absences == {"the source is no longer what it was"}


def test_rejected_from_a_tar_are_shown(tmp_path: Path) -> None:
    rows = rows_of(0, 2)
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for name, row in zip(("one.txt", "one.jpg", "two.jpg"), (rows[1], rows[0], rows[1]), strict=True):
            member = tarfile.TarInfo(name)
            member.size = len(row["source_bytes"])
            tar.addfile(member, io.BytesIO(row["source_bytes"]))
    source = open_source(str(tmp_path / "in.tar"))
    fetched = source.fetch(source.listing()).to_pylist()
    verdict = {"status": "rejected", "stage": "read", "reason": "too_small"}
    write_rows(tmp_path / "out", 0, [row | verdict for row in fetched])
    write_part(tmp_path / "out", 0, source.listing(), 2, {"kind": "build"})
    cards = data_of(write_report(tmp_path / "out").read_text())["cards"]
    assert [card["source_key"] for card in sorted(cards, key=lambda card: card["key"])] == [
        "in.tar/one",
        "in.tar/two",
    ]
    for card in cards:
        assert differs(card, rows[int(card["key"][-5:])]["source_bytes"]) < 12


def test_damaged_tar_costs_only_pictures(tmp_path: Path) -> None:
    write_rows(tmp_path, 0, rows_of(0, 3))
    (tmp_path / "data" / "train" / "00000.tar").write_bytes(b"short")
    cards = data_of(write_report(tmp_path).read_text())["cards"]
    assert [card["absence"] for card in cards] == ["the file is not a readable picture"] * 3


def test_large_pictures_and_their_masks_become_small(tmp_path: Path) -> None:
    write_rows(tmp_path, 0, rows_of(0, 3, size=700))
    rows = table_of(tmp_path).set_index("key")
    cards = data_of(write_report(tmp_path).read_text())["cards"]
    for card in cards:
        assert (card["picture"]["width"], card["picture"]["height"]) == (320, 320)
        for entity, small in zip(rows.loc[card["key"], "entities"], card["masks"], strict=True):
            full = decode_run_lengths(entity["rle"]["counts"], 700, 700)
            shown = decode_run_lengths(small["counts"], 320, 320)
            grown = np.asarray(Image.fromarray(shown).resize((700, 700)), bool)
            assert (grown & full).sum() / (grown | full).sum() > 0.95


def test_damaged_mask_costs_only_itself(tmp_path: Path) -> None:
    write_rows(tmp_path, 0, rows_of(0, 1))
    shard = all_shards(tmp_path)[0]
    rows = pa.parquet.read_table(shard.parquet)
    table = rows.to_pylist()
    table[0]["entities"][0]["rle"]["counts"] = "zzzz" * 9
    pa.parquet.write_table(pa.Table.from_pylist(table, rows.schema), shard.parquet)
    card = data_of(write_report(tmp_path).read_text())["cards"][0]
    assert card["masks"][0] is None
    assert all(card["masks"][1:])
    assert card["picture"]


def test_pieces_of_a_caption_name_its_entities(world: Path, data: dict[str, Any]) -> None:
    rows = table_of(world).set_index("key")
    samples = [card for card in data["cards"] if card["status"] == "ok"]
    assert samples
    for card in samples:
        caption = rows.loc[card["key"], "caption"]
        assert "".join(text for text, _ in card["caption"]) == caption
        for entity in rows.loc[card["key"], "entities"]:
            named = "".join(text for text, ids in card["caption"] if ids and entity["id"] in ids)
            assert named == caption[max(0, entity["span"][0]) : entity["span"][1]]


def test_pieces_count_characters_as_the_dataset_does(data: dict[str, Any]) -> None:
    bear = card_of(data, "00000-00002")
    assert [text for text, ids in bear["caption"] if ids == [1]] == ["Bär 🐻"]
    assert "".join(text for text, _ in bear["caption"]) == UNICODE


def test_phrases_that_nothing_was_found_for_are_marked(data: dict[str, Any]) -> None:
    cards = [card for card in data["cards"] if card["reason"] == "too_many_nouns"]
    assert cards
    assert all([] in [ids for _, ids in card["caption"]] for card in cards)


def test_a_phrase_found_twice_has_both_entities(data: dict[str, Any]) -> None:
    card = card_of(data, "00000-00000")
    assert [1, len(card["entities"])] in [ids for _, ids in card["caption"]]


SPAN = st.none() | st.tuples(st.integers(-9, 2100), st.integers(-9, 2100)).map(list)


@given(st.text(max_size=2100) | st.none(), st.lists(SPAN, max_size=4), st.lists(SPAN, max_size=4))
def test_pieces_hold_the_caption_whatever_the_spans(
    caption: str | None, nouns: list[list[int] | None], entities: list[list[int] | None]
) -> None:
    numbered = [{"id": number, "span": span} for number, span in enumerate(entities, 1)]
    pieces = caption_pieces(caption, [{"span": span} for span in nouns], numbered)
    whole = "".join(text for text, _ in pieces)
    expected = caption or ""
    assert whole == (expected if len(expected) <= 2000 else expected[:1999] + "…")
    assert all(text for text, _ in pieces)
    for entity in numbered:
        start, end = entity["span"] or (0, 0)
        named = "".join(text for text, ids in pieces if ids and entity["id"] in ids)
        assert named == whole[max(0, start) : max(0, end)]
