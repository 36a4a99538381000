# SPDX-License-Identifier: Apache-2.0
"""The chosen rows, read again with everything they have, as cards that fit into the page."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa

from pipeline.dataset.shard_table import shard_table
from pipeline.report.card import Card, Row, build_card
from pipeline.report.embed import script_json
from pipeline.report.gallery import Picks, RowPlace
from pipeline.report.picture import NoPicture, decoded, stored
from pipeline.report.record import Record
from pipeline.report.source import Originals
from stages.columns import OK
from stages.shard.place import Place

_BUDGET = 15 * 2**20
"""Bytes of all cards in the page, which leaves room below 20 MB for the rest of it."""


def build_cards(dataset: Place, record: Record, picks: Picks, budget: int = _BUDGET) -> list[Card]:
    """The chosen samples as the page's cards, in order.

    Args:
        dataset: its root.
        record: what the build wrote about itself.
        picks: what to show.
        budget: bytes that all cards together may take. What does not fit loses its picture and masks
            first; a card that does not fit even so is left out.
    """
    originals = Originals(dataset, record.config.get("source.image_column"))
    places = picks.places()
    rows = dict(_read(places))
    cards: list[Card] = []
    for place, sets in places.items():
        card = _card(place, rows.pop(place), sets, originals)
        if (size := _size(card)) > budget:
            card = card | {"picture": None, "absence": "left out to keep the page small", "masks": []}
            size = _size(card)
        if size <= budget:
            cards.append(card)
            budget -= size
    return cards


def _read(places: Iterable[RowPlace]) -> Iterator[tuple[RowPlace, Row]]:
    for shard, group in groupby(sorted(places), key=itemgetter(0)):
        numbers = [row for _, row in group]
        with shard_table(shard) as file:
            rows = file.read().take(pa.array(numbers, pa.int64())).to_pylist()
        yield from (((shard, number), row) for number, row in zip(numbers, rows, strict=True))


def _card(place: RowPlace, row: Row, sets: list[str], originals: Originals) -> Card:
    shard = place[0]
    try:
        if row["status"] == OK:
            encoded = stored(shard.tar, row["jpg_offset"], row["jpg_size"])
        else:
            encoded = originals.read(shard, row)
        return build_card(row, shard.stem, sets, decoded(encoded), None)
    except NoPicture as error:
        return build_card(row, shard.stem, sets, None, str(error))


def _size(card: Card) -> int:
    return len(script_json(card).encode()) + 1
