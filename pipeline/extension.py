# SPDX-License-Identifier: Apache-2.0
"""What a source has got since it was listed before."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.parts import RETRY, Part
from pipeline.errors import UserError
from pipeline.sources.base import BROKEN, LISTING
from pipeline.wording import counted

_FACTS = ("path", "row", "members", "status", "reason")
"""What makes an item another one under the same key."""


def new_items(
    parts: Sequence[Part], listing: pa.Table, limit: int | None, asked: str | None = None
) -> pa.Table:
    """The rows of a listing that no part holds, in its order.

    Args:
        parts: what was planned before; rows of a retry are newer than those of the parts before it.
        listing: the source's, as it is now.
        limit: only as many items of the listing, from its beginning.
        asked: what decides an item of a source that is no files, for people.

    Raises:
        UserError: items that were planned are gone from the source, or are no longer the same.
    """
    known = _newest_rows(parts)
    gone = _mended(known, listing)
    whole_now = known.filter(gone)["path"].unique()
    known = known.filter(pc.invert(gone))  # pyright: ignore[reportAttributeAccessIssue]
    places = pc.index_in(known["source_key"], value_set=listing["source_key"])  # pyright: ignore[reportAttributeAccessIssue]
    _refuse(known.filter(places.is_null()), "no longer")
    before = listing.take(places).combine_chunks()
    changed = pc.and_not(_differing(known, before), _across_a_break(known, before, whole_now))  # pyright: ignore[reportAttributeAccessIssue]
    mended = "`subjectforge retry` first where files were mended, or "
    _refuse(known.filter(changed), "changed", f"look at {asked}; " if asked else mended)
    wanted = listing.slice(0, limit)
    old = pc.is_in(wanted["source_key"], value_set=known["source_key"])  # pyright: ignore[reportAttributeAccessIssue]
    return wanted.filter(pc.invert(old))  # pyright: ignore[reportAttributeAccessIssue]


def renewed(rows: pa.Table, listing: pa.Table) -> pa.Table:
    """Rows of an older listing as the source lists them now; those that it has no longer stay as they are."""
    places = pc.index_in(rows["source_key"], value_set=listing["source_key"]).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
    now = listing.take(pa.array([place for place in places if place is not None], pa.int64())).to_pylist()
    by_key = {row["source_key"]: row for row in now}
    return pa.Table.from_pylist(
        [{**by_key.get(row["source_key"], row), "replaces": row["replaces"]} for row in rows.to_pylist()],
        LISTING,
    )


def _newest_rows(parts: Sequence[Part]) -> pa.Table:
    """Every item that was planned, once, as it was listed last."""
    newer = {
        row["source_key"]: row
        for part in parts
        if part.kind == RETRY
        for rows in part.all_rows()
        for row in rows.to_pylist()
    }
    listed = [rows for part in parts if part.kind != RETRY for rows in part.all_rows()]
    if not newer:
        return pa.concat_tables(listed).combine_chunks()
    keys = pa.array(list(newer))
    kept = [rows.filter(pc.invert(pc.is_in(rows["source_key"], value_set=keys))) for rows in listed]  # pyright: ignore[reportAttributeAccessIssue]
    return pa.concat_tables([*kept, pa.Table.from_pylist(list(newer.values()), LISTING)]).combine_chunks()


def _mended(known: pa.Table, listing: pa.Table) -> pa.Array:
    """Which rows say that a file was broken that is not any more: what is behind the break is new."""
    told = pc.ends_with(known["source_key"], BROKEN)  # pyright: ignore[reportAttributeAccessIssue]
    still = pc.is_in(known["source_key"], value_set=listing["source_key"])  # pyright: ignore[reportAttributeAccessIssue]
    there = pc.is_in(known["path"], value_set=listing["path"])  # pyright: ignore[reportAttributeAccessIssue]
    return pc.and_(told, pc.and_not(there, still))  # pyright: ignore[reportAttributeAccessIssue]


def _differing(one: pa.Table, other: pa.Table) -> pa.Array:
    if all(one[name].equals(other[name]) for name in _FACTS):
        return pa.array([False] * one.num_rows)
    rows = zip(one.select(_FACTS).to_pylist(), other.select(_FACTS).to_pylist(), strict=True)
    return pa.array([mine != theirs for mine, theirs in rows])


def _across_a_break(known: pa.Table, now: pa.Table, whole_now: pa.Array) -> pa.Array:
    """Which rows have got more members, in a file that is whole now: the break lay inside of them."""
    candidates = pc.is_in(known["path"], value_set=whole_now).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
    grown = [False] * known.num_rows
    for place in (place for place, candidate in enumerate(candidates) if candidate):
        earlier, later = known["members"][place].as_py() or [], now["members"][place].as_py() or []
        grown[place] = len(earlier) < len(later) and all(member in later for member in earlier)
    return pa.array(grown, pa.bool_())


def mended(parts: Sequence[Part], listing: Callable[[], pa.Table]) -> bool:
    """Whether a file that was broken when it was listed has more items now, which its size need not show.

    Args:
        parts: what was planned before.
        listing: gives the source's, as it is now; asked only if any file was broken.
    """
    known = pa.concat_tables([rows for part in parts for rows in part.all_rows(["source_key", "path"])])
    told = known.filter(pc.ends_with(known["source_key"], BROKEN))  # pyright: ignore[reportAttributeAccessIssue]
    if not told.num_rows:
        return False
    now = listing()
    whole_now = told.filter(_mended(told, now))["path"]
    behind = now.filter(pc.is_in(now["path"], value_set=whole_now))["source_key"]  # pyright: ignore[reportAttributeAccessIssue]
    return not pc.all(pc.is_in(behind, value_set=known["source_key"])).as_py()  # pyright: ignore[reportAttributeAccessIssue]


def _refuse(lost: pa.Table, what: str, way: str = "") -> None:
    if lost.num_rows:
        first = lost["source_key"][0].as_py()
        raise UserError(
            f"the source has {counted(lost.num_rows, 'item')} of the dataset {what}, the first is {first!r}; "
            f"what is there only grows: {way}restore what was there, or begin anew with --overwrite"
        )
