# SPDX-License-Identifier: Apache-2.0
"""What is not true of a sample, with everything around it made to agree."""

import io
import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.faults.damage import MEMBERS
from benchmarks.faults.forged import Forged

Lie = Callable[[Forged, Random], object]


def _entity(**values: Any) -> Lie:
    """An entity that says so in row and json."""

    def lie(forged: Forged, rng: Random) -> None:
        forged.entity.update(values)
        forged.retell()

    return lie


def _column(**values: Any) -> Lie:
    def lie(forged: Forged, rng: Random) -> None:
        forged.late = partial(forged.sample.update, values)

    return lie


def _box_outside(forged: Forged, rng: Random) -> None:
    forged.entity["box"][rng.choice([2, 3])] = 1.5 * max(forged.sample["width"], forged.sample["height"])
    forged.retell()


def _other_mask(forged: Forged, rng: Random) -> None:
    rows = [row for row in forged.rows if row["status"] == "ok" and row["entities"]]
    others = [e["rle"] for row in rows for e in row["entities"] if e["rle"] != forged.entity["rle"]]
    forged.entity["rle"] = rng.choice([rle for rle in others if rle["size"] == forged.entity["rle"]["size"]])
    forged.retell()


def _pixel(forged: Forged, rng: Random) -> None:
    members = forged.members[forged.sample["key"]]
    labels = np.array(Image.open(io.BytesIO(members["png"])))
    labels[rng.randrange(labels.shape[0]), rng.randrange(labels.shape[1])] ^= 1
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, format="PNG", compress_level=6)
    members["png"] = stream.getvalue()


def _in_json(name: str, value: Any) -> Lie:
    def lie(forged: Forged, rng: Random) -> None:
        members = forged.members[forged.sample["key"]]
        record = json.loads(members["json"]) | {name: value}
        members["json"] = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()

    return lie


def _caption(forged: Forged, rng: Random) -> None:
    forged.sample["caption"] = "so " + forged.sample["caption"]
    forged.members[forged.sample["key"]]["txt"] = (
        forged.sample["alt_text"] or forged.sample["caption"]
    ).encode()
    forged.retell()


def _span(forged: Forged, rng: Random) -> None:
    forged.sample["nouns"][0]["head_span"] = [0, 1]
    forged.retell()


def _key_of_another(forged: Forged, rng: Random) -> None:
    old = forged.sample["key"]
    new = f"{int(old[:5]) + 1:05d}{old[5:]}"
    forged.sample["key"] = new
    forged.members = {new if key == old else key: members for key, members in forged.members.items()}
    forged.retell()


def _row_missing(forged: Forged, rng: Random) -> None:
    del forged.members[forged.sample["key"]]
    forged.rows.remove(forged.sample)


def _row_twice(forged: Forged, rng: Random) -> None:
    forged.rows.append(dict(forged.sample))


def _rejected(forged: Forged, rng: Random) -> None:
    lost = {"status": "rejected", "stage": "select", "reason": "too_few_entities"}
    places = {f"{member}_{what}": None for member in MEMBERS for what in ("offset", "size")}
    forged.late = partial(forged.sample.update, lost | places)


def source_key_of_another(forged: Forged, rng: Random) -> None:
    """Two rows are about one source item."""
    others = {row["source_key"] for row in forged.rows} - {forged.sample["source_key"]}
    forged.sample["source_key"] = rng.choice(sorted(others))
    forged.retell()


def _shifted(forged: Forged, rng: Random) -> None:
    name = f"{rng.choice(MEMBERS)}_offset"
    forged.late = lambda: forged.sample.update({name: forged.sample[name] + rng.choice([-512, 1, 512])})


def _member_of_another(extension: str) -> Lie:
    def lie(forged: Forged, rng: Random) -> None:
        others = [row["key"] for row in forged.rows if row["status"] == "ok" and row is not forged.sample]
        other = forged.members[rng.choice(others)][extension]
        forged.members[forged.sample["key"]][extension] = other

    return lie


def cut_picture(forged: Forged, rng: Random) -> None:
    """The JPEG breaks off."""
    members = forged.members[forged.sample["key"]]
    members["jpg"] = members["jpg"][: len(members["jpg"]) * 2 // 3]


LIES: dict[str, Lie] = {
    "box out of bounds": _box_outside,
    "box without area": _entity(box=[5.0, 5.0, 5.0, 9.0]),
    "mask of another entity": _other_mask,
    "area": _entity(area=3),
    "mask_box": _entity(mask_box=[0, 0, 1, 1]),
    "fill": _entity(fill=0.001),
    "det_score": _entity(det_score=1.5),
    "id": _entity(id=2),
    "contained_in": _entity(contained_in=9),
    "span": _entity(span=[0, 1]),
    "head of a noun": _span,
    "pixel of the label map": _pixel,
    "caption in the json only": _in_json("caption", "a lie"),
    "size in the json only": _in_json("width", 7),
    "mask list in the json only": _in_json("mask", []),
    "schema version in the json": _in_json("schema_version", 99),
    "caption in row and json": _caption,
    "caption in the row only": _column(caption="a lie"),
    "key of another shard": _key_of_another,
    "row missing": _row_missing,
    "row twice": _row_twice,
    "sample said to be rejected": _rejected,
    "status without reason": _column(status="error"),
    "unknown status": _column(status="fine"),
    "ok with a reason": _column(stage="select", reason="too_few_entities"),
    "source item twice": source_key_of_another,
    "offset shifted": _shifted,
    "size of the picture": _column(width=7),
    "digest of the source": _column(sha256="0" * 64, reencoded=False),
    **{f"{extension} of another sample": _member_of_another(extension) for extension in MEMBERS},
}
OF_THE_SHARD = {"key of another shard", "row missing", "row twice", "sample said to be rejected"}
OF_THE_SHARD |= {"source item twice"}
"""Those that no single sample can be blamed for."""
