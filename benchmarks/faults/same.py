# SPDX-License-Identifier: Apache-2.0
"""What must be the same in two datasets: every byte of the data, and what `_meta` says about the data."""

import hashlib
from pathlib import Path

_ABOUT_THE_RUN = {"manifest.json", "digests.json", "events.jsonl", "timings", "lease.json", "inflight"}
"""When it was made and how long it took; the digests name the manifest's."""


def data_digests(dataset: Path) -> dict[str, str]:
    """SHA-256 of each of these files, by path below the dataset's root; hidden files included."""
    paths = [
        path for name in ("data", "_meta") for path in sorted((dataset / name).rglob("*")) if path.is_file()
    ]
    names = {path.relative_to(dataset): path for path in paths}
    kept = {name: path for name, path in names.items() if not _ABOUT_THE_RUN & set(name.parts)}
    return {str(name): hashlib.sha256(path.read_bytes()).hexdigest() for name, path in kept.items()}


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names of files that are not the same in both, or not in both."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
