# SPDX-License-Identifier: Apache-2.0
"""Whether what is known of a finished build is still as it was written, before a run builds upon it.

A run ends by writing digests of what it finds; damage must not be among it.
"""

import hashlib

from pipeline.dataset.layout import digested_files, digests_path
from pipeline.errors import UserError
from stages.parse import parse_json
from stages.shard.place import Place

_MADE_ANEW = ("shards.json", "index.parquet")


def check_sealed(root: Place) -> None:
    """See that manifest, configuration and listings have the digests that the last finished run wrote.

    Raises:
        UserError: naming the file that has not.
    """
    try:
        stated = parse_json(digests_path(root).read_bytes())
    except (OSError, ValueError):
        return
    if not isinstance(stated, dict) or not stated:
        return
    for name, path in digested_files(root).items():
        if name in _MADE_ANEW or not path.is_file():
            continue
        if name not in stated:
            raise UserError(f"{path} was not there when the last run ended; move it away")
        if _digest(path) != stated[name]:
            raise UserError(
                f"{path} is not as the last run left it; restore it, or begin anew with --overwrite"
            )


def _digest(path: Place) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
