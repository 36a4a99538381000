# SPDX-License-Identifier: Apache-2.0
"""A shard's rows turned into the contents of its three files."""

from io import BufferedRandom

import pyarrow as pa
import pyarrow.parquet as pq

from stages.columns import ERROR, OFFSETS, OK, SAMPLE, SCHEMA_VERSION
from stages.extra_columns import extra_columns
from stages.shard.record import MEMBERS, Row, extra_records, members_of
from stages.shard.stats import shard_stats, stats_text
from stages.shard.tar import TarStream

_METADATA = {"subjectforge.schema_version": str(SCHEMA_VERSION)}


def fill_shard(
    number: int, table: pa.Table, tar: BufferedRandom, parquet: BufferedRandom, stats: BufferedRandom
) -> None:
    """Write a shard.

    Args:
        number: the shard's.
        table: its rows, sorted by key. Columns of `stages.columns.SAMPLE` that are missing
            become nulls; `stages.extra_columns` says which others are kept.
        tar: gets four members for each `ok` row. A row that cannot be encoded becomes an `error`.
        parquet: gets a row for every row, the extra columns last.
        stats: gets counts, and the sizes and hashes of the other two.
    """
    rows, extra = _sample_table(table).to_pylist(), extra_records(table)
    images = table["image"] if "image" in table.column_names else None
    stream = TarStream(tar)
    for index, row in enumerate(rows):
        if row["status"] == OK:
            _add_sample(stream, row, images[index].as_py() if images is not None else None, extra[index])
    stream.close()
    tar.flush()
    samples = _with_extra(pa.Table.from_pylist(rows, SAMPLE.with_metadata(_METADATA)), table)
    pq.write_table(samples, parquet, compression="zstd", row_group_size=max(len(rows), 1))
    parquet.flush()
    counts = shard_stats(number, samples, {"tar": tar, "parquet": parquet})
    stats.write(stats_text(counts).encode())


def _sample_table(table: pa.Table) -> pa.Table:
    known = set(table.column_names) - set(OFFSETS.names)
    columns = [
        table[field.name].cast(field.type) if field.name in known else pa.nulls(table.num_rows, field.type)
        for field in SAMPLE
    ]
    return pa.Table.from_arrays(columns, schema=SAMPLE)


def _with_extra(samples: pa.Table, table: pa.Table) -> pa.Table:
    """The values as they are, in one piece: how a table is cut must not show in the file."""
    for field in extra_columns(table.schema):
        samples = samples.append_column(field, table[field.name].combine_chunks())
    return samples


def _add_sample(stream: TarStream, row: Row, image: bytes | None, extra: Row | None) -> None:
    try:
        members = members_of(row, image, extra)
    except Exception as error:
        message = (str(error).strip().splitlines() or [""])[0][:300]
        row.update(status=ERROR, stage="write", reason=type(error).__name__, detail=message)
        return
    for extension in MEMBERS:
        row[f"{extension}_offset"] = stream.add(f"{row['key']}.{extension}", members[extension])
        row[f"{extension}_size"] = len(members[extension])
