# SPDX-License-Identifier: Apache-2.0
"""Damage to a dataset as disks, copies and people do it: bits, lengths, mix-ups, losses, strangers.

A damage changes a copy of a dataset whose files are hard links, so it never writes into a file that is there.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain

from benchmarks.faults import damaged_bytes as bad
from benchmarks.faults import misplaced as lost
from benchmarks.faults.damage import KINDS, MEMBERS, META, Damage

_SETS = (("tar",), ("parquet",), ("stats",), KINDS)


def damages() -> Iterator[Damage]:
    """All of them, in a fixed order."""
    return chain(_bits(), _lengths(), _mixed_up(), _deleted(), _foreign())


def _bits() -> Iterator[Damage]:
    for region in (*MEMBERS, "header", "padding", "end"):
        yield Damage("a bit flipped in a tar", region, partial(bad.flip_in_tar, region))
    for region in ("pages", "footer"):
        yield Damage("a bit flipped in a parquet", region, partial(bad.flip_in_parquet, region))
    yield Damage("a bit flipped in stats", "stats", partial(bad.change_file, "stats", bad.flipped))
    for name in META:
        yield Damage("a bit flipped in _meta", name, partial(bad.change_meta, name, bad.flipped))


def _lengths() -> Iterator[Damage]:
    for what, edit in {"cut off": bad.cut, "emptied": bad.emptied, "more at its end": bad.appended}.items():
        for kind in KINDS:
            yield Damage(f"shard's file {what}", kind, partial(bad.change_file, kind, edit))
        for name in META:
            yield Damage(f"file of _meta {what}", name, partial(bad.change_meta, name, edit))


def _mixed_up() -> Iterator[Damage]:
    for kinds in _SETS:
        yield Damage("shards mixed up", f"swapped {'+'.join(kinds)}", partial(lost.swap, kinds))
        yield Damage("shards mixed up", f"overwritten {'+'.join(kinds)}", partial(lost.replace_files, kinds))
    yield Damage("shards mixed up", "copied under a new number", lost.copy_as_new)
    for extension in MEMBERS:
        yield Damage("members mixed up in a tar", extension, partial(lost.swap_members, extension))


def _deleted() -> Iterator[Damage]:
    for kinds in _SETS:
        yield Damage("file deleted", "+".join(kinds), partial(lost.delete, kinds))
    for name in META:
        yield Damage("file deleted", name, partial(lost.delete_meta, name))


def _foreign() -> Iterator[Damage]:
    for place in lost.FOREIGN:
        yield Damage("foreign file", place, partial(lost.add, place))
    for kind in KINDS:
        yield Damage("foreign file", f"link for {kind}", partial(lost.link, kind))
    yield Damage("foreign file", "link for a file of _meta", lost.link_meta)
