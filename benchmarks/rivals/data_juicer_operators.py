# SPDX-License-Identifier: Apache-2.0
"""Our stages as Data-Juicer's operators."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from data_juicer.ops.base_op import OPERATORS, Mapper  # pyright: ignore[reportMissingImports]

from benchmarks.rivals.chain import FIRST, LIGHT, SECOND, schema_after, table_of, through, write_tar

Samples = dict[str, list[Any]]


class _Ours(Mapper):
    _batched_op = True
    names: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    def process_batched(self, samples: Samples) -> Samples:
        table = pa.Table.from_pydict(samples, schema_after(self.before))
        return through(self.names, table).to_pydict()


@OPERATORS.register_module("subjects_read_mapper")
class Read(_Ours):
    """Files to rows."""

    def process_batched(self, samples: Samples) -> Samples:
        """A hundred files."""
        paths = [Path(images[0]) for images in samples["images"]]
        return through(LIGHT, table_of(paths)).to_pydict()


@OPERATORS.register_module("subjects_first_mapper")
class First(_Ours):
    """Captions, nouns and boxes."""

    names, before = FIRST, LIGHT


@OPERATORS.register_module("subjects_second_mapper")
class Second(_Ours):
    """Masks and scores."""

    names, before = SECOND, LIGHT + FIRST


@OPERATORS.register_module("subjects_write_mapper")
class Write(_Ours):
    """A tar."""

    def __init__(self, output: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._output = output

    def process_batched(self, samples: Samples) -> Samples:
        """A hundred rows; their names are left."""
        table = pa.Table.from_pydict(samples, schema_after(LIGHT + FIRST + SECOND))
        write_tar(Path(self._output, f"{samples['key'][0]}.tar"), table)
        return {"key": samples["key"]}
