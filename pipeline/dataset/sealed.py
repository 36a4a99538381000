# SPDX-License-Identifier: Apache-2.0
"""The digests that a run writes when it has come to its end, and whether what they are of is still the same.

A run that builds upon a finished dataset writes them anew: damage must not be among it.
"""

import hashlib
import json

from pipeline.dataset.layout import digested_files, digests_path
from pipeline.errors import UserError
from stages.parse import parse_json
from stages.shard.commit import replace
from stages.shard.place import Place

_MADE_ANEW = ("shards.json", "index.parquet")
_FIRST_LISTING = "source/00000.parquet"


def seal(root: Place) -> None:
    """Say that the dataset is finished: without these digests it is not, whatever else is there."""
    found = {name: _digest(path) for name, path in digested_files(root).items() if path.is_file()}
    replace(digests_path(root), (json.dumps(found, indent=1) + "\n").encode())


def unseal(root: Place) -> None:
    """Say that the dataset is about to change: until `seal`, it is not finished.

    Raises:
        OSError: the folder cannot be written to.
    """
    digests_path(root).unlink(missing_ok=True)


def check_sealed(root: Place) -> None:
    """See that manifest and configuration are as the last finished run left them.

    Where digests are missing or damaged, nothing can be said.

    Raises:
        UserError: naming the file that is not.
    """
    stated = _stated(root)
    for name, path in digested_files(root).items():
        if name in stated and not _of_listing(name) and name not in _MADE_ANEW:
            _compare(path, stated[name])


def check_sealed_listings(root: Place) -> None:
    """The same for the listings, which a build may be able to make again.

    Raises:
        UserError: naming the file that is not as it was, or was not there.
    """
    stated = _stated(root)
    for name, path in digested_files(root).items():
        if not (stated and _of_listing(name)):
            continue
        if name not in stated:
            raise UserError(f"{path} was not there when the last run ended; move it away")
        _compare(path, stated[name])


def _stated(root: Place) -> dict[str, str]:
    try:
        stated = parse_json(digests_path(root).read_bytes())
    except (OSError, ValueError):
        return {}
    return stated if isinstance(stated, dict) and _FIRST_LISTING in stated else {}


def _of_listing(name: str) -> bool:
    return name.startswith("source/")


def _compare(path: Place, stated: str) -> None:
    if path.is_file() and _digest(path) != stated:
        raise UserError(
            f"{path} is not as the last run left it (digests.json); restore what was damaged, or begin anew "
            "with --overwrite"
        )


def _digest(path: Place) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
